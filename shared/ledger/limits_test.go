package ledger_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/ledger"
)

// together submits commands so that they meet in one batch: the first is held up in its commit while the others gather behind it.
func together(t *testing.T, db *testStore, l *ledger.Ledger, cs []credit.Command, rules ...firedb.Rule) []error {
	t.Helper()
	db.Hooks.Set(append(rules, firedb.Rule{Method: "Commit", Count: 1, Fault: firedb.Fault{Delay: 200 * time.Millisecond}})...)
	errs := make([]error, len(cs))
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := l.Do(t.Context(), "acme", debit("first", 1)); err != nil {
			t.Error(err)
		}
	})
	time.Sleep(50 * time.Millisecond)
	for i, c := range cs {
		wg.Go(func() { _, errs[i] = l.Do(t.Context(), "acme", c) })
	}
	wg.Wait()
	db.Hooks.Set()
	return errs
}

func TestWhatTheStoreWillNotHaveHarmsNobodyElse(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	l := db.ledger(t, ledger.Options{})
	fund(t, l, "acme", 100)
	var cs []credit.Command
	for i := range 20 {
		cs = append(cs, debit(fmt.Sprint(i), 1))
	}
	poison := debit("poison", 1)
	poison.Metadata = `{"x":"poison"}`
	errs := together(t, db, l, append(cs, poison), firedb.Rule{
		Method: "Commit", Fault: firedb.Fault{Code: codes.InvalidArgument},
		When: func(m proto.Message) bool {
			for _, w := range m.(*pb.CommitRequest).Writes {
				if w.GetUpdate().GetFields()["metadata"].GetStringValue() == poison.Metadata {
					return true
				}
			}
			return false
		},
	})
	var unknown *ledger.Unavailable
	if !errors.As(errs[20], &unknown) {
		t.Errorf("what the store will not have: %v", errs[20])
	}
	if err := errors.Join(errs[:20]...); err != nil {
		t.Errorf("its neighbours: %v", err)
	}
	audit(t, l, "acme")
}

// TestABatchStaysWithinTheStoresLimits lets large commands meet, each of which the store would take.
func TestABatchStaysWithinTheStoresLimits(t *testing.T) {
	t.Parallel()
	t.Run("a request of debits that empty many grants", func(t *testing.T) {
		t.Parallel()
		db := openStore(t)
		l := db.ledger(t, ledger.Options{BatchBytes: 300 << 10})
		configure(t, l, "acme")
		promote(t, l, db.clock, 2000)
		var cs []credit.Command
		for i := range 10 {
			cs = append(cs, debit(fmt.Sprint(i), 10_000)) // 100 grants each
		}
		var largest int
		errs := together(t, db, l, cs, firedb.Rule{Method: "Commit", When: func(m proto.Message) bool {
			largest = max(largest, proto.Size(m))
			return false
		}})
		if err := errors.Join(errs...); err != nil {
			t.Error(err)
		}
		if largest > 400<<10 {
			t.Errorf("a request has %d bytes; about 300 KiB are allowed", largest)
		}
		audit(t, l, "acme")
	})
	t.Run("an outbox document of long reasons", func(t *testing.T) {
		t.Parallel()
		db := openStore(t)
		l := db.ledger(t, ledger.Options{})
		fund(t, l, "acme", 100)
		var cs []credit.Command
		for i := range 300 {
			cs = append(cs, credit.NewGrant{
				Key: credit.SystemKey("bonus", fmt.Sprint(i)), Terms: credit.Terms{Source: credit.Promotion, Granted: 1}, Reason: strings.Repeat("<", credit.MaxReasonBytes),
			})
		}
		var refused int
		errs := together(t, db, l, cs, firedb.Rule{Method: "Commit", When: func(m proto.Message) bool {
			for _, w := range m.(*pb.CommitRequest).Writes {
				if proto.Size(w.GetUpdate()) > 1<<20 {
					refused++
				}
			}
			return false
		}})
		if err := errors.Join(errs...); err != nil || refused > 0 {
			t.Errorf("%d documents above 1 MiB; %v", refused, err)
		}
		audit(t, l, "acme")
	})
}

// TestABatchOfManyUsersStaysWithinTheStoresTransforms has more users wait than one commit may add to in a roll-up.
func TestABatchOfManyUsersStaysWithinTheStoresTransforms(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	l := db.ledger(t, ledger.Options{BatchItems: 2000})
	fund(t, l, "acme", 10_000)
	db.Hooks.Set(firedb.Rule{Method: "Commit", Count: 1, Fault: firedb.Fault{Delay: 300 * time.Millisecond}}) // meanwhile the others gather
	const users = 1200
	cost := db.cost(func() {
		var wg sync.WaitGroup
		for i := range users {
			d := debit(fmt.Sprint("event ", i), 1)
			d.Work.User = fmt.Sprint("user ", i)
			wg.Go(func() {
				if _, err := l.Do(t.Context(), "acme", d); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
	if cost.rpcs > 60 { // item by item it would be more than a thousand
		t.Errorf("%d users cost %+v", users, cost)
	}
	audit(t, l, "acme")
}
