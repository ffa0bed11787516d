package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// region is where everything is.
const region = "europe-west4"

// firstAPIs are those without which Terraform and the first steps do nothing; Terraform enables the others.
var firstAPIs = []string{
	"cloudbilling", "billingbudgets", "cloudbuild", "cloudresourcemanager", "firestore", "iam", "identitytoolkit", "pubsub", "secretmanager", "serviceusage", "storage",
}

// deployRoles are what the account that builds and deploys may do in the project.
var deployRoles = []string{
	"cloudbuild.builds.editor", "cloudfunctions.admin", "cloudscheduler.admin", "datastore.owner", "iam.serviceAccountAdmin", "iam.serviceAccountUser",
	"identityplatform.admin", "logging.admin", "monitoring.admin", "pubsub.admin", "resourcemanager.projectIamAdmin", "run.admin", "secretmanager.admin",
	"serviceusage.serviceUsageAdmin", "storage.admin",
}

// firstTargets are what must be there before the functions: their secrets, the bucket of their sources, their database.
var firstTargets = []string{"google_secret_manager_secret.this", "google_storage_bucket.sources", "google_firestore_database.this", "google_firestore_field.this", "google_firestore_index.this"}

// bootstrap is one run.
type bootstrap struct {
	outside
	project, environment, operator, from string

	number  string // of the project
	billing string // the billing account
	// dashboard is where people find the pages, if not at the function's own address.
	dashboard string
	people    people
}

type step struct {
	what string
	do   func(ctx context.Context) error
}

func (b *bootstrap) steps() []step {
	return []step{
		{"the tools", b.tools},
		{"the environment's values", b.values},
		{"the sign-in to Google Cloud", b.signIn},
		{"the issuer that people sign in with", b.issuer},
		{"the project and its billing", b.billed},
		{"the state's bucket", b.stateBucket},
		{"the first APIs and Google's own accounts", b.apis},
		{"the account that deploys", b.deployAccount},
		{"the secrets, the bucket of sources and the database", b.foundation},
		{"the secret stripe-api-key", func(ctx context.Context) error {
			return b.secret(ctx, "stripe-api-key", "STRIPE_API_KEY", "the secret key of the Stripe account (Developers, API keys), of live mode for prod and of test mode for staging")
		}},
		{"the secret smtp-password", func(ctx context.Context) error {
			return b.secret(ctx, "smtp-password", "SMTP_PASSWORD", "the password of the mail server that terraform/env names")
		}},
		{"the dashboard's secrets", b.dashboardSecrets},
		{"Stripe's endpoint and its secret", b.endpoint},
		{"the catalogue, and the organisation that deployments are tried with", func(ctx context.Context) error { return b.seed(ctx, b.project) }},
		{"the promotion of releases", b.promotion},
		{"the first build", b.build},
		{"the first operator", b.firstOperator},
	}
}

func (b *bootstrap) gcloud(ctx context.Context, args ...string) (string, error) {
	out, err := b.command(ctx, "", "gcloud", append(args, "--project="+b.project, "--quiet")...)
	return strings.TrimSpace(out), err
}

func (b *bootstrap) tools(ctx context.Context) error {
	for _, tool := range []string{"gcloud", "terraform"} {
		if _, err := b.command(ctx, "", tool, "version"); err != nil {
			return missing{fmt.Sprintf("%s, on the PATH (%v)", tool, err)}
		}
	}
	return nil
}

var (
	billingPattern   = regexp.MustCompile(`(?m)^billing_account\s*=\s*"([^"]*)"`)
	dashboardPattern = regexp.MustCompile(`(?m)^dashboard_url\s*=\s*"([^"]+)"`)
)

