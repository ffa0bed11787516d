package main

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fluxori/ai-credits/shared/needs"
)

const root = "../.."

func TestWhatIsDeployedIsWhatTheCodeWants(t *testing.T) {
	t.Parallel()
	if err := check(root); err != nil {
		t.Error(err)
	}
}

func TestTerraformHoldsWithTheRealLists(t *testing.T) {
	t.Parallel()
	checker := needs.Terraform(t)
	if err := run([]string{"-root", root, "-terraform", checker}, io.Discard); err != nil {
		t.Error(err)
	}
}

// clone copies the tree, without what tests only need.
func clone(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() && rel != "." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if !d.Type().IsRegular() {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return put(filepath.Join(dir, rel), data)
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func put(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

// plant makes one mistake in a tree: old becomes changed, everywhere in a file.
func plant(t *testing.T, dir, file, old, changed string) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(file))
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) && old == "" {
		err = nil
	}
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, []byte(old)) {
		t.Fatalf("%s has no %q to change", file, old)
	}
	if old == "" {
		data = []byte(changed)
	} else {
		data = bytes.ReplaceAll(data, []byte(old), []byte(changed))
	}
	if err := put(path, data); err != nil {
		t.Fatal(err)
	}
}

func TestAPlantedMistakeIsFound(t *testing.T) {
	t.Parallel()
	const outboxJob = `"name": "outbox", "function": "outbox"`
	for _, c := range []struct {
		name, file, old, changed, want string
	}{
		{"a wrong topic name", "shared/wiring/wiring.json", `"credit-alerts"`, `"credit-alert"`, `published to "credit-alerts"`},
		{"a wrong topic name in the code", "shared/events/message.go", `"credit-expiry"`, `"credits-expiry"`, `published to "credits-expiry"`},
		{"a wrong topic in a row", "terraform/functions.json", `"ai-usage-dead"`, `"ai-usage-deed"`, "ai-usage-deed"},
		{"a scheduled function without a job", "shared/wiring/wiring.json", outboxJob, `"name": "outbox", "function": "expiry"`, "no job in wiring.json fires POST /outbox"},
		{"a route without its job", "shared/wiring/wiring.json", `"path": "/warnings"`, `"path": "/warning"`, "no job in wiring.json fires POST /expiry/warnings"},
		{"a route without its push", "shared/wiring/wiring.json", `"path": "/dead"`, `"path": ""`, "pushes to POST /usage/dead"},
		{"an unknown field of the build", "cloudbuild.yaml", "waitFor: [plan]", "waitsFor: [plan]", "waitsFor"},
		{"an unknown field of a secret", "cloudbuild.yaml", "versionName:", "versionsName:", "versionsName"},
		{"a step twice", "cloudbuild.yaml", "id: apply", "id: plan", "step plan is there twice"},
		{"a step that waits for none", "cloudbuild.yaml", "waitFor: [plan]", "waitFor: [plans]", "waits for plans"},
		{"a substitution that is not defined", "cloudbuild.yaml", "env/${_ENV}.tfvars", "env/${_ENVIRONMENT}.tfvars", "_ENVIRONMENT, which is not defined"},
		{"a variable of the shell that the build would take", "cloudbuild.yaml", "$$from/releases", "$from/releases", "uses from, which is not defined"},
		{"an image that changes", "cloudbuild.yaml", "golang:1.26", "golang:latest", "no fixed version"},
		{"a secret that is not available", "cloudbuild.yaml", "secretEnv: [STRIPE", "secretEnv: [STRIPES", "not available"},
		{"a program that is not there", "cloudbuild.yaml", "scripts/stage", "scripts/stages", "scripts/stages"},
		{"a function without a row", "functions/forgotten/function.go", "", "package forgotten\n\ntype config struct{}\n", "no row for forgotten"},
		{"a row without a function", "terraform/functions.json", `"usage": {`, `"usages": {`, "usages, which is no function"},
		{"a setting that is missing", "terraform/functions.json", `"CALLERS", `, ``, "debit: is not given CALLERS"},
		{"a setting that is misspelled", "terraform/functions.json", `"MAIL_FROM"`, `"MAIL_FORM"`, "given MAIL_FORM"},
		{"a setting that the code renamed", "shared/notify/smtp.go", `env:"SMTP_HOST, required"`, `env:"SMTP_SERVER, required"`, "alerts: is not given SMTP_SERVER"},
		{"a secret in the open", "terraform/functions.json", `"SMTP_HOST", `, `"SMTP_HOST", "SMTP_PASSWORD", `, "stands open"},
		{"a public function", "terraform/functions.json", `"invokers": "services"`, `"invokers": "everyone"`, "debit: only account and purchasewebhook"},
		{"an alert on a line that nobody writes", "terraform/alerts.json", "the outbox cannot be emptied", "the outbox is full", "which nothing writes"},
		{"a line that was reworded", "functions/outbox/handler.go", "the outbox cannot be emptied", "the outbox is full", "which nothing writes"},
		{"a metric that nobody records", "terraform/alerts.json", "credits_outbox_age_seconds", "credits_outbox_seconds", "asks for credits_outbox_seconds"},
		{"a chart of a metric that was renamed", "shared/telemetry/metrics.json", "credits_refusals_total", "credits_refused_total", "dashboard.tf asks for credits_refusals_total"},
		{"a metric told apart by what it is not", "terraform/dashboard.tf", "sum by (topic)", "sum by (queue)", "by queue"},
		{"a metric narrowed to what it is not", "terraform/alerts.json", `outcome=\"conflict\"`, `result=\"conflict\"`, "by result"},
		{"a metric that nobody looks at", "terraform/dashboard.tf", "credits_batch_commands_bucket", "credits_commit_seconds_bucket", "nobody looks at credits_batch_commands"},
		{"a common setting that is misspelled", "terraform/functions.tf", "TELEMETRY_ENDPOINT", "TELEMETRY_ENDPONT", "gives no function TELEMETRY_ENDPOINT"},
		{"a secret without a version", "terraform/env/prod.tfvars", "dashboard-keys ", "dashboard-key ", "prod.tfvars pins no version of dashboard-keys"},
		{"keys in the open", "terraform/functions.json", `"DASHBOARD_URL", "FIRESTORE_DATABASE", "GOOGLE_CLOUD_PROJECT", "PEOPLE`, `"DASHBOARD_KEYS", "DASHBOARD_URL", "FIRESTORE_DATABASE", "GOOGLE_CLOUD_PROJECT", "PEOPLE`, "DASHBOARD_KEYS stands open"},
		{"an alert without its playbook", "terraform/alerts.json", `"playbook": "conflicts"`, `"playbook": "conflict"`, "playbook conflict"},
		{"an alert on a function that is not there", "terraform/alerts.json", `service_name = \"outbox\"`, `service_name = \"outboxes\"`, "watches outboxes"},
		{"an alert with an unknown member", "terraform/alerts.json", `"severity": "CRITICAL"`, `"severities": "CRITICAL"`, "severities"},
		{"a playbook without a part", "terraform/playbooks/restore.md", "## Verify", "## Done", "playbook restore.md has the parts"},
		{"a playbook that leads nowhere", "terraform/playbooks/restore.md", "(freeze-everything.md)", "(freeze.md)", "freeze.md"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := clone(t)
			plant(t, dir, c.file, c.old, c.changed)
			if err := check(dir); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the check says %v, not %q", err, c.want)
			}
		})
	}
}

