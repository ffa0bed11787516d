# What must hold of whatever the lists say. tests/project is a small project of its own, so that these run anywhere; scripts/deployment runs
# them again with the real lists in its place.

mock_provider "google" {}

variables {
  root            = "tests/project"
  project         = "credits-test"
  project_number  = "123456789"
  environment     = "staging"
  billing_account = "000000-000000-000000"
  repository_url  = "https://example.com/repository"
  on_call_email   = "on-call@example.com"
  next_rotation   = "2027-02-01T08:00:00Z"
  callers = [
    { email = "ai@credits-test.iam.gserviceaccount.com", roles = ["spend"] },
    { email = "ops@credits-test.iam.gserviceaccount.com", roles = ["operate"] },
  ]
  secret_versions = { dashboard-keys = "4", people-client-secret = "5", stripe-api-key = "1", stripe-webhook-secrets = "2", smtp-password = "3" }
  people          = { issuer = "https://id.example.com/realm", client_id = "credits", claim_prefix = "https://example.com/", confidential = true }
  support_email   = "support@example.com"
  stripe_livemode = false
  mail            = { host = "smtp.example.com", port = 587, security = "starttls", username = "credits", from = "credits@example.com" }
  budget          = { currency = "USD", units = 50 }
  sources         = { for name in keys(jsondecode(file("functions.json"))) : name => "${name}-00000000000000000000.zip" }
}

run "functions" {
  assert {
    condition     = join(" ", keys(module.function)) == join(" ", sort(local.limits.functions[*].name))
    error_message = "Not every row of limits.json is a function, or something else is."
  }
  assert {
    condition     = alltrue([for name, f in module.function : f.location == "europe-west4" && f.service.available_memory == "${local.bounds[name].memory_mib}Mi"])
    error_message = "A function is outside europe-west4, or has other bounds than its row."
  }
  assert {
    condition = alltrue([for name, f in module.function :
      f.service.max_instance_request_concurrency == local.bounds[name].concurrency &&
      f.service.max_instance_count == local.bounds[name].max_instances &&
      f.service.min_instance_count == local.bounds[name].min_instances &&
      f.service.available_cpu == tostring(local.bounds[name].cpu_millis / 1000) &&
      f.service.environment_variables["GOGC"] == tostring(try(local.bounds[name].gc_percent, 100)) &&
      f.service.environment_variables["GOMEMLIMIT"] == "${local.bounds[name].memory_mib * 3 / 4}MiB"
    ])
    error_message = "A function has other bounds than its row of limits.json."
  }
  assert {
    condition = (
      length(distinct([for f in module.function : f.service.service_account_email])) == length(module.function) &&
      alltrue([for name, f in module.function : f.account_id == "run-${name}" && f.build.service_account == google_service_account.build.id])
    )
    error_message = "Two functions share an account, or one is built under its own."
  }
  assert {
    condition     = alltrue([for name, f in module.function : f.build.entry_point == name && f.build.source[0].storage_source[0].object == var.sources[name]])
    error_message = "A function is built from another's source."
  }
  assert {
    condition = alltrue([for name, f in module.function :
      join(" ", sort(keys(f.service.environment_variables))) == join(" ", sort(concat(local.grants[name].environment, ["FROZEN", "GOGC", "GOMEMLIMIT", "TELEMETRY_ENDPOINT"]))) &&
      alltrue([for e in f.service.secret_environment_variables : e.version == var.secret_versions[e.secret]]) &&
      join(" ", sort(f.service.secret_environment_variables[*].key)) == join(" ", keys(local.grants[name].secrets))
    ])
    error_message = "A function is not given what its row of functions.json says, or a secret that is not pinned."
  }
  assert {
    condition = alltrue([for name, f in module.function :
      lookup(f.service.environment_variables, "SERVICE_AUDIENCE", "https://europe-west4-credits-test.cloudfunctions.net/${name}") == "https://europe-west4-credits-test.cloudfunctions.net/${name}"
    ])
    error_message = "A function wants tokens for another's address."
  }
  assert {
    condition = alltrue([for name, f in module.function :
      f.service.timeout_seconds >= max(60, [for j in local.wiring.jobs : j.attempt_deadline_seconds if j.function == name]...) && f.service.timeout_seconds <= 1800
    ])
    error_message = "A function is cut off before its job's deadline."
  }
}

