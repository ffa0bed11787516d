resource "google_project_service" "this" {
  for_each = toset([
    "artifactregistry", "billingbudgets", "cloudbuild", "cloudfunctions", "cloudscheduler", "cloudtrace", "firestore", "iam", "identitytoolkit", "logging",
    "monitoring", "pubsub", "run", "secretmanager", "storage", "telemetry",
  ])
  service            = "${each.key}.googleapis.com"
  disable_on_destroy = false
}
