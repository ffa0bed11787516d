# What the code says is read from where it says it, so that nothing is said twice.
locals {
  region = "europe-west4"
  root   = "${path.module}/${var.root}"

  wiring  = jsondecode(file("${local.root}/shared/wiring/wiring.json"))
  limits  = jsondecode(file("${local.root}/shared/limits/limits.json"))
  indexes = jsondecode(file("${local.root}/shared/indexes/indexes.json"))

  # What is said of functions here only: who may call them, and what each is given.
  grants = jsondecode(file("${path.module}/functions.json"))

  bounds   = { for f in local.limits.functions : f.name => f }
  base_url = "https://${local.region}-${var.project}.cloudfunctions.net"
}