// values reads the file that says what the environment is.
func (b *bootstrap) values(context.Context) error {
	path := filepath.Join("terraform", "env", b.environment+".tfvars")
	data, err := os.ReadFile(filepath.Join(b.root, path))
	if err != nil {
		return err
	}
	m := billingPattern.FindSubmatch(data)
	if m == nil || len(m[1]) == 0 {
		return missing{"billing_account in " + path + ": the id of the billing account (gcloud billing accounts list); go through the other values there too"}
	}
	b.billing = string(m[1])
	if m := dashboardPattern.FindSubmatch(data); m != nil {
		b.dashboard = string(m[1])
	}
	var ok bool
	if b.people, ok = readPeople(string(data)); !ok {
		return missing{"people in " + path + ": issuer and client_id of the OpenID Connect issuer that people sign in with, where " + b.dashboardURL() +
			"callback is a redirect address; or null, for Identity Platform and no dashboard"}
	}
	return nil
}

func (b *bootstrap) signIn(ctx context.Context) error {
	if _, err := b.command(ctx, "", "gcloud", "auth", "print-access-token", "--quiet"); err != nil {
		return missing{"a sign-in: gcloud auth login"}
	}
	if _, err := b.command(ctx, "", "gcloud", "auth", "application-default", "print-access-token", "--quiet"); err != nil {
		return missing{"a sign-in for programs: gcloud auth application-default login"}
	}
	return nil
}

func (b *bootstrap) billed(ctx context.Context) error {
	out, err := b.command(ctx, "", "gcloud", "projects", "describe", b.project, "--format=value(projectNumber)", "--quiet")
	if b.number = strings.TrimSpace(out); err != nil || b.number == "" {
		return missing{"the project " + b.project + ", or your access to it: gcloud projects create " + b.project}
	}
	out, err = b.command(ctx, "", "gcloud", "billing", "projects", "describe", b.project, "--format=value(billingEnabled)", "--quiet")
	if err != nil || !strings.EqualFold(strings.TrimSpace(out), "true") {
		return missing{"billing: gcloud billing projects link " + b.project + " --billing-account=" + b.billing}
	}
	return nil
}

func (b *bootstrap) stateBucket(ctx context.Context) error {
	bucket := "gs://" + b.project + "-terraform"
	if _, err := b.gcloud(ctx, "storage", "buckets", "describe", bucket); err == nil {
		return nil
	}
	if _, err := b.gcloud(ctx, "storage", "buckets", "create", bucket, "--location="+region, "--uniform-bucket-level-access", "--public-access-prevention"); err != nil {
		return err
	}
	_, err := b.gcloud(ctx, "storage", "buckets", "update", bucket, "--versioning")
	return err
}

func (b *bootstrap) apis(ctx context.Context) error {
	args := []string{"services", "enable"}
	for _, api := range firstAPIs {
		args = append(args, api+".googleapis.com")
	}
	if _, err := b.gcloud(ctx, args...); err != nil {
		return err
	}
	// Terraform gives these accounts rights, and so they must exist.
	for _, service := range []string{"pubsub", "secretmanager"} {
		if _, err := b.gcloud(ctx, "beta", "services", "identity", "create", "--service="+service+".googleapis.com"); err != nil {
			return err
		}
	}
	return nil
}

// deployer is the account that builds and deploys.
func (b *bootstrap) deployer() string { return "deploy@" + b.project + ".iam.gserviceaccount.com" }

func (b *bootstrap) deployAccount(ctx context.Context) error {
	if _, err := b.gcloud(ctx, "iam", "service-accounts", "describe", b.deployer()); err != nil {
		if _, err := b.gcloud(ctx, "iam", "service-accounts", "create", "deploy", "--display-name=Builds and deploys"); err != nil {
			return err
		}
	}
	for _, role := range deployRoles {
		if _, err := b.gcloud(ctx, "projects", "add-iam-policy-binding", b.project, "--member=serviceAccount:"+b.deployer(), "--role=roles/"+role, "--condition=None", "--format=none"); err != nil {
			return err
		}
	}
	_, err := b.command(ctx, "", "gcloud", "billing", "accounts", "add-iam-policy-binding", b.billing,
		"--member=serviceAccount:"+b.deployer(), "--role=roles/billing.costsManager", "--format=none", "--quiet")
	if err != nil {
		return missing{fmt.Sprintf("the right to let %s keep a budget, which an administrator of the billing account %s has (%v)", b.deployer(), b.billing, err)}
	}
	return nil
}

