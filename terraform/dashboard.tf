# What whoever is on call looks at first.

locals {
  # Title, filter, aligner, reducer, what is grouped by.
  charts = [
    ["Answers by function and code", "metric.type=\"logging.googleapis.com/user/${google_logging_metric.answers.name}\" resource.type=\"cloud_run_revision\"", "ALIGN_RATE", "REDUCE_SUM", ["metric.label.function", "metric.label.code"]],
    ["Debits: latency, 99th percentile, ms", "metric.type=\"run.googleapis.com/request_latencies\" resource.type=\"cloud_run_revision\" resource.label.service_name=\"debit\"", "ALIGN_PERCENTILE_99", "REDUCE_MAX", []],
    ["Instances", "metric.type=\"run.googleapis.com/container/instance_count\" resource.type=\"cloud_run_revision\"", "ALIGN_MAX", "REDUCE_SUM", ["resource.label.service_name"]],
    ["Firestore: commits by outcome", "metric.type=\"firestore.googleapis.com/api/request_count\" resource.type=\"firestore.googleapis.com/Database\" metric.label.api_method=monitoring.regex.full_match(\".*Commit\")", "ALIGN_RATE", "REDUCE_SUM", ["metric.label.response_code"]],
    ["Firestore: latency, 99th percentile, s", "metric.type=\"firestore.googleapis.com/api/request_latencies\" resource.type=\"firestore.googleapis.com/Database\"", "ALIGN_PERCENTILE_99", "REDUCE_MAX", ["metric.label.api_method"]],
    ["Messages: age of the oldest that waits, s", "metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\" resource.type=\"pubsub_subscription\"", "ALIGN_MAX", "REDUCE_MAX", ["resource.label.subscription_id"]],
    ["Messages: waiting", "metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\" resource.type=\"pubsub_subscription\"", "ALIGN_MAX", "REDUCE_SUM", ["resource.label.subscription_id"]],
    ["What wakes somebody", "metric.type=monitoring.regex.full_match(\"logging.googleapis.com/user/credits/(${join("|", keys(local.logged))})\") resource.type=\"cloud_run_revision\"", "ALIGN_DELTA", "REDUCE_SUM", ["resource.label.service_name"]],
  ]
}

resource "google_monitoring_dashboard" "this" {
  dashboard_json = jsonencode({
    displayName = "AI Credits"
    mosaicLayout = {
      columns = 12
      tiles = [for i, c in local.charts : {
        xPos   = (i % 2) * 6
        yPos   = floor(i / 2) * 4
        width  = 6
        height = 4
        widget = {
          title = c[0]
          xyChart = {
            dataSets = [{
              plotType = "LINE"
              timeSeriesQuery = {
                timeSeriesFilter = {
                  filter = c[1]
                  aggregation = {
                    alignmentPeriod    = "60s"
                    perSeriesAligner   = c[2]
                    crossSeriesReducer = c[3]
                    groupByFields      = c[4]
                  }
                }
              }
            }]
          }
        }
      }]
    }
  })
  depends_on = [google_project_service.this, google_logging_metric.alert]
}
