# What prod is. PROJECT values are written here by whoever owns the projects; scripts/bootstrap says which are still missing.
project         = "fluxori-credits-prod"
project_number  = "0"
environment     = "prod"
billing_account = ""
repository_url  = "https://github.com/fluxori/ai-credits/blob/main"
on_call_email   = "credits-on-call@fluxori.com"
next_rotation   = "2027-02-01T08:00:00Z"

callers = [
  { email = "ai-services@fluxori-prod.iam.gserviceaccount.com", roles = ["spend", "operate"] },
]

secret_versions = {
  stripe-api-key         = "1"
  stripe-webhook-secrets = "1"
  smtp-password          = "1"
}

stripe = {
  livemode      = true
  automatic_tax = true
}

mail = {
  host     = "smtp.fluxori.com"
  port     = 587
  security = "starttls"
  username = "credits"
  from     = "Fluxori AI Credits <credits@fluxori.com>"
}

budget = {
  currency = "USD"
  units    = 500
}
