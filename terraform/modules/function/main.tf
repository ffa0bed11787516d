# A function with an account of its own, which may use Firestore, publish to the listed topics, read the listed secrets, send its figures and
# traces, and nothing else.

resource "google_service_account" "this" {
  account_id   = "run-${var.name}"
  display_name = "The function ${var.name}"
}

# Firestore's roles are no finer than this.
resource "google_project_iam_member" "documents" {
  project = var.project
  role    = "roles/datastore.user"
  member  = google_service_account.this.member
}

resource "google_project_iam_member" "telemetry" {
  for_each = toset(["roles/telemetry.metricsWriter", "roles/telemetry.tracesWriter"])
  project  = var.project
  role     = each.key
  member   = google_service_account.this.member
}

resource "google_pubsub_topic_iam_member" "publisher" {
  for_each = var.publishes
  topic    = each.value
  role     = "roles/pubsub.publisher"
  member   = google_service_account.this.member
}

resource "google_secret_manager_secret_iam_member" "accessor" {
  for_each  = var.secrets
  secret_id = each.value.secret
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.this.member
}

resource "google_cloudfunctions2_function" "this" {
  name     = var.name
  location = var.region

  build_config {
    runtime         = "go126"
    entry_point     = var.name
    service_account = var.build_account
    source {
      storage_source {
        bucket = var.bucket
        object = var.object
      }
    }
  }

  service_config {
    service_account_email            = google_service_account.this.email
    max_instance_request_concurrency = var.bounds.concurrency
    available_cpu                    = tostring(var.bounds.cpu_millis / 1000)
    available_memory                 = "${var.bounds.memory_mib}Mi"
    min_instance_count               = var.bounds.min_instances
    max_instance_count               = var.bounds.max_instances
    timeout_seconds                  = var.timeout_seconds
    all_traffic_on_latest_revision   = true
    # Pub/Sub and Cloud Scheduler come in by the function's public address. Who may come in is said below.
    ingress_settings = "ALLOW_ALL"
    # Go's collector works harder from three quarters of the memory on.
    environment_variables = merge(var.environment, { GOGC = tostring(var.bounds.gc_percent), GOMEMLIMIT = "${floor(var.bounds.memory_mib * 3 / 4)}MiB" })

    dynamic "secret_environment_variables" {
      for_each = var.secrets
      content {
        key        = secret_environment_variables.key
        project_id = var.project
        secret     = secret_environment_variables.value.secret
        version    = secret_environment_variables.value.version
      }
    }
  }

  # A function that cannot read its secrets does not start, and its deployment fails.
  depends_on = [google_secret_manager_secret_iam_member.accessor]
}

# The role belongs on the Cloud Run service beneath the function.
resource "google_cloud_run_v2_service_iam_member" "invoker" {
  for_each = var.invokers
  name     = google_cloudfunctions2_function.this.name
  location = var.region
  role     = "roles/run.invoker"
  member   = each.value
}