// foundation applies the part of Terraform that the next steps need.
func (b *bootstrap) foundation(ctx context.Context) error {
	dir := "-chdir=" + filepath.Join(b.root, "terraform")
	if _, err := b.command(ctx, "", "terraform", dir, "init", "-input=false", "-reconfigure", "-backend-config=bucket="+b.project+"-terraform"); err != nil {
		return err
	}
	sources, err := b.noSources()
	if err != nil {
		return err
	}
	args := []string{
		dir, "apply", "-input=false", "-auto-approve", "-var=project=" + b.project, "-var=project_number=" + b.number,
		"-var-file=env/" + b.environment + ".tfvars", "-var=sources=" + sources,
	}
	for _, target := range firstTargets {
		args = append(args, "-target="+target)
	}
	_, err = b.command(ctx, "", "terraform", args...)
	return err
}

// secret adds a secret's first version, if there is none.
func (b *bootstrap) secret(ctx context.Context, name, variable, what string) error {
	if has, err := b.hasVersion(ctx, name); has || err != nil {
		return err
	}
	value := b.env(variable)
	if value == "" {
		return missing{variable + " in the environment: " + what}
	}
	return b.addVersion(ctx, name, value)
}

func (b *bootstrap) hasVersion(ctx context.Context, name string) (bool, error) {
	out, err := b.gcloud(ctx, "secrets", "versions", "list", name, "--filter=state=ENABLED", "--limit=1", "--format=value(name)")
	return out != "", err
}

func (b *bootstrap) addVersion(ctx context.Context, name, value string) error {
	_, err := b.command(ctx, value, "gcloud", "secrets", "versions", "add", name, "--data-file=-", "--project="+b.project, "--quiet")
	return err
}

// promotion lets the account that deploys the other project submit builds here, and this one's read the other's sources.
func (b *bootstrap) promotion(ctx context.Context) error {
	if b.from == "" {
		return nil
	}
	other := "--member=serviceAccount:deploy@" + b.from + ".iam.gserviceaccount.com"
	for _, role := range []string{"cloudbuild.builds.editor", "serviceusage.serviceUsageConsumer", "storage.admin"} { // a build's source goes to a bucket of this project's
		if _, err := b.gcloud(ctx, "projects", "add-iam-policy-binding", b.project, other, "--role=roles/"+role, "--condition=None", "--format=none"); err != nil {
			return err
		}
	}
	if _, err := b.gcloud(ctx, "iam", "service-accounts", "add-iam-policy-binding", b.deployer(), other, "--role=roles/iam.serviceAccountUser", "--format=none"); err != nil {
		return err
	}
	_, err := b.command(ctx, "", "gcloud", "storage", "buckets", "add-iam-policy-binding", "gs://"+b.from+"-sources",
		"--member=serviceAccount:"+b.deployer(), "--role=roles/storage.objectViewer", "--format=none", "--quiet")
	if err != nil {
		return missing{fmt.Sprintf("the bucket of sources of %s, or the right to share it: bootstrap that project first (%v)", b.from, err)}
	}
	return nil
}

// build submits the first build. Later ones are submitted in the same way.
func (b *bootstrap) build(ctx context.Context) error {
	out, err := b.gcloud(ctx, "functions", "list", "--v2", "--regions="+region, "--format=value(name)", "--filter=state=ACTIVE")
	if err == nil && strings.Contains(out, "account") {
		return nil
	}
	_, err = b.gcloud(ctx, "builds", "submit", b.root, "--config="+filepath.Join(b.root, "cloudbuild.yaml"),
		"--service-account=projects/"+b.project+"/serviceAccounts/"+b.deployer(), "--substitutions=_ENV="+b.environment)
	return err
}
