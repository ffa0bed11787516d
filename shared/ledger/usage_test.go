package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/ledger"
)

// usedIn is what Usage tells of a range, by day, feature, team and user; sums of zero are left out.
func usedIn(t *testing.T, l *ledger.Ledger, from, until string) map[ledger.Used]int64 {
	t.Helper()
	got := map[ledger.Used]int64{}
	if _, err := l.Usage(t.Context(), "acme", from, until, func(u ledger.Used) error {
		n := u.Credits
		u.Credits = 0
		if got[u] += n; got[u] == 0 {
			delete(got, u)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return got
}

// charged is what Usage must tell, from the entries alone.
func charged(entries []*credit.Entry, zone *time.Location, from, until string) map[ledger.Used]int64 {
	want := map[ledger.Used]int64{}
	for _, e := range entries {
		u := ledger.Used{Day: e.At.In(zone).Format(time.DateOnly), Feature: e.Work.Feature, Team: e.Work.Team, User: e.Work.User}
		if u.Day < from || u.Day >= until {
			continue
		}
		n := e.Credits
		switch e.Kind {
		case credit.KindDebit, credit.KindCapture:
		case credit.KindReversal:
			n = -n
		default:
			continue
		}
		if want[u] += n; want[u] == 0 {
			delete(want, u)
		}
	}
	return want
}

// TestUsageIsTheSumOfTheEntriesBeforeAndAfterFolding holds random ranges of random histories in three time zones against their entries, while
// nothing, some and all closed months are folded.
func TestUsageIsTheSumOfTheEntriesBeforeAndAfterFolding(t *testing.T) {
	t.Parallel()
	for i := range 9 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			p := &past{testStore: openStore(t), rnd: rand.New(rand.NewPCG(uint64(i), 11)), kinds: map[credit.Kind]bool{}}
			p.ledger = p.testStore.ledger(t, ledger.Options{})
			zone := []string{"Africa/Johannesburg", "America/New_York", "Pacific/Kiritimati"}[i%3]
			location, err := time.LoadLocation(zone)
			if err != nil {
				t.Fatal(err)
			}
			for round := range 3 {
				p.live(t, zone, 120)
				entries := p.entries(t)
				for range 4 {
					first := time.Date(2026, 2, 20, 0, 0, 0, 0, time.UTC).AddDate(0, 0, p.rnd.IntN(200))
					from, until := first.Format(time.DateOnly), first.AddDate(0, 0, 1+p.rnd.IntN(200)).Format(time.DateOnly)
					if diff := cmp.Diff(charged(entries, location, from, until), usedIn(t, p.ledger, from, until)); diff != "" {
						t.Fatalf("round %d, from %s until %s: %s", round, from, until, diff)
					}
				}
				if _, err := p.testStore.ledger(t, ledger.Options{}).Fold(t.Context(), "acme"); err != nil { // by another process
					t.Fatal(err)
				}
				if diff := cmp.Diff(charged(entries, location, "2026-01-01", "2028-12-31"), usedIn(t, p.ledger, "2026-01-01", "2028-12-31")); diff != "" {
					t.Fatalf("round %d, folded: %s", round, diff)
				}
			}
			if s := p.find(t, "wallets/acme/months/2026-03-0"); s == nil {
				t.Error("March was not folded")
			}
			audit(t, p.ledger, "acme")
		})
	}
}

// TestAFoldedMonthIsOneRead counts what a report reads.
func TestAFoldedMonthIsOneRead(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	l := s.ledger(t, ledger.Options{})
	fund(t, l, "acme", 1_000_000)
	const days = 365
	for i := range days {
		for n := range 3 {
			d := debit(fmt.Sprint("d", i, "-", n), 1)
			d.Work.User = fmt.Sprint("u", n)
			if _, err := l.Do(t.Context(), "acme", d); err != nil {
				t.Fatal(err)
			}
		}
		s.clock.Advance(24 * time.Hour)
	}
	s.clock.Advance(4 * 24 * time.Hour)
	read := func() (documents, reads int64) {
		s.Hooks.Reset()
		var credits int64
		got, err := l.Usage(t.Context(), "acme", "2026-03-01", "2027-03-01", func(u ledger.Used) error { credits += u.Credits; return nil })
		if err != nil || credits != 3*days || got.Zone != "Africa/Johannesburg" {
			t.Errorf("%d credits, %+v, %v", credits, got, err)
		}
		return int64(got.Documents), s.Hooks.Counts().Reads
	}
	if documents, reads := read(); documents < days || reads < days {
		t.Errorf("before folding: %d documents, %d reads", documents, reads)
	}
	if months, err := l.Fold(t.Context(), "acme"); err != nil || months != 12 {
		t.Fatalf("folded %d, %v", months, err)
	}
	if documents, reads := read(); documents != 13 || reads != 13 {
		t.Errorf("folded: %d documents, %d reads, want the wallet and 12 months", documents, reads)
	}
	if months, err := l.Fold(t.Context(), "acme"); err != nil || months != 0 {
		t.Errorf("folded again: %d, %v", months, err)
	}
}

