# Figures counted from the functions' logs. What Cloud Run, Firestore and Pub/Sub count themselves is not counted again.

locals {
  alerts = { for a in jsondecode(file("${path.module}/alerts.json")) : a.name => a if try(a.log.function, "") == "" || can(local.bounds[a.log.function]) }
  logged = { for name, a in local.alerts : name => a.log if can(a.log.message) }

  # Lines of the functions: package serve writes them.
  function_logs = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=(${join(" OR ", [for name in keys(local.bounds) : "\"${name}\""])})"
}

resource "google_logging_metric" "alert" {
  for_each    = local.logged
  name        = "credits/${each.key}"
  description = local.alerts[each.key].title
  filter = join(" AND ", concat(
    [local.function_logs, "jsonPayload.message=${jsonencode(each.value.message)}"],
    each.value.function == "" ? [] : ["resource.labels.service_name=${jsonencode(each.value.function)}"],
  ))
  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
  }
  depends_on = [google_project_service.this]
}

# Every answer by function, route and code of the problem; no code is a success. Debits, refusals by code and their shares are read from it.
resource "google_logging_metric" "answers" {
  name        = "credits/answers"
  description = "Answers by function, route and problem code"
  filter      = "${local.function_logs} AND jsonPayload.message=\"request\""
  label_extractors = {
    function = "EXTRACT(jsonPayload.function)"
    route    = "EXTRACT(jsonPayload.route)"
    code     = "EXTRACT(jsonPayload.code)"
  }
  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    labels {
      key = "function"
    }
    labels {
      key = "route"
    }
    labels {
      key = "code"
    }
  }
  depends_on = [google_project_service.this]
}
