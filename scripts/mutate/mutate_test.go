package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// least is how many ways to break the code there must be.
const least = 30

func TestMutationsFitTheCodeAndNameATest(t *testing.T) {
	t.Parallel()
	root := must(t)
	list, err := load(root)
	if err != nil {
		t.Error(err)
	}
	if len(list) < least {
		t.Errorf("%d mutations, want %d", len(list), least)
	}
	tests := map[string]string{} // the tests of a package, as text
	for _, m := range list {
		folder := filepath.Join(root, m.folder())
		if tests[folder] == "" {
			files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				tests[folder] += string(text)
			}
		}
		if m.CaughtBy == "" || !strings.Contains(tests[folder], "func "+m.CaughtBy+"(") {
			t.Errorf("%q is noticed by %q, which is no test of %s", m.Name, m.CaughtBy, m.pkg())
		}
	}
}

func must(t *testing.T) string {
	t.Helper()
	root, err := findRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// TestMutationsAreNoticed tries three of them; the command tries all, which takes as long as all other tests together.
func TestMutationsAreNoticed(t *testing.T) {
	t.Parallel()
	only := "^(a limit is off by one|what was paid for is drawn on first|a reversal adds to the roll-up)$"
	var out, stderr bytes.Buffer
	if err := run(t.Context(), []string{"-only", only}, &out, &stderr); err != nil || !strings.Contains(out.String(), " are noticed.") {
		t.Errorf("%v\n%s%s", err, &out, &stderr)
	}
}

// TestWhatIsNotBrokenIsNotNoticed tries a mutation that changes nothing, one that does not build, and one that no longer fits.
func TestWhatIsNotBrokenIsNotNoticed(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("go.mod", "module example.com/sums\n\ngo 1.26\n")
	put("sums/sums.go", "package sums\n\nfunc Add(a, b int) int { return a + b }\n\nfunc Unused() int { return 7 }\n")
	put("sums/sums_test.go", `package sums

import "testing"

func TestAdd(t *testing.T) {
	if Add(1, 2) != 3 {
		t.Error("not 3")
	}
}

func TestPanics(t *testing.T) {
	if Add(1, 1) == 1 {
		panic("one")
	}
}
`)
	for _, tt := range []struct {
		mutation
		search bool
		want   string // what a row says
	}{
		{mutation{Name: "taken away", File: "sums/sums.go", Old: "a + b", New: "a - b", CaughtBy: "TestAdd"}, false, "TestAdd"},
		{mutation{Name: "found", File: "sums/sums.go", Old: "a + b", New: "a * b", CaughtBy: ""}, true, "TestAdd"},
		{mutation{Name: "the known test does not notice", File: "sums/sums.go", Old: "a + b", New: "a - b", CaughtBy: "TestPanics"}, true, "TestAdd"},
		{mutation{Name: "it panics", File: "sums/sums.go", Old: "a + b", New: "1", CaughtBy: "TestPanics"}, false, "TestPanics"},
		{mutation{Name: "nobody looks", File: "sums/sums.go", Old: "return 7", New: "return 8", CaughtBy: ""}, true, "**nothing**"},
		{mutation{Name: "nobody is known to look", File: "sums/sums.go", Old: "return 7", New: "return 8", CaughtBy: ""}, false, "no test is known"},
		{mutation{Name: "its test is gone", File: "sums/sums.go", Old: "a + b", New: "a - b", CaughtBy: "TestGone"}, false, "no test matches"},
		{mutation{Name: "it does not build", File: "sums/sums.go", Old: "a + b", New: "a +", CaughtBy: "TestAdd"}, false, "does not build"},
		{mutation{Name: "it does not fit", File: "sums/sums.go", Old: "return", New: "", CaughtBy: "TestAdd"}, false, "no longer fits"},
	} {
		t.Run(tt.Name, func(t *testing.T) {
			t.Parallel()
			b, err := newBreaker(root, tt.search)
			if err != nil {
				t.Fatal(err)
			}
			defer b.close()
			list := []mutation{tt.mutation}
			var out bytes.Buffer
			kept := 0
			err = b.breakAll(context.WithoutCancel(t.Context()), list, regexp.MustCompile(""), &out, func() error { kept++; return nil })
			noticed := strings.HasPrefix(tt.want, "Test")
			if (err == nil) != noticed || !strings.Contains(out.String(), tt.want) {
				t.Errorf("%v\n%s", err, &out)
			}
			if found := noticed && tt.CaughtBy != tt.want; found != (kept == 1) || noticed && list[0].CaughtBy != tt.want {
				t.Errorf("%+v is kept %d times", list[0], kept)
			}
		})
	}
}

func TestAListThatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	path := filepath.Join(root, listFile)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "x.go"), []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	twice := []mutation{{Name: "one", File: "x.go", Old: "a", New: "b"}, {Name: "one", File: "x.go", Old: "a", New: "c"}}
	if err := save(root, twice); err != nil {
		t.Fatal(err)
	}
	if _, err := load(root); err == nil || !strings.Contains(err.Error(), "stands twice") {
		t.Errorf("%v", err)
	}
	text, err := json.Marshal([]map[string]string{{"name": "x", "was": "y"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := load(root); err == nil {
		t.Error("an unknown field is taken")
	}
}
