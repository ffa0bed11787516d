package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cloud.google.com/go/cloudbuild/apiv1/v2/cloudbuildpb"

	"github.com/fluxori/ai-credits/shared/needs"
)

// gcloud is a stand-in for the program: `storage cp [--no-clobber] FROM… TO`, with each bucket a folder beneath $BUCKETS.
const gcloud = `#!/usr/bin/env bash
set -euo pipefail
[ "$1 $2" = "storage cp" ] || { echo "gcloud $* is not expected" >&2; exit 1; }
shift 2
flags=()
if [ "$1" = --no-clobber ]; then flags=(--no-clobber); shift; fi
paths=()
for p in "$@"; do paths+=("${p/#gs:\/\//$BUCKETS/}"); done
mkdir -p "$(dirname "${paths[-1]}x")"
cp "${flags[@]}" "${paths[@]}"
`

// releases are two projects' buckets, and the upload step of the real build run on them.
type releases struct {
	step    *cloudbuildpb.BuildStep
	buckets string
	bin     string
}

func newReleases(t *testing.T) *releases {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "cloudbuild.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	build, err := parseBuild(data)
	if err != nil {
		t.Fatal(err)
	}
	r := &releases{buckets: t.TempDir(), bin: t.TempDir()}
	for _, s := range build.GetSteps() {
		if s.GetId() == "upload" {
			r.step = s
		}
	}
	if err := os.WriteFile(filepath.Join(r.bin, "gcloud"), []byte(gcloud), 0o755); err != nil {
		t.Fatal(err)
	}
	return r
}

// upload runs the step as Cloud Build does, and returns the sources that the next steps plan with. staged are the files of a new release.
func (r *releases) upload(t *testing.T, substitutions map[string]string, staged map[string]string) (string, error) {
	t.Helper()
	work := t.TempDir()
	for name, text := range staged {
		if err := put(filepath.Join(work, ".staged", name), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	script := substitutionPattern.ReplaceAllStringFunc(r.step.GetArgs()[1], func(m string) string {
		if m == "$$" {
			return "$"
		}
		return substitutions[strings.Trim(m, "${}")]
	})
	cmd := exec.CommandContext(t.Context(), r.step.GetEntrypoint(), r.step.GetArgs()[0], script)
	cmd.Dir = work
	cmd.Env = append(os.Environ(), "PATH="+r.bin+":"+os.Getenv("PATH"), "BUCKETS="+r.buckets)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Logf("%s", out)
		return "", err
	}
	sources, err := os.ReadFile(filepath.Join(work, ".staged", "sources.tfvars.json"))
	return string(sources), err
}

// TestGoingBackDeploysTheSourcesOfThatRelease runs the one command of the README's "Deploy" as far as it decides what is deployed.
func TestGoingBackDeploysTheSourcesOfThatRelease(t *testing.T) {
	t.Parallel()
	needs.Program(t, "bash")
	r := newReleases(t)
	project := func(name, build, release, from string) map[string]string {
		return map[string]string{"PROJECT_ID": name, "BUILD_ID": build, "_RELEASE": release, "_FROM": from}
	}
	const first, second = `{"sources":{"debit":"debit-01.zip","usage":"usage-01.zip"}}`, `{"sources":{"debit":"debit-02.zip","usage":"usage-01.zip"}}`
	for _, build := range []struct{ id, sources, zip string }{{"one", first, "debit-01.zip"}, {"two", second, "debit-02.zip"}} {
		staged := map[string]string{"sources.tfvars.json": build.sources, build.zip: build.id, "usage-01.zip": "same"}
		if got, err := r.upload(t, project("staging", build.id, "", ""), staged); err != nil || got != build.sources {
			t.Fatal(got, err)
		}
	}
	if got, err := r.upload(t, project("staging", "three", "one", ""), nil); err != nil || got != first {
		t.Errorf("back to one deploys %s, %v", got, err)
	}
	// What was gone back to is a release of its own: one can go back to it, too.
	if got, err := r.upload(t, project("staging", "four", "three", ""), nil); err != nil || got != first {
		t.Errorf("back to three deploys %s, %v", got, err)
	}
	if got, err := r.upload(t, project("prod", "five", "two", "staging"), nil); err != nil || got != second {
		t.Errorf("promoted was %s, %v", got, err)
	}
	for _, zip := range []string{"debit-02.zip", "usage-01.zip"} {
		if _, err := os.Stat(filepath.Join(r.buckets, "prod-sources", zip)); err != nil {
			t.Errorf("production has not what it is to run: %v", err)
		}
	}
	if _, err := r.upload(t, project("prod", "six", "never", ""), nil); err == nil {
		t.Error("a release that never was is deployed")
	}
}