run "who_may_call" {
  assert {
    condition     = toset([for name, f in module.function : name if contains(values(f.invokers)[*].member, "allUsers")]) == toset(["account", "purchasewebhook"])
    error_message = "Only account and purchasewebhook are public, and they are."
  }
  assert {
    condition = alltrue(flatten([for name, f in module.function : [length(f.invokers) > 0,
      [for i in values(f.invokers) : i.name == name && i.location == "europe-west4" && i.role == "roles/run.invoker" && i.member != "allAuthenticatedUsers"]]
    ]))
    error_message = "A function has nobody who may call it, or somebody who may do more."
  }
  assert {
    condition     = alltrue([for s in local.wiring.subscriptions : contains(values(module.function[s.function].invokers)[*].member, google_service_account.push.member)])
    error_message = "A function is pushed to by an account that may not call it."
  }
  assert {
    condition     = alltrue([for j in local.wiring.jobs : contains(values(module.function[j.function].invokers)[*].member, google_service_account.scheduler.member)])
    error_message = "A function is fired by an account that may not call it."
  }
  assert {
    condition     = !contains(keys(module.function), "debit") || join(" ", keys(module.function["debit"].invokers)) == "ai@credits-test.iam.gserviceaccount.com deploy@credits-test.iam.gserviceaccount.com ops@credits-test.iam.gserviceaccount.com"
    error_message = "debit is called by the listed services and nobody else."
  }
}

run "nothing_wider_than_needed" {
  assert {
    condition = alltrue([for name, f in module.function : toset(f.grants) == toset(concat(
      ["roles/datastore.user credits-test", "roles/telemetry.metricsWriter credits-test", "roles/telemetry.tracesWriter credits-test"],
      [for topic in local.grants[name].publishes : "roles/pubsub.publisher ${topic}"],
      [for secret in values(local.grants[name].secrets) : "roles/secretmanager.secretAccessor ${secret}"],
    ))])
    error_message = "A function's account may do something that its row of functions.json does not say, or not all of it."
  }
  assert {
    condition     = toset([for m in google_project_iam_member.build : m.role]) == toset(["roles/artifactregistry.writer", "roles/logging.logWriter", "roles/storage.objectViewer"])
    error_message = "The account that builds may do more than build."
  }
  assert {
    condition     = join(" ", keys(google_pubsub_topic_iam_member.usage_publisher)) == "ai@credits-test.iam.gserviceaccount.com deploy@credits-test.iam.gserviceaccount.com"
    error_message = "Usage is published by those that may spend, and nobody else."
  }
  assert {
    condition     = google_storage_bucket.sources.public_access_prevention == "enforced" && google_storage_bucket.sources.uniform_bucket_level_access
    error_message = "The sources could be made public."
  }
}

run "messages" {
  assert {
    condition     = toset(keys(google_pubsub_topic.this)) == toset(local.wiring.topics[*].name) && toset(keys(google_pubsub_subscription.push)) == toset(local.wiring.subscriptions[*].name)
    error_message = "Topics and pushes are not those of wiring.json."
  }
  assert {
    condition     = alltrue([for s in google_pubsub_subscription.push : length(s.dead_letter_policy) == 1])
    error_message = "A subscription has no dead letter."
  }
  assert {
    condition = alltrue([for name, s in google_pubsub_subscription.push :
      contains(keys(google_pubsub_topic_iam_member.dead_publisher), local.subscriptions[name].dead_letter.topic) &&
      google_pubsub_subscription_iam_member.dead_subscriber[name].member == "serviceAccount:service-123456789@gcp-sa-pubsub.iam.gserviceaccount.com"
    ])
    error_message = "Pub/Sub may not move a subscription's dead letters."
  }
  assert {
    condition = alltrue([for topic in local.dead_topics :
      contains(values(local.subscriptions)[*].topic, topic) || contains(keys(google_pubsub_subscription.dead), topic)
    ])
    error_message = "A dead-letter topic has no subscription: what is put there is lost."
  }
  assert {
    condition = alltrue([for s in concat(values(google_pubsub_subscription.push), values(google_pubsub_subscription.dead), [google_pubsub_subscription.rotation]) :
      s.expiration_policy[0].ttl == ""
    ])
    error_message = "A quiet subscription would be deleted."
  }
  assert {
    condition = alltrue([for name, s in google_pubsub_subscription.push :
      s.push_config[0].push_endpoint == "https://europe-west4-credits-test.cloudfunctions.net/${local.subscriptions[name].function}${local.subscriptions[name].path}" &&
      s.push_config[0].oidc_token[0].audience == "https://europe-west4-credits-test.cloudfunctions.net/${local.subscriptions[name].function}" &&
      s.push_config[0].oidc_token[0].service_account_email == google_service_account.push.email
    ])
    error_message = "A push goes elsewhere than wiring.json says, or is not signed for where it goes."
  }
  assert {
    condition = alltrue([for name, s in google_pubsub_subscription.push :
      s.ack_deadline_seconds == local.subscriptions[name].ack_deadline_seconds && s.message_retention_duration == "${local.subscriptions[name].retention_seconds}s" &&
      s.retry_policy[0].minimum_backoff == "${local.subscriptions[name].min_backoff_seconds}s" && s.retry_policy[0].maximum_backoff == "${local.subscriptions[name].max_backoff_seconds}s"
    ])
    error_message = "A push has other bounds than wiring.json says."
  }
  assert {
    condition = alltrue([for t in concat(values(google_pubsub_topic.this), [google_pubsub_topic.rotation]) :
      t.message_storage_policy[0].allowed_persistence_regions == toset(["europe-west4"])
    ])
    error_message = "Messages are kept outside europe-west4."
  }
}

