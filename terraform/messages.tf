# Topics, what is pushed from them to functions, and where goes what cannot be delivered. All of it is wiring.json's.

locals {
  subscriptions = { for s in local.wiring.subscriptions : s.name => s }
  dead_lettered = { for name, s in local.subscriptions : name => s.dead_letter if can(s.dead_letter.topic) }
  dead_topics   = toset([for d in values(local.dead_lettered) : d.topic])
  pushed_topics = toset([for s in values(local.subscriptions) : s.topic])

  # Google's own account, which moves what cannot be delivered.
  pubsub_agent = "serviceAccount:service-${var.project_number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

resource "google_pubsub_topic" "this" {
  for_each = { for t in local.wiring.topics : t.name => t }
  name     = each.key
  message_storage_policy {
    allowed_persistence_regions = [local.region]
  }
  depends_on = [google_project_service.this]
}

resource "google_pubsub_subscription" "push" {
  for_each                   = local.subscriptions
  name                       = each.key
  topic                      = google_pubsub_topic.this[each.value.topic].id
  ack_deadline_seconds       = each.value.ack_deadline_seconds
  message_retention_duration = "${each.value.retention_seconds}s"

  # While all is frozen nothing is pushed, so that messages wait without using up their attempts, as scripts/freeze has it.
  dynamic "push_config" {
    for_each = var.frozen ? [] : [true]
    content {
      push_endpoint = "${local.base_url}/${module.function[each.value.function].name}${each.value.path}"
      oidc_token {
        service_account_email = google_service_account.push.email
        audience              = "${local.base_url}/${each.value.function}"
      }
    }
  }
  retry_policy {
    minimum_backoff = "${each.value.min_backoff_seconds}s"
    maximum_backoff = "${each.value.max_backoff_seconds}s"
  }
  # A quiet subscription is kept; Google's default ends it after a month.
  expiration_policy {
    ttl = ""
  }
  dynamic "dead_letter_policy" {
    for_each = [for d in [try(local.dead_lettered[each.key], null)] : d if d != null]
    content {
      dead_letter_topic     = google_pubsub_topic.this[dead_letter_policy.value.topic].id
      max_delivery_attempts = dead_letter_policy.value.max_delivery_attempts
    }
  }
}

# Without a subscription a topic keeps nothing. Dead letters that are pushed to no function wait here for a person.
resource "google_pubsub_subscription" "dead" {
  for_each                   = setsubtract(local.dead_topics, local.pushed_topics)
  name                       = "${each.key}-pull"
  topic                      = google_pubsub_topic.this[each.key].id
  ack_deadline_seconds       = 60
  message_retention_duration = "2678400s" # 31 days, the longest there is
  expiration_policy {
    ttl = ""
  }
}

resource "google_pubsub_topic_iam_member" "dead_publisher" {
  for_each = local.dead_topics
  topic    = google_pubsub_topic.this[each.key].name
  role     = "roles/pubsub.publisher"
  member   = local.pubsub_agent
}

resource "google_pubsub_subscription_iam_member" "dead_subscriber" {
  for_each     = local.dead_lettered
  subscription = google_pubsub_subscription.push[each.key].name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent
}

# Usage comes from the AI services that may spend.
resource "google_pubsub_topic_iam_member" "usage_publisher" {
  for_each = toset([for c in local.callers : c.email if contains(c.roles, "spend")])
  topic    = google_pubsub_topic.this["ai-usage"].name
  role     = "roles/pubsub.publisher"
  member   = "serviceAccount:${each.key}"
}
