package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/embedded/firedb"
)

// TestMain lets this program be the processes that the command starts.
func TestMain(m *testing.M) {
	if os.Getenv(roleSetting) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestLoadsLeaveNoDoubt runs short loads of each kind in processes of their own; what matters is that every invariant is checked and holds.
func TestLoadsLeaveNoDoubt(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, args string
		rows       int
	}{
		{"naive and ledger", "-duration 200ms -callers 8 -delay 1ms", 2},
		{"repeats and open loop", "-duration 200ms -callers 8 -delay 0 -naive=false -duplicates 20 -loads 50", 3},
		{"many wallets that run dry", "-duration 300ms -callers 16 -delay 0 -naive=false -profile zipf -wallets 20 -credits 300", 1},
		{"one process of three killed", "-duration 400ms -callers 8 -delay 1ms -naive=false -processes 3 -kill", 1},
		{"one hot organisation", "-duration 200ms -callers 8 -delay 0 -naive=false -fair", 3},
		{"over HTTP", "-duration 300ms -callers 8 -delay 0 -naive=false -via http -processes 2 -kill", 1},
		{"over Pub/Sub", "-duration 200ms -callers 4 -delay 0 -naive=false -via pubsub", 1},
		{"limits", "-duration 200ms -callers 8 -delay 0 -naive=false -limits 20", 3},
		{"a wallet with entries", "-duration 200ms -callers 4 -delay 0 -naive=false -entries 500", 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, err := parsePlan(strings.Fields(tt.args), io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			var progress bytes.Buffer
			r, err := run(t.Context(), p, &progress)
			if err != nil {
				t.Fatalf("%v\n%s", err, progress.String())
			}
			if len(r.Violations) > 0 || len(r.Rows) != tt.rows {
				t.Errorf("%d rows, want %d; violations %q", len(r.Rows), tt.rows, r.Violations)
			}
			for _, row := range r.Rows {
				if row.Told[outcomeNames[acknowledged]] == 0 {
					t.Errorf("%s charged nothing: %v", row.Phase, row.Told)
				}
				if strings.Contains(tt.args, "-credits") && row.Told[outcomeNames[refused]] == 0 {
					t.Errorf("%s refused nothing: %v", row.Phase, row.Told)
				}
			}
			var table, asJSON bytes.Buffer
			if err := errors.Join(r.writeTable(&table), r.writeJSON(&asJSON)); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(table.String(), "every invariant holds") || !strings.Contains(asJSON.String(), `"Rows"`) {
				t.Errorf("printed %s and %s", table.String(), asJSON.String())
			}
		})
	}
}

func TestAnotherFirestoreMayHaveBeenLoadedBefore(t *testing.T) {
	t.Parallel()
	other, err := firedb.Open(firedb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	})
	addr, err := other.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		p, err := parsePlan([]string{"-duration", "100ms", "-callers", "4", "-delay", "0", "-endpoint", addr.String()}, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		r, err := run(t.Context(), p, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Violations) > 0 {
			t.Errorf("violations %q", r.Violations)
		}
		for _, row := range r.Rows {
			if row.Told[outcomeNames[acknowledged]] == 0 || row.Told[outcomeNames[replayed]] > 0 || row.PerDebit.Writes == 0 {
				t.Errorf("%+v", row)
			}
		}
	}
}

