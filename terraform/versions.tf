# Versions are held to what was checked. The state lies in a bucket that `terraform init -backend-config=bucket=…` names: scripts/bootstrap
# makes it, one in each project.
terraform {
  required_version = "~> 1.11"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50"
    }
  }
  backend "gcs" {
    prefix = "ai-credits"
  }
}

provider "google" {
  project = var.project
  region  = local.region
  # Identity Platform and budgets ask which project a request is counted against.
  user_project_override = true
  billing_project       = var.project
}