run "documents_and_secrets" {
  assert {
    condition = (
      google_firestore_database.this.location_id == "europe-west4" && google_firestore_database.this.type == "FIRESTORE_NATIVE" &&
      google_firestore_database.this.delete_protection_state == "DELETE_PROTECTION_ENABLED" && google_firestore_database.this.deletion_policy == "ABANDON" &&
      google_firestore_database.this.point_in_time_recovery_enablement == "POINT_IN_TIME_RECOVERY_ENABLED" &&
      length(google_firestore_backup_schedule.daily.daily_recurrence) == 1 && google_firestore_backup_schedule.weekly.retention == "8467200s"
    )
    error_message = "The database is elsewhere, or not protected."
  }
  assert {
    condition     = length(google_firestore_index.this) == length(local.indexes.indexes) && length(google_firestore_field.this) == length(local.indexes.fields)
    error_message = "Indexes are not those of indexes.json."
  }
  assert {
    condition     = alltrue([for key, f in google_firestore_field.this : length(f.index_config) == 1 && (length(f.ttl_config) == 1) == [for x in local.indexes.fields : x.ttl if "${x.collection} ${x.path}" == key][0]])
    error_message = "A field has other indexes than indexes.json says, or another time to live."
  }
  assert {
    condition = alltrue([for s in google_secret_manager_secret.this :
      join(" ", s.replication[0].user_managed[0].replicas[*].location) == "europe-west4" && s.rotation[0].rotation_period == "7776000s" && s.topics[0].name == google_pubsub_topic.rotation.id
    ])
    error_message = "A secret is kept outside europe-west4, or nobody is reminded to rotate it."
  }
  assert {
    condition     = google_storage_bucket.sources.location == "europe-west4"
    error_message = "The sources are outside europe-west4."
  }
}

run "watch" {
  assert {
    condition = alltrue([for name, p in google_monitoring_alert_policy.this :
      p.documentation[0].links[0].url == "https://example.com/repository/terraform/playbooks/${local.alerts[name].playbook}.md" &&
      fileexists("playbooks/${local.alerts[name].playbook}.md") &&
      p.notification_channels == tolist([google_monitoring_notification_channel.on_call.id])
    ])
    error_message = "An alert tells nobody, or links a playbook that is not there."
  }
  assert {
    condition     = alltrue([for p in google_monitoring_alert_policy.this : length(p.conditions[0].condition_threshold) + length(p.conditions[0].condition_absent) + length(p.conditions[0].condition_prometheus_query_language) == 1])
    error_message = "An alert has not exactly one condition."
  }
  assert {
    condition = (
      keys(google_monitoring_uptime_check_config.health) == ["account", "purchasewebhook"] &&
      alltrue([for name, c in google_monitoring_uptime_check_config.health :
        c.http_check[0].path == "/${name}/health" && c.http_check[0].use_ssl && c.http_check[0].validate_ssl &&
        c.monitored_resource[0].labels.host == "europe-west4-credits-test.cloudfunctions.net" && length(c.selected_regions) >= 3
      ])
    )
    error_message = "A public function is not asked from outside whether it is there."
  }
  assert {
    condition     = google_billing_budget.month.amount[0].specified_amount[0].units == "50" && google_billing_budget.month.budget_filter[0].projects == toset(["projects/123456789"])
    error_message = "The budget is not that of the environment."
  }
}

