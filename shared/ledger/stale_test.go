package ledger_test

import (
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/ledger"
)

// What changes nothing makes no commit, so nothing would tell a process that the wallet it remembers is not the wallet that is stored.
func TestNothingToDoIsSaidOfTheStoredWallet(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	a, b := db.ledger(t, ledger.Options{}), db.ledger(t, ledger.Options{})
	fund(t, a, "acme", 100)
	freeze := func(l *ledger.Ledger, frozen bool) {
		t.Helper()
		if _, err := l.Do(t.Context(), "acme", credit.FreezeWallet{Frozen: frozen}); err != nil {
			t.Fatal(err)
		}
	}
	freeze(a, true)
	freeze(b, false)
	freeze(a, true) // a still knows its own freeze
	if w, err := b.View(t.Context(), "acme"); err != nil || !w.Frozen {
		t.Errorf("acknowledged as frozen, and is not (%v)", err)
	}
	freeze(b, false)

	start := db.clock.Now()
	if err := a.Settle(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	subscribe(t, b, "in_1", 500, start, start.Add(24*time.Hour))
	db.clock.Advance(48 * time.Hour)
	if err := a.Settle(t.Context(), "acme"); err != nil { // a knows of no subscription
		t.Fatal(err)
	}
	if due, err := b.DueWallets(t.Context(), db.clock.Now(), ledger.Due{}, 10); err != nil || len(due) != 0 {
		t.Errorf("settled, and yet due: %v (%v)", due, err)
	}
	audit(t, b, "acme")
}

// A grant that another process put into the wallet is not known to one that remembers an older wallet, and its own record says only that it is
// in the wallet.
func TestAGrantIsFoundThatAnotherProcessPutIntoTheWallet(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	a, b := db.ledger(t, ledger.Options{}), db.ledger(t, ledger.Options{})
	fund(t, a, "acme", 100)
	key := credit.SystemKey("grant", "pi_late")
	if _, err := b.Do(t.Context(), "acme", credit.NewGrant{Key: key, Terms: credit.Terms{Source: credit.Purchase, Granted: 1000}}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Do(t.Context(), "acme", credit.ClawBack{Grant: credit.GrantID(key), Returned: 40, Paid: 100}); err != nil {
		t.Fatal(err)
	}
	if w, err := b.View(t.Context(), "acme"); err != nil || w.Available != 700 {
		t.Errorf("%+v are left (%v), want 700", w.Figures, err)
	}
	audit(t, b, "acme")
}
