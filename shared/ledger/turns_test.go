package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
)

func TestACommitSaysWhoIsNext(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		roster    string // before
		lapsed    bool   // nobody came whose turn it was
		items     int    // of the commit
		commits   int    // of the turn, before
		taken     int    // commands in them
		turnSince time.Duration
		want      string
	}{
		{name: "alone", items: 9, want: ""},
		{name: "who takes no turns leaves them to the others", roster: "a b", items: 9, want: "a b"},
		{name: "a large commit ends the turn", roster: "me a b", items: 1000, want: "a b me"},
		{name: "a small one goes on", roster: "me a b", items: 200, want: "me a b"},
		{name: "until the turn has had enough commands", roster: "me a b", items: 200, commits: 2, taken: 800, want: "a b me"},
		{name: "or enough commits", roster: "me a b", items: 10, commits: turnCommitsMax - 1, taken: 30, want: "a b me"},
		{name: "or enough time", roster: "me a b", items: 10, commits: 1, taken: 10, turnSince: turnLife, want: "a b me"},
		{name: "a lone command asks for no further turn", roster: "me a b", items: 1, want: "a b"},
		{name: "who comes in another's place takes it off", roster: "a me b", lapsed: true, items: 1000, want: "b me"},
		{name: "who overtakes leaves the order", roster: "a me b", items: 1000, want: "a b me"},
		{name: "the last of two is alone", roster: "a me", lapsed: true, items: 1000, want: ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := &Ledger{self: "me", opts: Options{}.withDefaults()}
			a := &actor{ledger: l, version: timestamppb.New(time.Unix(1, 0))}
			a.roster = strings.Fields(tt.roster)
			if tt.lapsed {
				a.lapsed = a.version
			}
			a.commits, a.taken, a.began = tt.commits, tt.taken, time.Now().Add(-tt.turnSince)
			r := &round{actor: a, accepted: make([]accepted, tt.items)}
			next := r.nextTurns()
			if got := strings.Join(next.roster, " "); got != tt.want || next.writer != "me" {
				t.Errorf("next are %q, written by %q, want %q", got, next.writer, tt.want)
			}
			if strings.Join(a.roster, " ") != tt.roster {
				t.Errorf("the roster that is known became %q before the commit", a.roster)
			}
		})
	}
}

func TestAProcessWaitsForItsTurnAndNotForever(t *testing.T) {
	t.Parallel()
	const took = 40 * time.Millisecond
	tests := []struct {
		name      string
		roster    string
		seen      time.Duration // ago
		lapsed    bool
		least     time.Duration
		most      time.Duration
		wantLapse bool
	}{
		{name: "alone", roster: ""},
		{name: "its turn", roster: "me a"},
		{name: "no turns of its own", roster: "a b"},
		{name: "the next one looks often", roster: "a me", least: time.Millisecond, most: took / 8},
		{name: "the third one looks once the first is done", roster: "a b me", least: took / 2, most: took},
		{name: "nobody came in time", roster: "a me", seen: 3*took + 25*time.Millisecond, wantLapse: true},
		{name: "nobody came before", roster: "a me", lapsed: true, wantLapse: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			now := time.Now()
			a := &actor{ledger: &Ledger{self: "me"}, version: timestamppb.New(time.Unix(1, 0))}
			a.roster, a.took, a.seen = strings.Fields(tt.roster), took, now.Add(-tt.seen)
			if tt.lapsed {
				a.lapsed = a.version
			}
			if got := a.turnIn(now); got < tt.least || got > tt.most {
				t.Errorf("it waits %v, want %v to %v", got, tt.least, tt.most)
			}
			if lapsed := a.lapsed != nil; lapsed != tt.wantLapse {
				t.Errorf("the turn lapsed: %v", lapsed)
			}
		})
	}
}

func TestOldLossesAreForgotten(t *testing.T) {
	t.Parallel()
	var c contention
	now := time.Now()
	c.lose(now)
	c.lose(now.Add(lossMemory + time.Millisecond))
	if c.losses != 1 {
		t.Errorf("%d losses, want 1", c.losses)
	}
	c.lose(now.Add(lossMemory + 2*time.Millisecond))
	if c.losses != lossesToJoin {
		t.Errorf("%d losses, want %d", c.losses, lossesToJoin)
	}
}

