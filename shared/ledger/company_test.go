package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/ledger"
)

// A panic in a round, here of the clock, must neither take the process with it nor leave the wallet's queue standing.
func TestAPanicEndsItsRoundAlone(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	fund(t, db.ledger(t, ledger.Options{}), "acme", 100)
	var broken atomic.Bool
	l, err := ledger.New(db.Raw, db.Database(), ledger.Options{Now: func() time.Time {
		if broken.Load() {
			panic("the clock is broken")
		}
		return db.clock.Now()
	}})
	if err != nil {
		t.Fatal(err)
	}
	broken.Store(true)
	var unknown *ledger.Unavailable
	if _, err := l.Do(t.Context(), "acme", debit("a", 10)); !errors.As(err, &unknown) {
		t.Errorf("in a round that panics: %v", err)
	}
	broken.Store(false)
	if r, err := l.Do(t.Context(), "acme", debit("a", 10)); err != nil || r.Replayed {
		t.Errorf("afterwards: %+v, %v", r, err)
	}
	audit(t, l, "acme")
}

type brokenPublisher struct{}

func (brokenPublisher) Publish(context.Context, []events.Message) error { panic("no broker") }

func TestAPanicOfThePublisherLeavesTheEventsInTheOutbox(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	fund(t, db.ledger(t, ledger.Options{Publish: brokenPublisher{}}), "acme", 100)
	p := &published{}
	if swept, err := db.ledger(t, ledger.Options{Publish: p}).Sweep(t.Context(), db.clock.Now(), 10); err != nil || swept.Sent != 1 {
		t.Errorf("swept %+v, %v", swept, err)
	}
}

// A refusal of one amount is no answer to another that came under the same id at the same time.
func TestTheSameIDWithOtherContentIsDecidedForItself(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	l := db.ledger(t, ledger.Options{})
	fund(t, l, "acme", 101)
	for i := range 5 {
		errs := together(t, db, l, []credit.Command{debit(fmt.Sprint("id", i), 1000), debit(fmt.Sprint("id", i), 5), debit(fmt.Sprint("id", i), 1000)})
		if errs[1] != nil {
			t.Errorf("5 of what there is, beside 1,000 under the same id: %v", errs[1])
		}
		for _, n := range []int{0, 2} {
			var no *credit.Refusal
			if !errors.As(errs[n], &no) || no.Code() != credit.CodeInsufficient && no.Code() != credit.CodeConflict {
				t.Errorf("1,000: %v", errs[n])
			}
		}
		purchase(t, l, "acme", fmt.Sprint("more", i), 1) // what the first of those together took
	}
	audit(t, l, "acme")
}

// The one who asked first goes; the one who asked again under the same id still waits, and gets what it asked for.
func TestOneCallerGoesAndItsTwinStays(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	l := db.ledger(t, ledger.Options{})
	fund(t, l, "acme", 100)
	other := db.ledger(t, ledger.Options{})
	slow := func(d time.Duration) firedb.Rule {
		return firedb.Rule{Method: "Commit", Count: 1, Fault: firedb.Fault{Delay: d}}
	}
	db.Hooks.Set(slow(200*time.Millisecond), slow(600*time.Millisecond))
	gone := make(chan error, 2)
	do := func(patience time.Duration, id string) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		_, err := l.Do(ctx, "acme", debit(id, 1))
		gone <- err
	}
	go do(5*time.Second, "first") // holds the wallet while the twins gather
	time.Sleep(50 * time.Millisecond)
	go do(400*time.Millisecond, "twin")
	time.AfterFunc(400*time.Millisecond, func() { // the twins' commit, under way, loses its race
		if _, err := other.Do(context.WithoutCancel(t.Context()), "acme", debit("other", 1)); err != nil {
			t.Error(err)
		}
	})
	time.Sleep(20 * time.Millisecond)
	if r, err := l.Do(t.Context(), "acme", debit("twin", 1)); err != nil || r.Replayed {
		t.Errorf("the twin that stayed: %+v, %v", r, err)
	}
	for range 2 {
		<-gone
	}
	audit(t, l, "acme")
}

// What is remembered to answer repeats is bounded over all wallets: a process that has served many holds no more.
func TestRecentEntriesAreBoundedOverAllWallets(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	l := db.ledger(t, ledger.Options{RecentEntries: 8})
	fund(t, l, "acme", 100)
	fund(t, l, "other", 100)
	do := func(org, id string) {
		t.Helper()
		if _, err := l.Do(t.Context(), org, debit(id, 1)); err != nil {
			t.Fatal(err)
		}
	}
	do("acme", "x")
	if cost := db.cost(func() { do("acme", "x") }); cost.rpcs != 0 {
		t.Errorf("a recent repeat cost %+v", cost)
	}
	for i := range 8 {
		do("other", fmt.Sprint(i))
	}
	if cost := db.cost(func() { do("acme", "x") }); cost.rpcs == 0 {
		t.Error("an entry is remembered beyond the bound")
	}
}
