# What staging is. Its project comes from the build (or from -var), what is secret from Secret Manager.
environment     = "staging"
billing_account = ""
repository_url  = "https://github.com/fluxori/ai-credits/blob/main"
on_call_email   = "credits-on-call@fluxori.com"
support_email   = "support@fluxori.com"
next_rotation   = "2027-02-01T08:00:00Z"

# The AI services' own accounts, once they exist, such as
#   { email = "ai-services@PROJECT.iam.gserviceaccount.com", roles = ["spend", "operate"] },
callers = []

# Who signs people in: any OpenID Connect issuer with the code flow and PKCE that can put the claims support and platform into its ID tokens, such
# as Keycloak, Auth0 or Okta. The dashboard's redirect address there is https://europe-west4-PROJECT.cloudfunctions.net/account/ui/callback.
# null for Identity Platform, for the API alone: it has no sign-in page, so no dashboard is served.
people = {
  issuer       = ""
  client_id    = ""
  claim_prefix = ""    # what the issuer demands before the names of claims, such as https://fluxori.com/
  confidential = false # true for a client with a secret: people-client-secret
}

# Where people find the dashboard, if a host of your own leads to the function account, and the origin that may frame it, of the same site:
# dashboard_url          = "https://credits.fluxori.com/account/ui/"
# dashboard_frame_origin = "https://app.fluxori.com"

secret_versions = {
  dashboard-keys         = "1"
  people-client-secret   = "1"
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
