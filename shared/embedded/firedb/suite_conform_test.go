package firedb_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fluxori/ai-credits/shared/embedded/engine"
)

// update rewrites the recorded transcript with what Google's emulator answers; it needs that emulator.
var update = flag.Bool("update", false, "rewrite testdata/conformance.txt from Google's emulator")

// transcriptFile holds what Google's emulator answered to every step: a line "[section]" before each section's steps,
// and a line "step: outcome" for each step. The embedded engine is compared with it always, the emulator when it is there.
var transcriptFile = filepath.Join("testdata", "conformance.txt")

// fewestSteps is how many steps the suite promises to have.
const fewestSteps = 1_000

// part is a section of the suite. Each runs in a project of its own.
type part struct {
	name string
	run  func(*script)
}

var sections = []part{
	{"values", values},
	{"refused values", refusedValues},
	{"names", names},
	{"writes", writes},
	{"masks", masks},
	{"transforms", transforms},
	{"preconditions", preconditions},
	{"commits", commits},
	{"twins", twins},
	{"batch writes", batchWrites},
	{"filters", filters},
	{"filters over types", filtersOverTypes},
	{"refused queries", refusedQueries},
	{"orders", orders},
	{"cursors", cursors},
	{"projections", projections},
	{"collection groups", collectionGroups},
	{"aggregations", aggregations},
	{"listing", listing},
	{"transactions", transactions},
	{"interleavings", interleavings},
}

// TestEnginesAnswerAlike runs the suite on every engine there is and compares each step's outcome (rows, their order,
// the code of a refusal) with the recorded one.
func TestEnginesAnswerAlike(t *testing.T) {
	t.Parallel()
	want := readTranscripts(t)
	total := 0
	for _, steps := range want {
		total += len(steps)
	}
	if total < fewestSteps && !*update {
		t.Errorf("the transcript has %d steps; the suite promises %d", total, fewestSteps)
	}
	var recorded transcripts
	if *update {
		t.Cleanup(func() { recorded.write(t) })
	}
	for _, section := range sections {
		t.Run(section.name, func(t *testing.T) {
			t.Parallel()
			engine.Each(t, func(t *testing.T, e *engine.Engine) {
				s := &script{Engine: e, t: t}
				section.run(s)
				switch {
				case e.IsEmulator && *update:
					recorded.add(section.name, s.steps)
				case e.IsEmulator:
					compare(t, s.steps, want[section.name], nil)
				case !*update:
					compare(t, s.steps, want[section.name], differing(section.name))
				}
			}, engine.AnyQuery())
		})
	}
}

// compare reports every step whose outcome is neither the recorded one nor, where a difference is allowed, that.
func compare(t *testing.T, got, want []step, allowed map[string]string) {
	t.Helper()
	wanted := map[string]string{}
	for _, w := range want {
		wanted[w.name] = w.outcome
	}
	for _, g := range got {
		w, recorded := wanted[g.name]
		delete(wanted, g.name)
		d, differs := allowed[g.name]
		switch {
		case !recorded:
			t.Errorf("%s: not in the transcript; got %s", g.name, g.outcome)
		case differs && d == w:
			t.Errorf("%s: listed as a difference, but the emulator answers so too: %s", g.name, w)
		case differs && g.outcome != d:
			t.Errorf("%s:\n got  %s\n want %s (a listed difference from the emulator's %s)", g.name, g.outcome, d, w)
		case !differs && g.outcome != w:
			t.Errorf("%s:\n got  %s\n want %s", g.name, g.outcome, w)
		}
	}
	for name, outcome := range wanted {
		t.Errorf("%s: not run; the transcript has %s", name, outcome)
	}
	for name := range allowed {
		if !slices.ContainsFunc(got, func(s step) bool { return s.name == name }) {
			t.Errorf("%s: listed as a difference, but there is no such step", name)
		}
	}
}

func TestDifferencesAreFewAndBelongToOneSectionEach(t *testing.T) {
	t.Parallel()
	if len(differences) > mostDifferences {
		t.Errorf("there are %d reasons for differences; more than %d are too many", len(differences), mostDifferences)
	}
	seen := map[string]bool{}
	for _, d := range differences {
		if d.reason == "" || len(d.embedded) == 0 {
			t.Errorf("a difference without its reason or its steps: %v", d)
		}
		for place := range d.embedded {
			section, _, _ := strings.Cut(place, "/")
			if !slices.ContainsFunc(sections, func(s part) bool { return s.name == section }) {
				t.Errorf("%s: there is no such section", place)
			}
			if seen[place] {
				t.Errorf("%s: listed twice", place)
			}
			seen[place] = true
		}
	}
}

// transcripts collects the emulator's answers section by section. Its zero value is ready.
type transcripts struct {
	mu       sync.Mutex
	sections map[string][]step
}

func (r *transcripts) add(section string, steps []step) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sections == nil {
		r.sections = map[string][]step{}
	}
	r.sections[section] = steps
}

// write keeps the sections that this run did not record, so that one may be recorded alone with -run.
func (r *transcripts) write(t *testing.T) {
	t.Helper()
	all := readTranscripts(t)
	maps.Copy(all, r.sections)
	var b strings.Builder
	for _, s := range sections {
		fmt.Fprintf(&b, "[%s]\n", s.name)
		for _, step := range all[s.name] {
			fmt.Fprintf(&b, "%s: %s\n", step.name, step.outcome)
		}
	}
	if err := os.WriteFile(transcriptFile, []byte(b.String()), 0o644); err != nil {
		t.Error(err)
	}
}

func readTranscripts(t *testing.T) map[string][]step {
	t.Helper()
	text, err := os.ReadFile(transcriptFile)
	if err != nil {
		t.Fatal(err)
	}
	all, section := map[string][]step{}, ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "["); ok && strings.HasSuffix(name, "]") {
			section = strings.TrimSuffix(name, "]")
			continue
		}
		name, outcome, ok := strings.Cut(line, ": ")
		if !ok {
			t.Fatalf("%s: the line %q is no step", transcriptFile, line)
		}
		all[section] = append(all[section], step{name, outcome})
	}
	return all
}