run "people" {
  assert {
    condition = (
      length(google_identity_platform_config.this) == 0 &&
      module.function["account"].service.environment_variables["PEOPLE_ISSUER"] == "https://id.example.com/realm" &&
      module.function["account"].service.environment_variables["PEOPLE_AUDIENCE"] == "credits" &&
      module.function["account"].service.environment_variables["PEOPLE_CLAIM_PREFIX"] == "https://example.com/" &&
      module.function["account"].service.environment_variables["DASHBOARD_URL"] == "https://europe-west4-credits-test.cloudfunctions.net/account/ui/" &&
      module.function["account"].service.environment_variables["DASHBOARD_FRAME_ORIGIN"] == ""
    )
    error_message = "The dashboard does not sign people in where the environment says."
  }
  assert {
    condition     = toset(module.function["account"].service.secret_environment_variables[*].key) == toset(["DASHBOARD_KEYS", "PEOPLE_CLIENT_SECRET", "STRIPE_API_KEY"])
    error_message = "The dashboard has no keys, or no secret at the issuer."
  }
}

run "a_page_of_the_same_site_may_frame_the_dashboard" {
  variables {
    dashboard_url          = "https://credits.example.com/account/ui/"
    dashboard_frame_origin = "https://app.example.com"
  }
  assert {
    condition = (
      module.function["account"].service.environment_variables["DASHBOARD_FRAME_ORIGIN"] == "https://app.example.com" &&
      module.function["account"].service.environment_variables["DASHBOARD_URL"] == "https://credits.example.com/account/ui/" &&
      module.function["account"].service.environment_variables["CHECKOUT_RETURN_URL"] == "https://credits.example.com/account/ui/purchases/return"
    )
    error_message = "The dashboard cannot be framed by the configured origin, or is looked for elsewhere than people find it."
  }
}

run "a_frame_of_another_site_would_show_nobody_signed_in" {
  command = plan
  variables {
    dashboard_frame_origin = "https://app.example.com"
  }
  expect_failures = [var.dashboard_frame_origin]
}

run "a_public_client_has_no_secret" {
  variables {
    people          = { issuer = "https://id.example.com", client_id = "credits" }
    secret_versions = { dashboard-keys = "4", stripe-api-key = "1", stripe-webhook-secrets = "2", smtp-password = "3" }
  }
  assert {
    condition     = toset(module.function["account"].service.secret_environment_variables[*].key) == toset(["DASHBOARD_KEYS", "STRIPE_API_KEY"])
    error_message = "A public client is given a secret, or no keys."
  }
}

run "identity_platform_serves_the_api_alone" {
  variables {
    people              = null
    checkout_return_url = "https://example.com/bought"
    secret_versions     = { stripe-api-key = "1", stripe-webhook-secrets = "2", smtp-password = "3" }
  }
  assert {
    condition = (
      length(google_identity_platform_config.this) == 1 &&
      module.function["account"].service.environment_variables["PEOPLE_ISSUER"] == "https://securetoken.google.com/credits-test" &&
      module.function["account"].service.environment_variables["PEOPLE_AUDIENCE"] == "credits-test" &&
      module.function["account"].service.environment_variables["CHECKOUT_RETURN_URL"] == "https://example.com/bought" &&
      toset(module.function["account"].service.secret_environment_variables[*].key) == toset(["STRIPE_API_KEY"]) &&
      !contains(keys(google_secret_manager_secret.this), "dashboard-keys")
    )
    error_message = "Pages are served that nobody can sign in to, or the API takes other tokens than Identity Platform's."
  }
}

run "without_a_dashboard_nobody_comes_back_to_it" {
  command = plan
  variables {
    people = null
  }
  expect_failures = [var.checkout_return_url]
}

run "an_issuer_without_a_client_is_refused" {
  command = plan
  variables {
    people = { issuer = "https://id.example.com", client_id = "" }
  }
  expect_failures = [var.people]
}

run "frozen" {
  variables {
    frozen = true
  }
  assert {
    condition     = alltrue([for f in module.function : f.service.environment_variables["FROZEN"] == "true"])
    error_message = "A function goes on while all are frozen."
  }
  assert {
    condition     = alltrue([for s in google_pubsub_subscription.push : length(s.push_config) == 0 && length(s.dead_letter_policy) == 1])
    error_message = "Messages use up their attempts at frozen functions."
  }
}

run "a_function_without_a_source_is_refused" {
  command = plan
  variables {
    sources = {}
  }
  expect_failures = [var.sources]
}

run "latest_is_no_version_of_a_secret" {
  command = plan
  variables {
    secret_versions = { stripe-api-key = "latest" }
  }
  expect_failures = [var.secret_versions]
}
