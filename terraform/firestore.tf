# The truth. Terraform cannot delete it: the database is protected, and is left alone even if it is removed from here.

resource "google_firestore_database" "this" {
  name                              = "(default)"
  location_id                       = local.region
  type                              = "FIRESTORE_NATIVE"
  concurrency_mode                  = "PESSIMISTIC"
  point_in_time_recovery_enablement = "POINT_IN_TIME_RECOVERY_ENABLED"
  delete_protection_state           = "DELETE_PROTECTION_ENABLED"
  deletion_policy                   = "ABANDON"
  depends_on                        = [google_project_service.this]
}

# Each backup is paid for in full: a week of days, and 14 weeks, the longest that Firestore keeps one, of Sundays (scripts/costs).
resource "google_firestore_backup_schedule" "daily" {
  database  = google_firestore_database.this.name
  retention = "604800s"
  daily_recurrence {}
}

resource "google_firestore_backup_schedule" "weekly" {
  database  = google_firestore_database.this.name
  retention = "8467200s"
  weekly_recurrence {
    day = "SUNDAY"
  }
}

resource "google_firestore_index" "this" {
  for_each = {
    for x in local.indexes.indexes :
    join(" ", concat([x.scope, x.collection], [for f in x.fields : "${f.path}:${try(f.order, f.array_config)}"])) => x
  }
  database    = google_firestore_database.this.name
  collection  = each.value.collection
  query_scope = each.value.scope
  dynamic "fields" {
    for_each = each.value.fields
    content {
      field_path   = fields.value.path
      order        = try(fields.value.order, null)
      array_config = try(fields.value.array_config, null)
    }
  }
}

resource "google_firestore_field" "this" {
  for_each   = { for f in local.indexes.fields : "${f.collection} ${f.path}" => f }
  database   = google_firestore_database.this.name
  collection = each.value.collection
  field      = each.value.path
  # An empty block exempts the field.
  index_config {
    dynamic "indexes" {
      for_each = each.value.indexes
      content {
        query_scope  = indexes.value.scope
        order        = try(indexes.value.order, null)
        array_config = try(indexes.value.array_config, null)
      }
    }
  }
  dynamic "ttl_config" {
    for_each = each.value.ttl ? [true] : []
    content {}
  }
}