func TestWhatDoesNotAgreeIsTold(t *testing.T) {
	t.Parallel()
	told := func(outcomes ...outcome) *heard {
		h := &heard{begun: map[uint64]record{}}
		for i, o := range outcomes {
			h.hear(record{start: int64(i * 10), latency: 5, n: uint32(i), outcome: o})
		}
		return h
	}
	elsewhere := func(o outcome) *heard {
		h := &heard{begun: map[uint64]record{}}
		h.hear(record{wallet: 1, outcome: o})
		return h
	}
	tests := []struct {
		name   string
		heard  *heard
		stored map[string]int64
		want   string
	}{
		{"all is well", told(acknowledged, refused, unknown), map[string]int64{"0.0.0": 1}, ""},
		{"an unknown outcome may be charged", told(acknowledged, unknown), map[string]int64{"0.0.0": 1, "0.0.1": 2}, ""},
		{"acknowledged, but not stored", told(acknowledged), nil, "acknowledged, but is not stored"},
		{"refused, but stored", told(refused), map[string]int64{"0.0.0": 1}, "refused, but is stored"},
		{"stored, but never sent", told(), map[string]int64{"0.0.0": 1}, "nobody asked"},
		{"stored on another wallet than asked for", elsewhere(acknowledged), map[string]int64{"0.0.0": 1}, "nobody asked"},
		{"charged after a refusal", told(refused, acknowledged), map[string]int64{"0.0.1": 11}, "after another had been refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := &checker{phase: phase{orgs: "p", wallets: 1}, heard: tt.heard, fates: fates(tt.heard)}
			c.compare("p-0", 0, 0, tt.stored)
			got := strings.Join(c.out.violations, "; ")
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
	c := &checker{heard: told(refused), fates: fates(told(refused))}
	c.compare("p-0", 0, debitCredits, nil)
	if len(c.out.violations) != 1 || !strings.Contains(c.out.violations[0], "credits are left") {
		t.Errorf("a refusal by a wallet with credits: %q", c.out.violations)
	}
}

func TestZipfGivesEachRankItsPart(t *testing.T) {
	t.Parallel()
	const n, draws = 1000, 200_000
	pick, err := newPicker(profileZipf, n, false, rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	counts := make([]int, n)
	for range draws {
		counts[pick()]++
	}
	// 1/k^1.1 over 1,000 ranks sums to 5.59: the first has 17.9 %, the second 8.3 %, the tenth 1.4 %.
	for rank, milli := range map[int]int{1: 179, 2: 83, 10: 14} {
		got := counts[rank-1] * 1000 / draws
		if got < milli-milli/5-1 || got > milli+milli/5+1 {
			t.Errorf("rank %d has %d of a thousand, want about %d", rank, got, milli)
		}
	}
	if counts[n-1] > counts[0]/100 {
		t.Errorf("the last rank has %d, the first %d", counts[n-1], counts[0])
	}
}

func TestPickersStayWithinTheWallets(t *testing.T) {
	t.Parallel()
	tests := []struct {
		profile string
		n       int
		hot     bool
		first   int // percent of the first wallet, about
	}{
		{profileHot, 1, false, 100}, {profileUniform, 20, false, 5}, {profileUniform, 20, true, 34}, {profileZipf, 1, false, 100},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.profile, tt.hot), func(t *testing.T) {
			t.Parallel()
			pick, err := newPicker(tt.profile, tt.n, tt.hot, rand.New(rand.NewPCG(3, 4)))
			if err != nil {
				t.Fatal(err)
			}
			first := 0
			for range 10_000 {
				w := pick()
				if w < 0 || w >= tt.n {
					t.Fatalf("picked %d of %d", w, tt.n)
				}
				if w == 0 {
					first++
				}
			}
			if got := first / 100; got < tt.first-2 || got > tt.first+2 {
				t.Errorf("the first wallet has %d %%, want %d", got, tt.first)
			}
		})
	}
	if _, err := newPicker("lumpy", 3, false, nil); err == nil {
		t.Error("an unknown profile has a picker")
	}
}

func TestRepeatsAreOfEarlierRequests(t *testing.T) {
	t.Parallel()
	d := repeats{percent: 5, rand: rand.New(rand.NewPCG(5, 6))}
	again := 0
	for n := range 100_000 {
		earlier, yes := d.of(n)
		if yes {
			again++
		}
		if yes && earlier >= n {
			t.Fatalf("request %d repeats %d", n, earlier)
		}
	}
	if again < 4700 || again > 5300 {
		t.Errorf("%d of 100,000 are repeats, want about 5,000", again)
	}
}

func TestPercentilesAreNearestRanks(t *testing.T) {
	t.Parallel()
	hundred := make([]uint32, 100)
	for i := range hundred {
		hundred[len(hundred)-1-i] = uint32(i + 1) // not in order
	}
	tests := []struct {
		name   string
		values []uint32
		want   latencies
	}{
		{"none", nil, latencies{}},
		{"one", []uint32{7}, latencies{7, 7, 7, 7}},
		{"two", []uint32{9, 1}, latencies{1, 9, 9, 9}},
		{"a hundred", hundred, latencies{50, 95, 99, 100}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := newLatencies(tt.values); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestCostIsThatOfTheList(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		used used
		n    int64
		want int64 // micro-dollars a million
	}{
		{"one write each", used{Writes: 5}, 5, 900_000},
		{"naive", used{RPCs: 3, Reads: 2, Writes: 3}, 1, 3_300_000},
		{"a delete", used{Deletes: 1}, 1, 100_000},
		{"nothing done", used{Reads: 100}, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.used.costMicros(tt.n); got != tt.want {
				t.Errorf("%d, want %d", got, tt.want)
			}
		})
	}
}

func TestRecordsSurviveTheWire(t *testing.T) {
	t.Parallel()
	want := []record{
		{start: 1_770_000_000_123_456, latency: 4_000_000_000, wallet: 99_999, n: 1 << 30, caller: 9_999, driver: 15, outcome: unknown},
		newRecord(time.Now(), 1, 2, 3, 4, begun),
	}
	var wire []byte
	for _, r := range want {
		wire = r.append(wire)
	}
	var got []record
	cut := append(wire, wire[:recordBytes-1]...) // of a driver that was killed within a record
	if err := readRecords(bytes.NewReader(cut), func(r record) { got = append(got, r) }); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) || len(wire) != len(want)*recordBytes {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestPlansThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"":                              "",
		"-delay region -loads 50,200":   "",
		"-callers 0":                    "-callers",
		"-processes 17":                 "-processes",
		"-via carrier-pigeon":           "-via",
		"-profile lumpy":                "-profile",
		"-duration 1ms":                 "-duration",
		"-duration 1h":                  "-duration",
		"-kill":                         "-kill",
		"-delay soon":                   "-delay",
		"-delay 2s":                     "-delay",
		"-loads 50,0":                   "percent",
		"-via pubsub -loads 50":         "pubsub",
		"-profile zipf -entries 100":    "-entries",
		"-entries 3000000":              "-entries",
		"-duplicates 51":                "-duplicates",
		"-naive=false something-beside": "more than",
	} {
		_, err := parsePlan(strings.Fields(args), io.Discard)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
}

func TestAFunctionThatListensLateIsTold(t *testing.T) {
	t.Parallel()
	starts := []start{{Function: helloName, ListenMicro: 5_000}, {Function: "quick", ListenMicro: 24_000}, {Function: "sooner", ListenMicro: 4_000}}
	if err := late(starts); err != nil {
		t.Error(err)
	}
	if err := late(append(starts, start{Function: "slow", ListenMicro: 26_000})); err == nil || !strings.Contains(err.Error(), "slow") {
		t.Errorf("%v", err)
	}
}
