# What whoever is on call looks at first.

locals {
  # Title and query, of what the functions record themselves (shared/telemetry).
  recorded = [
    ["Debits and other entries a second", "sum by (kind) (rate(credits_entries_total[5m]))"],
    ["Refusals a second, by code", "sum by (code) (rate(credits_refusals_total[5m]))"],
    ["Commits a second, by outcome", "sum by (outcome) (rate(credits_commit_seconds_count[5m]))"],
    ["Commits: latency, 99th percentile, s", "histogram_quantile(0.99, sum by (le) (rate(credits_commit_seconds_bucket{outcome=\"landed\"}[5m])))"],
    ["Commands in a commit, median", "histogram_quantile(0.5, sum by (le) (rate(credits_batch_commands_bucket[5m])))"],
    ["Answers: latency by function, 99th percentile, s", "histogram_quantile(0.99, sum by (function, le) (rate(credits_answers_seconds_bucket[5m])))"],
    ["Outbox: age of the oldest, s", "max(credits_outbox_age_seconds)"],
    ["Dead letters in an hour, by topic", "sum by (topic) (increase(credits_dead_letters_total[1h]))"],
    ["Paid and not credited: longest, s", "max(credits_uncredited_age_seconds)"],
    ["Wallets audited in a day, by result", "sum by (result) (increase(credits_audited_wallets_total[1d]))"],
  ]

  # Title, filter, aligner, reducer, what is grouped by; of what Google's services count.
  counted = [
    ["Answers by function and code", "metric.type=\"logging.googleapis.com/user/${google_logging_metric.answers.name}\" resource.type=\"cloud_run_revision\"", "ALIGN_RATE", "REDUCE_SUM", ["metric.label.function", "metric.label.code"]],
    ["Debits: latency, 99th percentile, ms", "metric.type=\"run.googleapis.com/request_latencies\" resource.type=\"cloud_run_revision\" resource.label.service_name=\"debit\"", "ALIGN_PERCENTILE_99", "REDUCE_MAX", []],
    ["Instances", "metric.type=\"run.googleapis.com/container/instance_count\" resource.type=\"cloud_run_revision\"", "ALIGN_MAX", "REDUCE_SUM", ["resource.label.service_name"]],
    ["Firestore: commits by outcome", "metric.type=\"firestore.googleapis.com/api/request_count\" resource.type=\"firestore.googleapis.com/Database\" metric.label.api_method=monitoring.regex.full_match(\".*Commit\")", "ALIGN_RATE", "REDUCE_SUM", ["metric.label.response_code"]],
    ["Firestore: latency, 99th percentile, s", "metric.type=\"firestore.googleapis.com/api/request_latencies\" resource.type=\"firestore.googleapis.com/Database\"", "ALIGN_PERCENTILE_99", "REDUCE_MAX", ["metric.label.api_method"]],
    ["Messages: age of the oldest that waits, s", "metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\" resource.type=\"pubsub_subscription\"", "ALIGN_MAX", "REDUCE_MAX", ["resource.label.subscription_id"]],
    ["Messages: waiting", "metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\" resource.type=\"pubsub_subscription\"", "ALIGN_MAX", "REDUCE_SUM", ["resource.label.subscription_id"]],
    ["What wakes somebody", "metric.type=monitoring.regex.full_match(\"logging.googleapis.com/user/credits/(${join("|", keys(local.logged))})\") resource.type=\"cloud_run_revision\"", "ALIGN_DELTA", "REDUCE_SUM", ["resource.label.service_name"]],
  ]

  charts = concat(
    [for c in local.recorded : { title = c[0], query = { prometheusQuery = c[1] } }],
    [for c in local.counted : { title = c[0], query = {
      timeSeriesFilter = {
        filter      = c[1]
        aggregation = { alignmentPeriod = "60s", perSeriesAligner = c[2], crossSeriesReducer = c[3], groupByFields = c[4] }
      }
    } }],
  )
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
          title = c.title
          xyChart = {
            dataSets = [{ plotType = "LINE", timeSeriesQuery = c.query }]
          }
        }
      }]
    }
  })
  depends_on = [google_project_service.this, google_logging_metric.alert]
}
