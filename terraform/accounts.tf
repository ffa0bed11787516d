# Who acts. Each function has an account of its own (modules/function); these are the others.

resource "google_service_account" "push" {
  account_id   = "push"
  display_name = "Pushes messages to functions"
  depends_on   = [google_project_service.this]
}

resource "google_service_account" "scheduler" {
  account_id   = "scheduler"
  display_name = "Fires the scheduled jobs"
  depends_on   = [google_project_service.this]
}

# Functions are built under an account that can read sources and write images, and nothing of what the functions themselves can.
resource "google_service_account" "build" {
  account_id   = "function-build"
  display_name = "Builds the functions"
  depends_on   = [google_project_service.this]
}

resource "google_project_iam_member" "build" {
  for_each = toset(["roles/artifactregistry.writer", "roles/logging.logWriter", "roles/storage.objectViewer"])
  project  = var.project
  role     = each.key
  member   = google_service_account.build.member
}