func TestAMonthIsFoldedThreeDaysAfterItsEndInUTC(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	l := s.ledger(t, ledger.Options{})
	fund(t, l, "acme", 1000)
	waiting := func(want ...ledger.Unfolded) {
		t.Helper()
		got, err := l.UnfoldedWallets(t.Context(), ledger.Unfolded{}, 10)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(append([]ledger.Unfolded{}, want...), got); diff != "" {
			t.Errorf("at %v: %s", s.clock.Now(), diff)
		}
	}
	spend := func(id string) {
		t.Helper()
		if _, err := l.Do(t.Context(), "acme", debit(id, 1)); err != nil {
			t.Fatal(err)
		}
	}
	spend("march")
	s.clock.Advance(time.Date(2026, 4, 3, 23, 59, 59, 0, time.UTC).Sub(s.clock.Now()))
	waiting()
	if n, err := l.Fold(t.Context(), "acme"); n != 0 || err != nil {
		t.Errorf("folded %d, %v", n, err)
	}
	s.clock.Advance(time.Second)
	waiting(ledger.Unfolded{Org: "acme", Month: "2026-03"})
	spend("april") // in another month than the one to be folded
	if n, err := l.Fold(t.Context(), "acme"); n != 1 || err != nil {
		t.Errorf("folded %d, %v", n, err)
	}
	waiting()
	s.clock.Advance(200 * 24 * time.Hour) // months without usage between
	spend("october")
	waiting(ledger.Unfolded{Org: "acme", Month: "2026-04"})
	if n, err := l.Fold(t.Context(), "acme"); n != 1 || err != nil {
		t.Errorf("folded %d, %v", n, err)
	}
	if got := usedIn(t, l, "2026-03-01", "2026-12-01"); len(got) != 3 {
		t.Errorf("%v", got)
	}
	if got := s.document(t, "wallets/acme").Fields["unfolded"].GetStringValue(); got != "2026-10" {
		t.Errorf("%q is to be folded next", got)
	}
}