func TestTerraformFindsAPlantedMistake(t *testing.T) {
	t.Parallel()
	checker := needs.Terraform(t)
	for _, c := range []struct {
		name, file, old, changed, want string
	}{
		{"a misspelled attribute", "terraform/functions.tf", "uniform_bucket_level_access", "uniform_bucket_level_acces", "uniform_bucket_level_acces"},
		{"a setting without a value", "terraform/functions.tf", "MAIL_FROM", "MAIL_FORM", "local.settings"},
		{"a function for everybody", "terraform/functions.json", `"invokers": "services"`, `"invokers": "everyone"`, "Only account and purchasewebhook are public"},
		{"a subscription without a dead letter", "shared/wiring/wiring.json", `"dead_letter": {"topic": "undelivered", "max_delivery_attempts": 100},`, ``, "dead letter"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := clone(t)
			plant(t, dir, c.file, c.old, c.changed)
			if err := checkTerraform(t.Context(), dir, checker); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Terraform says %v, not %q", err, c.want)
			}
		})
	}
}

// TestAMissingIndexFailsTheTests plants it where only a query can find it: the embedded Firestore refuses what the list does not serve.
func TestAMissingIndexFailsTheTests(t *testing.T) {
	t.Parallel()
	dir := clone(t)
	plant(t, dir, "shared/indexes/indexes.json", `{"path": "lane", "order": "ASCENDING"}, {"path": "at", "order": "DESCENDING"}`,
		`{"path": "lane", "order": "ASCENDING"}, {"path": "at", "order": "ASCENDING"}`)
	cmd := exec.CommandContext(t.Context(), "go", "test", "-vet=off", "-run", "^TestABalanceAtAnEntrysTimeIsItsRunningFigures$", "./shared/ledger")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod -trimpath", "GOPROXY=off", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("The query requires an index: in indexes.json")) {
		t.Errorf("the tests say %v\n%s", err, out)
	}
}
