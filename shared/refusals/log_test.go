package refusals

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fluxori/ai-credits/shared/coded"
)

// shelf is a Writer that takes time, may fail, and keeps what it was given and when.
type shelf struct {
	takes time.Duration
	down  bool

	mu     sync.Mutex
	docs   map[string]Refusal
	writes map[string][]time.Time
}

var _ Writer = (*shelf)(nil)

func (s *shelf) Write(ctx context.Context, rs []Refusal) error {
	if err := sleep(ctx, s.takes); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return errors.New("down")
	}
	for _, r := range rs {
		if r.Count < s.docs[r.ID].Count {
			return fmt.Errorf("%s goes back from %d to %d", r.ID, s.docs[r.ID].Count, r.Count)
		}
		s.docs[r.ID] = r
		s.writes[r.ID] = append(s.writes[r.ID], time.Now())
	}
	return nil
}

// sums are the counts that are stored, by organisation, and how many documents and writes there were.
func (s *shelf) sums() (byOrg map[string]int64, docs, writes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	byOrg = map[string]int64{}
	for _, d := range s.docs {
		byOrg[d.Org] += d.Count
		writes += len(s.writes[d.ID])
	}
	return byOrg, len(s.docs), writes
}

func open(t *testing.T) (*Log, *shelf) {
	t.Helper()
	s := &shelf{takes: 30 * time.Millisecond, docs: map[string]Refusal{}, writes: map[string][]time.Time{}}
	l, err := NewLog(s, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return l, s
}

func short() error {
	return &coded.Reason{Is: "insufficient_credits", Says: "There are not enough credits.", With: map[string]any{"available": 3}}
}

func ask(org, user string) Request {
	return Request{Org: org, User: user, Feature: "custom-query", Kind: Debit, Credits: 20, Actor: "reports@test"}
}

func TestALoneRefusalIsStoredBeforeItsAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, s := open(t)
		begin := time.Now()
		l.Record(t.Context(), ask("acme", "u1"), short())
		if sums, docs, _ := s.sums(); sums["acme"] != 1 || docs != 1 {
			t.Errorf("%v in %d documents", sums, docs)
		}
		if took := time.Since(begin); took != s.takes {
			t.Errorf("the caller was kept %v, a write takes %v", took, s.takes)
		}
		for _, d := range s.docs {
			want := Refusal{
				ID: d.ID, Request: ask("acme", "u1"), Code: "insufficient_credits", Detail: "There are not enough credits.",
				Details: []byte(`{"available":3}`), Count: 1, First: begin.UTC().Truncate(time.Microsecond), Last: begin.UTC().Truncate(time.Microsecond),
			}
			if fmt.Sprint(d) != fmt.Sprint(want) {
				t.Errorf("%+v, want %+v", d, want)
			}
		}
	})
}

// TestThousandsASecondCostAFewWrites refuses one user 2,000 times a second for ten seconds.
func TestThousandsASecondCostAFewWrites(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, s := open(t)
		var wg sync.WaitGroup
		var kept time.Duration
		var mu sync.Mutex
		const n = 20_000
		for range n {
			wg.Go(func() {
				begin := time.Now()
				l.Record(t.Context(), ask("acme", "u1"), short())
				mu.Lock()
				kept = max(kept, time.Since(begin))
				mu.Unlock()
			})
			time.Sleep(500 * time.Microsecond)
		}
		wg.Wait()
		sums, docs, writes := s.sums()
		if sums["acme"] != n {
			t.Errorf("%d are counted of %d once all are answered", sums["acme"], n)
		}
		if docs > 2 || writes > 24 { // ten seconds, a few at the start of a document, and perhaps a minute's turn
			t.Errorf("%d documents, %d writes", docs, writes)
		}
		for id, times := range s.writes {
			for i := 1; i < len(times); i++ {
				if apart := times[i].Sub(times[i-1]); apart < pauseFirst<<min(i-1, 3) {
					t.Errorf("%s was written twice in %v", id, apart)
				}
			}
		}
		if kept > patience+2*pauseMost {
			t.Errorf("a caller was kept %v", kept)
		}
	})
}

// TestTooManyUsersAreCountedTogether refuses thousands of users of one organisation, and one of another.
func TestTooManyUsersAreCountedTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, s := open(t)
		var wg sync.WaitGroup
		for i := range 3000 {
			wg.Go(func() { l.Record(t.Context(), ask("acme", fmt.Sprint("u", i)), short()) })
		}
		synctest.Wait()
		wg.Go(func() { l.Record(t.Context(), ask("globex", "alone"), short()) })
		wg.Wait()
		sums, docs, writes := s.sums()
		if !maps.Equal(sums, map[string]int64{"acme": 3000, "globex": 1}) {
			t.Errorf("%v", sums)
		}
		if docs != maxOfOrg+2 || writes > docs+2 {
			t.Errorf("%d documents, %d writes", docs, writes)
		}
		for _, d := range s.docs {
			if d.Sampled != (d.User == "") || (d.Sampled && d.Count != 3000-maxOfOrg) {
				t.Errorf("%+v", d)
			}
		}
		// The memory is free again when the minute is over.
		time.Sleep(2 * window)
		l.Record(t.Context(), ask("acme", "later"), short())
		if len(l.tallies) != 1 || l.sampled != 0 || len(l.ofOrg) != 1 || l.ofOrg["acme"] != 1 {
			t.Errorf("%d tallies, %d sampled, %v", len(l.tallies), l.sampled, l.ofOrg)
		}
	})
}

func TestMemoryIsBoundedWhateverIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, s := open(t)
		s.down = true
		var wg sync.WaitGroup
		for i := range 5000 {
			wg.Go(func() { l.Record(t.Context(), ask(fmt.Sprint("org", i), "u"), short()) })
		}
		wg.Wait()
		if n := len(l.tallies); n != maxTallies+maxSampled {
			t.Errorf("%d tallies, want %d", n, maxTallies+maxSampled)
		}
	})
}

func TestWhatCouldNotBeStoredIsStoredWithTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, s := open(t)
		s.down = true
		for range 3 {
			l.Record(t.Context(), ask("acme", "u1"), short())
		}
		if sums, _, _ := s.sums(); len(sums) != 0 {
			t.Fatal(sums)
		}
		s.down = false
		time.Sleep(pauseMost)
		l.Record(t.Context(), ask("globex", "u2"), short())
		if sums, _, _ := s.sums(); !maps.Equal(sums, map[string]int64{"acme": 3, "globex": 1}) {
			t.Errorf("%v", sums)
		}
	})
}

func TestOnlyRefusalsOfWhatMadeSenseAreLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, s := open(t)
		for _, err := range []error{
			nil, errors.New("boom"), &coded.Reason{Is: "invalid_request"}, &coded.Reason{Is: "unknown_org"}, &coded.Reason{Is: "idempotency_conflict"},
			&coded.Reason{Is: "unavailable"},
		} {
			l.Record(t.Context(), ask("acme", "u1"), err)
		}
		blocked := &coded.Reason{Is: "limit_exceeded", With: map[string]any{"scope": "team", "subject": "sales", "limit": int64(5)}}
		l.Record(t.Context(), ask("acme", "u1"), fmt.Errorf("wrapped: %w", blocked))
		for _, d := range s.docs {
			if d.Code != "limit_exceeded" || d.Blocker != "team:sales" {
				t.Errorf("%+v", d)
			}
		}
		if len(s.docs) != 1 {
			t.Errorf("%d documents", len(s.docs))
		}
	})
}
