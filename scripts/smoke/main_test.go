package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fluxori/ai-credits/shared/needs"
)

func TestCommandsAndAnswersAreFound(t *testing.T) {
	t.Parallel()
	steps := parse("text\n$ not this\n```console\n$ one \\\n> two\nanswer\nmore\n$ three\n```\n```sh\n$ nor this\n```\n")
	want := []step{{line: 4, command: "one \\\ntwo", want: "answer\nmore"}, {line: 8, command: "three"}}
	if len(steps) != 2 || steps[0] != want[0] || steps[1] != want[1] {
		t.Errorf("found %+v, want %+v", steps, want)
	}
}

func TestAnswersMatchButForWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		want, got string
		ok        bool
	}{
		{`{"a":1}`, "{\"a\":1}\n", true},
		{`{"id":"…","a":1}`, `{"id":"x.y","a":1}`, true},
		{`{"id":"…","a":1}`, `{"id":"x.y","a":2}`, false},
		{"", "", true},
		{"", "something", false},
		{"a.c", "abc", false},
		{"…", "", true},
	} {
		if got := (step{want: tt.want}).matches(tt.got); got != tt.ok {
			t.Errorf("%q against %q: %t, want %t", tt.got, tt.want, got, tt.ok)
		}
	}
}

func TestAReadmeThatIsWrongFails(t *testing.T) {
	t.Parallel()
	needs.Program(t, "bash")
	file := filepath.Join(t.TempDir(), "README.md")
	for text, ok := range map[string]bool{
		"```console\n$ X=1\n$ echo $((X + 1))\n2\n```\n":   true,
		"```console\n$ X=1\n$ echo $((X + 1))\n3\n```\n":   false,
		"```console\n$ exit 3\n```\n":                      false,
		"no commands\n":                                    false,
		"```console\n$ echo localhost:8080\nhost:1\n```\n": true,
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := run([]string{"-addr", "host:1", file}, &out); (err == nil) != ok {
			t.Errorf("%q: %v\n%s", text, err, out.String())
		}
	}
}
