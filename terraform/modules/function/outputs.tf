output "name" {
  value = google_cloudfunctions2_function.this.name
}

output "location" {
  value = google_cloudfunctions2_function.this.location
}

output "service" {
  description = "What the function runs with."
  value       = google_cloudfunctions2_function.this.service_config[0]
}

output "build" {
  value = google_cloudfunctions2_function.this.build_config[0]
}

output "account_id" {
  value = google_service_account.this.account_id
}

output "grants" {
  description = "All that the function's account may do, as pairs of a role and what it is for."
  value = concat(
    [for m in concat([google_project_iam_member.documents], values(google_project_iam_member.telemetry)) : "${m.role} ${m.project}"],
    [for m in google_pubsub_topic_iam_member.publisher : "${m.role} ${m.topic}"],
    [for m in google_secret_manager_secret_iam_member.accessor : "${m.role} ${m.secret_id}"],
  )
}

output "invokers" {
  description = "What may call the function."
  value       = { for key, m in google_cloud_run_v2_service_iam_member.invoker : key => { name = m.name, location = m.location, role = m.role, member = m.member } }
}
