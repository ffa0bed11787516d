variable "name" {
  description = "The function's name: its folder in functions/."
  type        = string
}

variable "project" {
  type = string
}

variable "region" {
  type = string
}

variable "bounds" {
  description = "The function's row of limits.json."
  type = object({
    concurrency   = number
    cpu_millis    = number
    memory_mib    = number
    min_instances = number
    max_instances = number
    gc_percent    = optional(number, 100)
  })
}

variable "timeout_seconds" {
  type = number
}

variable "bucket" {
  description = "Where the sources are."
  type        = string
}

variable "object" {
  description = "The function's zip."
  type        = string
}

variable "build_account" {
  description = "Id of the service account that builds it."
  type        = string
}

variable "environment" {
  type = map(string)
}

variable "secrets" {
  description = "Secrets by the setting that they are given as."
  type = map(object({
    secret  = string
    version = string
  }))
  validation {
    condition     = alltrue([for s in values(var.secrets) : s.version != ""])
    error_message = "A secret has no pinned version: write it into secret_versions."
  }
}

variable "publishes" {
  description = "Topics that it may publish to, by their names in wiring.json."
  type        = map(string)
}

variable "invokers" {
  description = "IAM members that may call it, by what they are."
  type        = map(string)
}
