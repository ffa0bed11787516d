# What staging is. Its project comes from the build (or from -var), what is secret from Secret Manager.
environment     = "staging"
billing_account = ""
repository_url  = "https://github.com/fluxori/ai-credits/blob/main"
on_call_email   = "credits-on-call@fluxori.com"
next_rotation   = "2027-02-01T08:00:00Z"

# The AI services' own accounts, once they exist, such as
#   { email = "ai-services@PROJECT.iam.gserviceaccount.com", roles = ["spend", "operate"] },
callers = []

secret_versions = {
  stripe-api-key         = "1"
  stripe-webhook-secrets = "1"
  smtp-password          = "1"
}

stripe_livemode = false

mail = {
  host     = "smtp.fluxori.com"
  port     = 587
  security = "starttls"
  username = "credits"
  from     = "Fluxori AI Credits <credits@fluxori.com>"
}

budget = {
  currency = "USD"
  units    = 50
}
