# The functions: every row of limits.json is deployed, with what its row in functions.json gives it.

resource "google_storage_bucket" "sources" {
  name                        = "${var.project}-sources"
  location                    = local.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  versioning {
    enabled = true
  }
  depends_on = [google_project_service.this]
}

locals {
  # Each deployment spends, and gives back, ten credits of the organisation smoke.
  callers = concat(var.callers, [{ email = "deploy@${var.project}.iam.gserviceaccount.com", roles = ["spend"], orgs = ["smoke"] }])

  # Where people find the pages.
  dashboard_url = coalesce(var.dashboard_url, "${local.base_url}/account/ui/")

  # Every setting that a function can be given. Rows of functions.json pick from them by name.
  settings = {
    CALLERS                = jsonencode({ callers = local.callers })
    CHECKOUT_RETURN_URL    = coalesce(var.checkout_return_url, "${local.dashboard_url}purchases/return")
    DASHBOARD_FRAME_ORIGIN = var.dashboard_frame_origin
    DASHBOARD_URL          = local.dashboard_url
    FIRESTORE_DATABASE     = var.database
    GOOGLE_CLOUD_PROJECT   = var.project
    MAIL_FROM              = var.mail.from
    PEOPLE_AUDIENCE        = local.people.client_id
    PEOPLE_CLAIM_PREFIX    = local.people.claim_prefix
    PEOPLE_ISSUER          = local.people.issuer
    PUSH_ACCOUNT           = google_service_account.push.email
    SCHEDULER_ACCOUNT      = google_service_account.scheduler.email
    SMTP_HOST              = var.mail.host
    SMTP_PORT              = tostring(var.mail.port)
    SMTP_SECURITY          = var.mail.security
    SMTP_USERNAME          = var.mail.username
    STRIPE_LIVEMODE        = tostring(var.stripe_livemode)
    SUBSCRIPTION_GRACE     = var.subscription_grace
    SUPPORT_ADDRESS        = var.support_email
  }

  subscriptions_of = { for name in keys(local.bounds) : name => [for s in local.wiring.subscriptions : s if s.function == name] }
  jobs_of          = { for name in keys(local.bounds) : name => [for j in local.wiring.jobs : j if j.function == name] }

  # Who may call a function. Google checks that before the function is reached; the function checks it again.
  invokers = {
    for name in keys(local.bounds) : name => merge(
      local.grants[name].invokers == "everyone" ? { everyone = "allUsers" } : {},
      local.grants[name].invokers == "services" ? { for c in local.callers : c.email => "serviceAccount:${c.email}" } : {},
      length(local.subscriptions_of[name]) > 0 ? { push = google_service_account.push.member } : {},
      length(local.jobs_of[name]) > 0 ? { scheduler = google_service_account.scheduler.member } : {},
    )
  }
}

module "function" {
  for_each = local.bounds
  source   = "./modules/function"

  name          = each.key
  project       = var.project
  region        = local.region
  bounds        = each.value
  bucket        = google_storage_bucket.sources.name
  object        = var.sources[each.key]
  build_account = google_service_account.build.id
  invokers      = local.invokers[each.key]
  publishes     = { for topic in local.grants[each.key].publishes : topic => google_pubsub_topic.this[topic].name }

  # As long as the longest push or run that sets it off may take. The function's own deadlines are shorter.
  timeout_seconds = max(60, concat(local.subscriptions_of[each.key][*].ack_deadline_seconds, local.jobs_of[each.key][*].attempt_deadline_seconds)...)

  environment = merge(
    { for key in local.grants[each.key].environment : key => local.settings[key] if key != "SERVICE_AUDIENCE" },
    { for key in local.grants[each.key].environment : key => "${local.base_url}/${each.key}" if key == "SERVICE_AUDIENCE" },
    { FROZEN = tostring(var.frozen), TELEMETRY_ENDPOINT = var.telemetry_endpoint },
  )
  secrets = {
    for key, secret in local.secrets_of[each.key] : key => {
      secret  = google_secret_manager_secret.this[secret].secret_id
      version = lookup(var.secret_versions, secret, "")
    }
  }

  depends_on = [google_project_service.this, google_project_iam_member.build, google_firestore_database.this]
}
