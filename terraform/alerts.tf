# Who is woken, and why. alerts.json is the list; each alert links its playbook.

resource "google_monitoring_notification_channel" "on_call" {
  display_name = "AI Credits, on call"
  type         = "email"
  labels       = { email_address = var.on_call_email }
  depends_on   = [google_project_service.this]
}

resource "google_monitoring_alert_policy" "this" {
  for_each              = local.alerts
  display_name          = "AI Credits: ${each.value.title}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = [google_monitoring_notification_channel.on_call.id]

  documentation {
    subject   = "[${var.environment}] ${each.value.title}"
    mime_type = "text/markdown"
    content   = "What it means and what to do: [${each.value.playbook}](${var.repository_url}/terraform/playbooks/${each.value.playbook}.md)"
    links {
      display_name = "Playbook"
      url          = "${var.repository_url}/terraform/playbooks/${each.value.playbook}.md"
    }
  }

  conditions {
    display_name = each.value.title

    dynamic "condition_threshold" {
      for_each = [for m in [try(each.value.metric, null)] : m if m != null]
      content {
        filter          = condition_threshold.value.filter
        comparison      = "COMPARISON_GT"
        threshold_value = condition_threshold.value.above
        duration        = "${condition_threshold.value.for_seconds}s"
        aggregations {
          alignment_period     = "${condition_threshold.value.period_seconds}s"
          per_series_aligner   = condition_threshold.value.aligner
          cross_series_reducer = condition_threshold.value.reducer
        }
      }
    }

    # One line is enough.
    dynamic "condition_threshold" {
      for_each = [for l in [try(local.logged[each.key], null)] : l if l != null]
      content {
        filter          = "resource.type = \"cloud_run_revision\" AND metric.type = \"logging.googleapis.com/user/${google_logging_metric.alert[each.key].name}\""
        comparison      = "COMPARISON_GT"
        threshold_value = 0
        duration        = "0s"
        aggregations {
          alignment_period     = "300s"
          per_series_aligner   = "ALIGN_DELTA"
          cross_series_reducer = "REDUCE_SUM"
        }
      }
    }

    # What the functions record themselves (shared/telemetry). The metric is there from its first figure on, which may be after the alert.
    dynamic "condition_prometheus_query_language" {
      for_each = [for q in [try(each.value.query, null)] : q if q != null]
      content {
        query                     = condition_prometheus_query_language.value.promql
        duration                  = "${condition_prometheus_query_language.value.for_seconds}s"
        evaluation_interval       = "60s"
        disable_metric_validation = true
      }
    }

    dynamic "condition_absent" {
      for_each = [for a in [try(each.value.absent, null)] : a if a != null]
      content {
        filter   = condition_absent.value.filter
        duration = "${condition_absent.value.for_seconds}s"
        aggregations {
          alignment_period     = "300s"
          per_series_aligner   = "ALIGN_DELTA"
          cross_series_reducer = "REDUCE_SUM"
        }
      }
    }
  }

  alert_strategy {
    auto_close = "86400s"
  }
}
