# Who people are. Their tokens' issuer is https://securetoken.google.com/PROJECT, their audience the project; what they may do is said in
# Firestore, and for support and operators by the claims `support` and `platform`.

resource "google_identity_platform_config" "this" {
  autodelete_anonymous_users = true
  authorized_domains         = ["${local.region}-${var.project}.cloudfunctions.net"]
  sign_in {
    allow_duplicate_emails = false
    email {
      enabled           = true
      password_required = true
    }
  }
  mfa {
    state = "ENABLED"
    provider_configs {
      state = "ENABLED"
      totp_provider_config {
        adjacent_intervals = 1
      }
    }
  }
  depends_on = [google_project_service.this]
}
