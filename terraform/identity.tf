# Who people are: what signs their tokens, and what those are for. What they may do is said in Firestore, and for support and operators by the
# claims `support` and `platform`, which the issuer sets.
#
# The dashboard signs people in by the code flow with PKCE. Identity Platform has no page for that, so it serves the API alone, for a client that
# signs people in by itself.

locals {
  people = var.people != null ? var.people : {
    issuer = "https://securetoken.google.com/${var.project}", client_id = var.project, claim_prefix = "", confidential = false
  }

  # Settings that account is not given: without DASHBOARD_KEYS it serves no pages.
  withheld = concat(var.people == null ? ["DASHBOARD_KEYS"] : [], local.people.confidential ? [] : ["PEOPLE_CLIENT_SECRET"])
}

resource "google_identity_platform_config" "this" {
  count                      = var.people == null ? 1 : 0
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
