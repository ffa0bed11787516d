package table_test

import (
	"strings"
	"testing"

	"github.com/fluxori/ai-credits/shared/table"
)

func TestATableIsOneValueWhoseMembersAreAllKnown(t *testing.T) {
	t.Parallel()
	type row struct {
		Name string `json:"name"`
	}
	tests := []struct{ name, data, want string }{
		{"a table", `[{"name":"a"},{"name":"b"}]`, ""},
		{"an unknown member", `[{"name":"a","colour":1}]`, `unknown field "colour"`},
		{"a value of another type", `[{"name":1}]`, "decode"},
		{"half a table", `[{"name":"a"}`, "decode"},
		{"nothing", ``, "decode"},
		{"two tables", `[] []`, "follows"},
		{"rubbish after it", `[] ]`, "follows"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rows, err := table.Read[[]row]([]byte(tt.data))
			if tt.want == "" && (err != nil || len(rows) != 2 || rows[1].Name != "b") || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, %v; want %q", rows, err, tt.want)
			}
		})
	}
}

func TestAllThatIsWrongIsToldAtOnce(t *testing.T) {
	t.Parallel()
	var f table.Findings
	f.Must(true, "nothing")
	f.Within("least", 1, 1, 3)
	f.Within("most", 3, 1, 3)
	if err := f.Err(); err != nil {
		t.Fatalf("what is right is wrong: %v", err)
	}
	f.Must(false, "%s says nothing", "a row")
	f.Within("a figure", 0, 1, 3)
	f.Within("another", 4, 1, 3)
	got := f.Err().Error()
	for _, want := range []string{"a row says nothing", "a figure is 0, not within 1 and 3", "another is 4, not within 1 and 3"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q does not tell that %s", got, want)
		}
	}
}
