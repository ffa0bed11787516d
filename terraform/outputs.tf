output "base_url" {
  description = "Each function answers at this address followed by its name."
  value       = local.base_url
}

output "push_account" {
  value = google_service_account.push.email
}

output "scheduler_account" {
  value = google_service_account.scheduler.email
}

output "frozen" {
  value = var.frozen
}
