# Secrets without their values: a value would lie readable in the state. scripts/bootstrap adds the first versions, and
# playbooks/key-rotation.md says how to add the next.

locals {
  secrets_of = { for name in keys(local.bounds) : name => { for key, secret in local.grants[name].secrets : key => secret if !contains(local.withheld, key) } }
  secrets    = toset(flatten([for name in keys(local.bounds) : values(local.secrets_of[name])]))
}

resource "google_secret_manager_secret" "this" {
  for_each  = local.secrets
  secret_id = each.key
  replication {
    user_managed {
      replicas {
        location = local.region
      }
    }
  }
  # Google only reminds; a person rotates.
  rotation {
    next_rotation_time = var.next_rotation
    rotation_period    = "7776000s" # 90 days
  }
  topics {
    name = google_pubsub_topic.rotation.id
  }
  # A version that was destroyed by mistake can be had back for a week.
  version_destroy_ttl = "604800s"
  depends_on          = [google_pubsub_topic_iam_member.rotation]
  lifecycle {
    ignore_changes = [rotation[0].next_rotation_time] # moves on by itself
  }
}

resource "google_pubsub_topic" "rotation" {
  name = "secret-rotation"
  message_storage_policy {
    allowed_persistence_regions = [local.region]
  }
  depends_on = [google_project_service.this]
}

resource "google_pubsub_topic_iam_member" "rotation" {
  topic  = google_pubsub_topic.rotation.name
  role   = "roles/pubsub.publisher"
  member = "serviceAccount:service-${var.project_number}@gcp-sa-secretmanager.iam.gserviceaccount.com"
}

# What waits here is the alert "key-rotation"; whoever has rotated acknowledges it.
resource "google_pubsub_subscription" "rotation" {
  name                       = "secret-rotation-pull"
  topic                      = google_pubsub_topic.rotation.id
  ack_deadline_seconds       = 60
  message_retention_duration = "2678400s"
  expiration_policy {
    ttl = ""
  }
}
