variable "project" {
  description = "Id of the Google Cloud project. Staging and production each have their own."
  type        = string
}

variable "project_number" {
  description = "Number of the same project: Google's own service accounts are named by it."
  type        = string
  validation {
    condition     = can(regex("^[0-9]+$", var.project_number))
    error_message = "A project's number consists of digits."
  }
}

variable "environment" {
  description = "staging or prod."
  type        = string
  validation {
    condition     = contains(["staging", "prod"], var.environment)
    error_message = "The environment is staging or prod."
  }
}

variable "root" {
  description = "The project's root, from this folder: its lists are read there. Only tests set it."
  type        = string
  default     = ".."
}

variable "sources" {
  description = "Each function's zip in the bucket of sources, as scripts/stage names it."
  type        = map(string)
  validation {
    condition     = alltrue([for name, object in var.sources : can(regex("^${name}-[0-9a-f]{20}\\.zip$", object))])
    error_message = "A source is called NAME-HASH.zip."
  }
  validation {
    condition     = length(setsubtract(local.limits.functions[*].name, keys(var.sources))) == 0
    error_message = "A function has no staged source: run scripts/stage, and pass -var-file=.staged/sources.tfvars.json."
  }
}

variable "secret_versions" {
  description = "The version of each secret that functions are given, by the secret's name. Never latest: a new version takes effect when it is written here, and the old one is there to go back to."
  type        = map(string)
  validation {
    condition     = alltrue([for version in values(var.secret_versions) : can(regex("^[1-9][0-9]*$", version))])
    error_message = "A secret's version is a number."
  }
}

variable "next_rotation" {
  description = "When somebody is first reminded to rotate the secrets, in RFC 3339; then every 90 days."
  type        = string
}

variable "callers" {
  description = "The AI services' service accounts, with their roles, spend or operate, and the organisations each is bound to; none for all."
  type = list(object({
    email = string
    roles = list(string)
    orgs  = optional(list(string), [])
  }))
}

variable "people" {
  description = "Who signs people in: an OpenID Connect issuer with the code flow and PKCE, the client that the dashboard is there, what precedes the names of the claims support and platform, and whether the client has a secret (people-client-secret). null for Identity Platform, for the API alone: no pages are served."
  type = object({
    issuer       = string
    client_id    = string
    claim_prefix = optional(string, "")
    confidential = optional(bool, false)
  })
  validation {
    condition     = var.people == null || can(regex("^https://[^/]+(/.*)?$", var.people.issuer)) && try(var.people.client_id, "") != ""
    error_message = "The issuer is an https URL, and the dashboard has a client id there; or people is null."
  }
}

variable "checkout_return_url" {
  description = "The page to which people come back from Stripe; null for the dashboard's own."
  type        = string
  default     = null
  validation {
    condition     = var.people != null || var.checkout_return_url != null
    error_message = "Without a dashboard there is no page to come back to from Stripe: say which."
  }
}

variable "dashboard_url" {
  description = "Where people find the dashboard, if that is a host of your own that leads to the function account; null for the function's address."
  type        = string
  default     = null
  validation {
    condition     = var.dashboard_url == null || can(regex("^https://[^/]+/(.*/)?ui/$", var.dashboard_url))
    error_message = "The dashboard's address is an https URL that ends in /ui/."
  }
}

variable "dashboard_frame_origin" {
  description = "The one origin that may frame the dashboard, such as https://app.fluxori.com; empty for none. Browsers send the dashboard's cookie into a frame of its own site only, so dashboard_url must be of the same site."
  type        = string
  default     = ""
  validation {
    condition     = var.dashboard_frame_origin == "" || can(regex("^https://[^/]+$", var.dashboard_frame_origin)) && var.dashboard_url != null
    error_message = "It is an https origin without a path, and needs a dashboard_url of the same site: the functions' own host is a site by itself."
  }
}

variable "support_email" {
  description = "The address that people are told to write to."
  type        = string
}

variable "stripe_livemode" {
  description = "Whether Stripe's key and events are for real money."
  type        = bool
}

variable "mail" {
  description = "The mail server and the sender; its password is the secret smtp-password."
  type = object({
    host     = string
    port     = number
    security = string
    username = string
    from     = string
  })
}

variable "database" {
  description = "The Firestore database that functions use: another than (default) only after a restore. See playbooks/restore.md."
  type        = string
  default     = "(default)"
}

variable "subscription_grace" {
  description = "For how long a subscription's credits can be used after their period while its renewal is awaited."
  type        = string
  default     = "2h"
}

variable "frozen" {
  description = "Whether every function refuses, with 503, whatever would change something. See playbooks/freeze-everything.md."
  type        = bool
  default     = false
}

variable "telemetry_endpoint" {
  description = "Where functions send figures and traces: Google Cloud's receiver of OpenTelemetry, or a collector; empty for nowhere."
  type        = string
  default     = "https://telemetry.googleapis.com"
}

variable "on_call_email" {
  description = "Where alerts go."
  type        = string
}

variable "repository_url" {
  description = "Where the playbooks can be read: alerts link URL/terraform/playbooks/NAME.md."
  type        = string
}

variable "billing_account" {
  description = "Id of the billing account, for the budget."
  type        = string
}

variable "budget" {
  description = "What a month may cost before somebody is told, in whole units of the billing account's currency."
  type = object({
    currency = string
    units    = number
  })
}
