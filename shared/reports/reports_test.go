package reports_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/fluxori/ai-credits/shared/reports"
)

// groupings are some of the ways to group: each dimension, and several together.
func groupings() [][]reports.Dimension {
	return [][]reports.Dimension{
		{reports.Day}, {reports.Feature}, {reports.Team}, {reports.User}, {reports.Day, reports.Feature}, {reports.Team, reports.User},
		{reports.User, reports.Day, reports.Team, reports.Feature},
	}
}

// TestRowsAddUpInAnyOrder: each grouping has the same total, which is that of the uses, in whatever order and pieces they come.
func TestRowsAddUpInAnyOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		uses := rapid.SliceOf(rapid.Custom(func(t *rapid.T) reports.Use {
			name := func(what string, n int) string {
				return rapid.SampledFrom([]string{"", "a", "b", "c"}[4-n:]).Draw(t, what)
			}
			return reports.Use{
				Day: fmt.Sprintf("2026-03-%02d", rapid.IntRange(1, 4).Draw(t, "day")), Feature: name("feature", 3), Team: name("team", 4), User: name("user", 4),
				Credits: rapid.Int64Range(-50, 100).Draw(t, "credits"),
			}
		})).Draw(t, "uses")
		var total int64
		for _, u := range uses {
			total += u.Credits
		}
		shuffled := append([]reports.Use{}, uses...)
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		for _, by := range groupings() {
			one, other := report(t, reports.Query{GroupBy: by}, uses), report(t, reports.Query{GroupBy: by}, shuffled)
			if diff := cmp.Diff(one.Rows(), other.Rows()); diff != "" {
				t.Fatalf("by %v, in another order: %s", by, diff)
			}
			var sum int64
			for _, r := range one.Rows() {
				sum += r.Credits
			}
			if sum != total || one.Total() != total {
				t.Fatalf("by %v: rows of %d, total %d, want %d", by, sum, one.Total(), total)
			}
		}
	})
}

type failer interface{ Fatalf(string, ...any) }

func report(t failer, q reports.Query, uses []reports.Use) *reports.Report {
	r, err := reports.New(q)
	if err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
	for _, u := range uses {
		if err := r.Add(u); err != nil {
			t.Fatalf("%+v: %v", u, err)
		}
	}
	return r
}

func TestFiltersLetOneThroughAndNobodysToo(t *testing.T) {
	t.Parallel()
	uses := []reports.Use{
		{Day: "2026-03-01", Feature: "f", Team: "red", User: "u", Credits: 1}, {Day: "2026-03-01", Feature: "f", User: "v", Credits: 2},
		{Day: "2026-03-02", Feature: "g", Team: "red", Credits: 4}, {Day: "2026-03-02", Feature: "g", Credits: 8},
	}
	ptr := func(s string) *string { return &s }
	for name, tc := range map[string]struct {
		query reports.Query
		want  int64
	}{
		"all":               {reports.Query{}, 15},
		"a feature":         {reports.Query{Feature: ptr("f")}, 3},
		"a team":            {reports.Query{Team: ptr("red")}, 5},
		"no team":           {reports.Query{Team: ptr("")}, 10},
		"a user":            {reports.Query{User: ptr("u")}, 1},
		"no user":           {reports.Query{User: ptr("")}, 12},
		"several":           {reports.Query{Feature: ptr("g"), Team: ptr("red")}, 4},
		"nobody's anything": {reports.Query{User: ptr("w")}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.query.GroupBy = []reports.Dimension{reports.Day}
			if got := report(t, tc.query, uses).Total(); got != tc.want {
				t.Errorf("%d, want %d", got, tc.want)
			}
		})
	}
}

func TestWhatIsNoGroupingIsRefused(t *testing.T) {
	t.Parallel()
	for _, by := range [][]reports.Dimension{nil, {""}, {"month"}, {reports.Day, reports.Day}, {reports.Day, "Team"}} {
		_, err := reports.New(reports.Query{GroupBy: by})
		if no, ok := errors.AsType[*reports.Error](err); !ok || no.Code() != "invalid_request" || no.Details()["field"] != "group_by" {
			t.Errorf("%v: %v", by, err)
		}
	}
}