// TestFoldingHarmsNobodyWhoSpends folds a month again and again from two processes while others spend.
func TestFoldingHarmsNobodyWhoSpends(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	a, b := s.ledger(t, ledger.Options{}), s.ledger(t, ledger.Options{})
	fund(t, a, "acme", 100_000)
	const rounds, callers = 6, 40
	for round := range rounds {
		var all sync.WaitGroup
		for i := range callers {
			all.Go(func() {
				l := []*ledger.Ledger{a, b}[i%2]
				d := debit(fmt.Sprint("d", round, "-", i), 2)
				d.Work.User = fmt.Sprint("u", i%7)
				if _, err := l.Do(t.Context(), "acme", d); err != nil {
					t.Error(err)
				}
			})
		}
		for _, l := range []*ledger.Ledger{a, b, a} {
			all.Go(func() {
				if _, err := l.Fold(t.Context(), "acme"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		s.clock.Advance(35 * 24 * time.Hour)
	}
	if _, err := a.Fold(t.Context(), "acme"); err != nil {
		t.Error(err)
	}
	var credits int64
	for _, n := range usedIn(t, b, "2026-01-01", "2027-12-01") {
		credits += n
	}
	if credits != 2*rounds*callers {
		t.Errorf("%d credits", credits)
	}
	audit(t, a, "acme")
}

// TestAFoldWhoseAnswerIsLostIsFolded loses the answers of commits, of which some were applied.
func TestAFoldWhoseAnswerIsLostIsFolded(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	l := s.ledger(t, ledger.Options{})
	fund(t, l, "acme", 100)
	if _, err := l.Do(t.Context(), "acme", debit("d", 7)); err != nil {
		t.Fatal(err)
	}
	s.clock.Advance(60 * 24 * time.Hour)
	lost := 0
	faulty := s.ledgerThrough(t, ledger.Options{}, func(_ context.Context, method string, _ any) error {
		if strings.HasSuffix(method, "/Commit") && lost < 2 {
			lost++
			return status.Error(codes.Unavailable, "lost")
		}
		return nil
	})
	if n, err := faulty.Fold(t.Context(), "acme"); n != 1 || err != nil {
		t.Errorf("folded %d, %v", n, err)
	}
	if got := usedIn(t, l, "2026-03-01", "2026-04-01"); got[ledger.Used{Day: "2026-03-01", Feature: "custom-query"}] != 7 {
		t.Errorf("%v", got)
	}
}

// TestAMonthOfManyUsersIsSeveralDocuments spends for more users than one document of a month takes.
func TestAMonthOfManyUsersIsSeveralDocuments(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	l := s.ledger(t, ledger.Options{})
	fund(t, l, "acme", 100_000)
	long := strings.Repeat("x", 90)
	const users = 6000
	var all sync.WaitGroup
	for i := range users {
		all.Go(func() {
			d := debit(fmt.Sprint("d", i), 1)
			d.Work.User = fmt.Sprint(long, i)
			if r, err := l.Do(t.Context(), "acme", d); err != nil || r.Replayed {
				t.Errorf("%+v %v", r, err)
			}
		})
		if i%2000 == 1999 {
			all.Wait()
		}
	}
	all.Wait()
	want := usedIn(t, l, "2026-03-01", "2026-04-01")
	s.clock.Advance(60 * 24 * time.Hour)
	if n, err := l.Fold(t.Context(), "acme"); n != 1 || err != nil {
		t.Fatalf("folded %d, %v", n, err)
	}
	if got := s.document(t, "wallets/acme/months/2026-03-0"); got.Fields["parts"].GetIntegerValue() != 2 || s.find(t, "wallets/acme/months/2026-03-1") == nil {
		t.Errorf("%v parts", got.Fields["parts"])
	}
	if diff := cmp.Diff(want, usedIn(t, l, "2026-03-01", "2026-04-01")); diff != "" || len(want) != users {
		t.Errorf("%d users: %s", len(want), diff)
	}
}

func TestRangesThatAreNoneAreRefused(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	l := s.ledger(t, ledger.Options{})
	fund(t, l, "acme", 100)
	for name, tc := range map[string]struct{ org, from, until, code, field string }{
		"no first day":     {"acme", "", "2026-03-02", credit.CodeInvalid, "from"},
		"no last day":      {"acme", "2026-03-01", "March", credit.CodeInvalid, "to"},
		"no day":           {"acme", "2026-03-01", "2026-03-01", credit.CodeInvalid, "to"},
		"the other way":    {"acme", "2026-03-02", "2026-03-01", credit.CodeInvalid, "to"},
		"too long a range": {"acme", "2020-03-01", "2026-03-01", credit.CodeInvalid, "from"},
		"nobody":           {"globex", "2026-03-01", "2026-03-02", credit.CodeUnknownOrg, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := l.Usage(t.Context(), tc.org, tc.from, tc.until, func(ledger.Used) error { return nil })
			no, ok := errors.AsType[*credit.Refusal](err)
			if !ok || no.Code() != tc.code || tc.field != "" && no.Details()["field"] != tc.field {
				t.Errorf("%v, want %s of %s", err, tc.code, tc.field)
			}
		})
	}
}

// TestAMonthOfANewerReleaseIsUnavailable: what a newer release folded is not guessed at.
func TestAMonthOfANewerReleaseIsUnavailable(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	l := s.ledger(t, ledger.Options{})
	fund(t, l, "acme", 100)
	s.clock.Advance(60 * 24 * time.Hour)
	if _, err := s.Raw.Commit(t.Context(), &pb.CommitRequest{Database: s.Database(), Writes: []*pb.Write{{Operation: &pb.Write_Update{Update: &pb.Document{
		Name: s.DocumentName("wallets/acme/months/2026-03-0"), Fields: map[string]*pb.Value{"v": {ValueType: &pb.Value_IntegerValue{IntegerValue: 2}}},
	}}}}}); err != nil {
		t.Fatal(err)
	}
	_, err := l.Usage(t.Context(), "acme", "2026-03-01", "2026-04-01", func(ledger.Used) error { return nil })
	if _, ok := errors.AsType[*ledger.Unavailable](err); !ok {
		t.Errorf("%v", err)
	}
}
