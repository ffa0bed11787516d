package reports_test

import (
	"bytes"
	"encoding/csv"
	"strconv"
	"strings"
	"testing"

	"github.com/fluxori/ai-credits/shared/reports"
)

// FuzzTable writes what people may name things, and reads it as any reader of RFC 4180 does: cells come back, and none is a formula.
func FuzzTable(f *testing.F) {
	f.Fuzz(func(t *testing.T, team, user string, credits int64) {
		rows := []reports.Row{{Team: team, User: user, Credits: credits}, {Team: user, User: team}}
		var out bytes.Buffer
		if err := reports.WriteTable(&out, []reports.Dimension{reports.Team, reports.User}, rows, nil); err != nil {
			t.Fatal(err)
		}
		lines, err := csv.NewReader(&out).ReadAll()
		if err != nil || len(lines) != 3 {
			t.Fatalf("%q, %v", lines, err)
		}
		if lines[1][2] != strconv.FormatInt(credits, 10) {
			t.Fatalf("%d credits came back as %q", credits, lines[1][2])
		}
		for _, cell := range []struct{ got, want string }{{lines[1][0], team}, {lines[1][1], user}, {lines[2][0], user}, {lines[2][1], team}} {
			if cell.got != "" && strings.ContainsAny(cell.got[:1], "=+-@\t\r\n|%") {
				t.Fatalf("%q would be a formula", cell.got)
			}
			// Lines end alike throughout a table, so within a cell a carriage return is not kept. Ids have none.
			want := strings.ReplaceAll(reports.Inert(cell.want), "\r", "")
			if cell.got != want {
				t.Fatalf("%q came back as %q", want, cell.got)
			}
		}
	})
}
