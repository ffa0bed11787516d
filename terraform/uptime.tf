# Whether people and Stripe reach the public functions, asked from outside each minute. The alert "unreachable" watches it.

resource "google_monitoring_uptime_check_config" "health" {
  for_each         = toset([for name in keys(local.bounds) : name if local.grants[name].invokers == "everyone"])
  display_name     = "AI Credits: ${each.key}"
  period           = "60s"
  timeout          = "10s"
  selected_regions = ["EUROPE", "USA", "ASIA_PACIFIC"] # three places are the fewest that Google takes

  http_check {
    path           = "/${each.key}/health"
    port           = 443
    request_method = "GET"
    use_ssl        = true
    validate_ssl   = true
    accepted_response_status_codes {
      status_value = 200
    }
  }

  monitored_resource {
    type = "uptime_url"
    labels = {
      project_id = var.project
      host       = "${local.region}-${var.project}.cloudfunctions.net"
    }
  }

  depends_on = [google_project_service.this, module.function]
}
