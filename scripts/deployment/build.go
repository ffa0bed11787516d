package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"cloud.google.com/go/cloudbuild/apiv1/v2/cloudbuildpb"
	"google.golang.org/protobuf/encoding/protojson"
	"gopkg.in/yaml.v3"
)

// stages are the steps that a build has, in this order, among others.
var stages = []string{"check", "terraform-check", "stage", "upload", "plan", "apply", "smoke", "promote"}

// builtin are the substitutions that Cloud Build makes by itself in a build that is submitted by hand.
var builtin = []string{"PROJECT_ID", "PROJECT_NUMBER", "BUILD_ID", "LOCATION"}

// substitutionPattern finds ${NAME} and $NAME, also in lower case, which Cloud Build refuses; $$ is a dollar of the shell's.
var substitutionPattern = regexp.MustCompile(`\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$([A-Za-z_][A-Za-z0-9_]*)`)

// checkBuild holds cloudbuild.yaml to Cloud Build's own definition of a build, to the last member, and to what only a run would find.
func (p *project) checkBuild() error {
	data, err := os.ReadFile(p.path("cloudbuild.yaml"))
	if err != nil {
		return err
	}
	build, err := parseBuild(data)
	if err != nil {
		return fmt.Errorf("cloudbuild.yaml: %w", err)
	}
	p.must(build.GetTimeout().AsDuration() > 0, "cloudbuild.yaml: the build has no timeout")
	var ids []string
	for i, s := range build.GetSteps() {
		p.must(s.GetId() != "", "cloudbuild.yaml: step %d has no id", i+1)
		p.must(!slices.Contains(ids, s.GetId()), "cloudbuild.yaml: step %s is there twice", s.GetId())
		_, tag, tagged := strings.Cut(s.GetName()[strings.LastIndex(s.GetName(), "/")+1:], ":")
		p.must(tagged && tag != "latest", "cloudbuild.yaml: step %s: the image %s has no fixed version", s.GetId(), s.GetName())
		p.must(len(s.GetWaitFor()) > 0, "cloudbuild.yaml: step %s does not say what it waits for", s.GetId())
		for _, before := range s.GetWaitFor() {
			p.must(before == "-" || slices.Contains(ids, before), "cloudbuild.yaml: step %s waits for %s, which is no step before it", s.GetId(), before)
		}
		ids = append(ids, s.GetId())
	}
	at := -1
	for _, stage := range stages {
		next := slices.Index(ids, stage)
		p.must(next > at, "cloudbuild.yaml: step %s is missing or out of order", stage)
		at = max(at, next)
	}
	for _, m := range scriptPattern.FindAllSubmatch(data, -1) {
		if _, err := os.Stat(p.path("scripts", string(m[1]))); err != nil {
			p.must(false, "cloudbuild.yaml runs scripts/%s: %w", m[1], err)
		}
	}
	if _, err := os.Stat(p.path("scripts", "creditsctl")); err == nil {
		at := slices.Index(ids, "jobs")
		p.must(at > slices.Index(ids, "apply") && at < slices.Index(ids, "smoke"), "cloudbuild.yaml: no step jobs applies the scheduled jobs after apply and before smoke")
	}
	p.checkSubstitutions(build)
	return nil
}

// scriptPattern finds the project's own programs.
var scriptPattern = regexp.MustCompile(`go run \./scripts/([a-z]+)`)

func parseBuild(data []byte) (*cloudbuildpb.Build, error) {
	var tree any
	if err := yaml.Unmarshal(data, &tree); err != nil {
		return nil, err
	}
	text, err := json.Marshal(tree)
	if err != nil {
		return nil, err
	}
	var build cloudbuildpb.Build
	if err := protojson.Unmarshal(text, &build); err != nil {
		return nil, err
	}
	return &build, nil
}

// checkSubstitutions holds what steps use to what is defined, and the other way round; and secrets alike.
func (p *project) checkSubstitutions(build *cloudbuildpb.Build) {
	used := map[string]bool{}
	scan := func(where string, texts ...string) {
		for _, text := range texts {
			for _, m := range substitutionPattern.FindAllStringSubmatch(text, -1) {
				name := m[1] + m[2]
				if name == "" {
					continue
				}
				_, defined := build.GetSubstitutions()[name]
				p.must(defined || slices.Contains(builtin, name), "cloudbuild.yaml: %s uses %s, which is not defined", where, name)
				used[name] = true
			}
		}
	}
	secrets := map[string]bool{}
	for _, s := range build.GetAvailableSecrets().GetSecretManager() {
		scan("a secret", s.GetVersionName())
		secrets[s.GetEnv()] = true
	}
	for _, s := range build.GetSteps() {
		scan("step "+s.GetId(), slices.Concat(s.GetArgs(), s.GetEnv(), []string{s.GetName(), s.GetDir(), s.GetEntrypoint()})...)
		for _, name := range s.GetSecretEnv() {
			p.must(secrets[name], "cloudbuild.yaml: step %s wants the secret %s, which is not available", s.GetId(), name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(build.GetSubstitutions())) {
		p.must(strings.HasPrefix(name, "_"), "cloudbuild.yaml: a substitution of one's own begins with _, unlike %s", name)
		p.must(used[name], "cloudbuild.yaml: %s is defined and not used", name)
	}
}