func TestAReportOfTooManyRowsIsRefusedAndNotCut(t *testing.T) {
	t.Parallel()
	r, err := reports.New(reports.Query{GroupBy: []reports.Dimension{reports.User}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100_000 {
		if err := r.Add(reports.Use{User: fmt.Sprint(i), Credits: 1}); err != nil {
			t.Fatal(err)
		}
	}
	err = r.Add(reports.Use{User: "one more", Credits: 1})
	if no, ok := errors.AsType[*reports.Error](err); !ok || no.Code() != "invalid_request" {
		t.Errorf("%v", err)
	}
}

// TestTablesComeBackAsTheyWere writes what people may name things, and reads it as any reader of RFC 4180 does.
func TestTablesComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	names := []string{"", "plain", `say "hi"`, "a,b", "Zoë 日本 🙂", " spaced ", "line\nbreak", "=1+1", "+1", "-1", "@x", "\tx", "|x", "%x", "x=1"}
	rows := make([]reports.Row, len(names))
	for i, name := range names {
		rows[i] = reports.Row{Team: name, User: "u", Credits: int64(7 - i)}
	}
	by := []reports.Dimension{reports.Team, reports.User}
	var out bytes.Buffer
	if err := reports.WriteTable(&out, by, rows, nil); err != nil {
		t.Fatal(err)
	}
	if !utf8.Valid(out.Bytes()) || !strings.HasPrefix(out.String(), "team,user,credits\r\n") || !strings.HasSuffix(out.String(), "\r\n") {
		t.Errorf("%q", out.String())
	}
	read := csv.NewReader(&out)
	lines, err := read.ReadAll()
	if err != nil || len(lines) != len(names)+1 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	for i, line := range lines[1:] {
		cell, want := line[0], names[i]
		if strings.HasPrefix(cell, "'") {
			cell = cell[1:]
		} else if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r") {
			t.Errorf("%q would be a formula", line[0])
		}
		if cell != want || line[1] != "u" || line[2] != fmt.Sprint(7-i) {
			t.Errorf("%q came back as %q", want, line)
		}
	}
}

func TestWhatBeginsLikeAFormulaIsMadeText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "x": "x", "a=b": "a=b", "=x": "'=x", "+x": "'+x", "-x": "'-x", "@x": "'@x", "\tx": "'\tx", "\rx": "'\rx", "\nx": "'\nx", "'x": "'x", "ü": "ü",
	} {
		if got := reports.Inert(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

// brokenPipe takes so many bytes.
type brokenPipe struct{ left int }

var errGone = errors.New("gone")

func (b *brokenPipe) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errGone
	}
	return len(p), nil
}

func TestATableIsSentAsItIsWrittenAndEndsWithItsReader(t *testing.T) {
	t.Parallel()
	rows := make([]reports.Row, 10_000)
	for i := range rows {
		rows[i] = reports.Row{User: fmt.Sprint("user", i), Credits: 1}
	}
	by := []reports.Dimension{reports.User}
	var out bytes.Buffer
	var sizes []int
	if err := reports.WriteTable(&out, by, rows, func() error { sizes = append(sizes, out.Len()); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(sizes) != 10 || sizes[0] > out.Len()/5 {
		t.Errorf("sent on at %v of %d", sizes, out.Len())
	}
	sent := 0
	if err := reports.WriteTable(&bytes.Buffer{}, by, rows, func() error { sent++; return errGone }); !errors.Is(err, errGone) || sent != 1 {
		t.Errorf("sent %d times: %v", sent, err)
	}
	if err := reports.WriteTable(&brokenPipe{left: 9000}, by, rows, nil); !errors.Is(err, errGone) {
		t.Errorf("%v", err)
	}
}
