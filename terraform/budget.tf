# Somebody is told before a month is dear, not after.
resource "google_billing_budget" "month" {
  billing_account = var.billing_account
  display_name    = "AI Credits, ${var.environment}"
  budget_filter {
    projects        = ["projects/${var.project_number}"]
    calendar_period = "MONTH"
  }
  amount {
    specified_amount {
      currency_code = var.budget.currency
      units         = tostring(var.budget.units)
    }
  }
  dynamic "threshold_rules" {
    for_each = [0.5, 0.9, 1]
    content {
      threshold_percent = threshold_rules.value
    }
  }
  all_updates_rule {
    monitoring_notification_channels = [google_monitoring_notification_channel.on_call.id]
  }
  depends_on = [google_project_service.this]
}