// wallet gives a ledger of its own with a wallet on an engine.
func wallet(t *testing.T, e *engine.Engine, org string) *Ledger {
	t.Helper()
	l, err := New(e.Raw, e.Database(), Options{Now: time.Now, Concurrency: 1})
	if err != nil {
		t.Fatal(err)
	}
	zone := "Etc/UTC"
	for _, c := range []credit.Command{
		credit.Configure{Zone: &zone},
		credit.NewGrant{Key: credit.SystemKey("grant", org), Terms: credit.Terms{Source: credit.Purchase, Granted: 1000}},
	} {
		if _, err := l.Do(t.Context(), org, c); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func spend(ctx context.Context, l *Ledger, org, id string) error {
	_, err := l.Do(ctx, org, credit.Debit{
		EventID: id, Credits: 1, Content: credit.Content{Kind: credit.KindDebit, Org: org}, Work: credit.Work{Feature: "custom-query"},
	})
	return err
}

// resting returns a wallet's actor once its goroutine has ended.
func (l *Ledger) resting(t *testing.T, org string) *actor {
	t.Helper()
	for range 1000 {
		l.mu.Lock()
		a := l.actors[org]
		rests := a != nil && !a.running
		l.mu.Unlock()
		if rests {
			return a
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("the actor of %s does not rest", org)
	return nil
}

func stand(t *testing.T, l *Ledger, org string) *pb.Document {
	t.Helper()
	name := l.store.walletName(org)
	got, err := l.store.get(t.Context(), name)
	if err != nil || got[name] == nil {
		t.Fatalf("%s: %v, %v", org, got[name], err)
	}
	return got[name]
}

// TestAKnockMovesTheVersionAndNothingElse: whoever was about to commit reads the wallet again, finds the credits as they were, and learns who
// asks for turns.
func TestAKnockMovesTheVersionAndNothingElse(t *testing.T) {
	t.Parallel()
	engine.Each(t, func(t *testing.T, e *engine.Engine) {
		l := wallet(t, e, "acme")
		before := stand(t, l, "acme")
		other := &actor{ledger: &Ledger{self: "other", store: l.store, opts: l.opts}, org: "acme"}
		if err := other.adopt(before); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second finds itself on the roster
			if err := other.knock(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		after := stand(t, l, "acme")
		if proto.Equal(before.UpdateTime, after.UpdateTime) {
			t.Error("the version did not move: others would not notice")
		}
		s, err := decodeWallet(after)
		if err != nil || !slices.Equal(s.turns.roster, []string{l.self, "other"}) {
			t.Errorf("the roster is %q (%v), want the last writer and the one who knocked", s.turns.roster, err)
		}
		delete(after.Fields, "roster")
		if !proto.Equal(&pb.Document{Fields: before.Fields}, &pb.Document{Fields: after.Fields}) {
			t.Errorf("the wallet was %v, and is %v", before.Fields, after.Fields)
		}
		if err := spend(t.Context(), l, "acme", "after the knock"); err != nil {
			t.Error(err)
		}
		if err := l.Audit(t.Context(), "acme"); err != nil {
			t.Error(err)
		}
		if err := (&actor{ledger: other.ledger, org: "nobody"}).knock(t.Context()); err == nil {
			t.Error("a knock made a wallet")
		}
	})
}

// TestWaitingForATurnHoldsNobodyElseUp lets a process wait for one that is dead: its other wallets go on meanwhile, though it has one slot,
// and after the grace it goes ahead and takes the dead one off.
func TestWaitingForATurnHoldsNobodyElseUp(t *testing.T) {
	t.Parallel()
	e := engine.New(t, engine.Embedded())
	l := wallet(t, e, "acme")
	if err := spend(t.Context(), l, "acme", "before"); err != nil {
		t.Fatal(err)
	}
	dead := &actor{ledger: &Ledger{self: "dead", store: l.store, opts: l.opts}, org: "acme"}
	if err := dead.knock(t.Context()); err != nil { // of a wallet it has not read: it is the first on the roster
		t.Fatal(err)
	}
	alive := &actor{ledger: l, org: "acme"}
	if err := alive.knock(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := l.resting(t, "acme")
	if err := a.adopt(stand(t, l, "acme")); err != nil {
		t.Fatal(err)
	}
	a.took = 200 * time.Millisecond
	done := make(chan error)
	go func() { done <- spend(t.Context(), l, "acme", "waits") }()
	zone := "Etc/UTC"
	if _, err := l.Do(t.Context(), "other", credit.Configure{Zone: &zone}); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		t.Fatalf("it did not wait for its turn (%v)", err)
	default:
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if s, err := decodeWallet(stand(t, l, "acme")); err != nil || len(s.turns.roster) > 0 {
		t.Errorf("the roster is %q (%v)", s.turns.roster, err)
	}
}

func TestMemoryIsBoundedAndKnowsWhatItForgot(t *testing.T) {
	t.Parallel()
	const kept = 10
	m := newMemory(kept)
	key := func(i int) credit.Key { return credit.CallerKey(fmt.Sprint("e", i)) }
	const all = kept*traces + 5
	for i := range all {
		m.keep("acme", key(i).Doc(), &credit.Entry{Key: key(i)})
		m.keep("acme", key(i).Doc(), &credit.Entry{Key: key(i)}) // again: it takes no other's place
	}
	if len(m.entries) != kept || len(m.traces) != kept*traces {
		t.Errorf("%d entries and %d traces, want %d and %d", len(m.entries), len(m.traces), kept, kept*traces)
	}
	for i := range all {
		e, probably := m.find("acme", key(i).Doc())
		if (e != nil) != (i >= all-kept) || probably != (i >= 5) {
			t.Errorf("event %d: entry %v, known %v", i, e != nil, probably)
		}
	}
	if e, probably := m.find("other", key(all-1).Doc()); e != nil || probably {
		t.Error("an organisation's id is known to another")
	}
}
