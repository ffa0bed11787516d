package orgs_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/orgs"
)

// brokenWallets fails as a ledger does that cannot be reached.
type brokenWallets struct{ err error }

func (b brokenWallets) Do(context.Context, string, credit.Command) (ledger.Result, error) {
	return ledger.Result{}, b.err
}

func TestAChangeWhoseWalletWasNotToldIsHealedByRepeatingIt(t *testing.T) {
	t.Parallel()
	h := open(t)
	prices := catalogue.NewStore(h.Client, slog.New(slog.DiscardHandler), catalogue.StoreOptions{})
	outage := errors.New("outage")
	dying, err := orgs.NewRegistrar(h.store, brokenWallets{outage}, prices)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := dying.Put(t.Context(), "acme", acme()); !errors.Is(err, outage) {
		t.Fatalf("%v, want %v", err, outage)
	}
	if _, err := h.ledger.View(t.Context(), "acme"); code(err) != "unknown_org" {
		t.Fatalf("a wallet after the crash: %v", err)
	}
	h.put(t, "acme", acme())
	alerts := orgs.DefaultAlerts()
	alerts.LowBalance.Threshold = 7
	if _, err := dying.SetAlerts(t.Context(), "acme", alerts); !errors.Is(err, outage) {
		t.Fatalf("%v, want %v", err, outage)
	}
	if o, err := h.store.Get(t.Context(), "acme"); err != nil || o.Alerts.LowBalance.Threshold != 7 {
		t.Errorf("the document has %+v (%v)", o.Alerts, err)
	}
	if _, err := h.registrar.SetAlerts(t.Context(), "acme", alerts); err != nil {
		t.Fatal(err)
	}
	if w, err := h.ledger.View(t.Context(), "acme"); err != nil || w.Low.Threshold != 7 {
		t.Errorf("the wallet has %+v (%v)", w.Low, err)
	}
}

// overtaken is a ledger that gets its first command only after another process has changed the settings again.
type overtaken struct {
	*ledger.Ledger
	meanwhile func()
}

func (o *overtaken) Do(ctx context.Context, org string, c credit.Command) (ledger.Result, error) {
	o.meanwhile()
	return o.Ledger.Do(ctx, org, c)
}

func TestAChangeThatReachesTheWalletLateDoesNotUndoALaterOne(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.put(t, "acme", acme())
	prices := catalogue.NewStore(h.Client, slog.New(slog.DiscardHandler), catalogue.StoreOptions{})
	alerts := func(threshold int64) orgs.Alerts {
		a := orgs.DefaultAlerts()
		a.LowBalance.Threshold = threshold
		return a
	}
	slow, err := orgs.NewRegistrar(h.store, &overtaken{h.ledger, func() {
		if _, err := h.registrar.SetAlerts(t.Context(), "acme", alerts(20)); err != nil {
			t.Error(err)
		}
	}}, prices)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := slow.SetAlerts(t.Context(), "acme", alerts(10)); err != nil {
		t.Fatal(err)
	}
	o, err := h.store.Get(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	if w, err := h.ledger.View(t.Context(), "acme"); err != nil || w.Low.Threshold != 20 || o.Alerts.LowBalance.Threshold != 20 {
		t.Errorf("the wallet has %d, the document %d, want 20 (%v)", w.Low.Threshold, o.Alerts.LowBalance.Threshold, err)
	}
}

func TestChangesAtOnceLeaveWalletAndDocumentEqual(t *testing.T) {
	t.Parallel()
	h := openOn(t, engine.New(t, engine.Embedded()))
	h.put(t, "acme", acme())
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			a := orgs.DefaultAlerts()
			a.LowBalance.Threshold = int64(1000 + i)
			if _, err := h.registrar.SetAlerts(t.Context(), "acme", a); err != nil && code(err) != "unavailable" {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	o, err := h.store.Get(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	w, err := h.ledger.View(t.Context(), "acme")
	if err != nil || w.Low.Threshold != o.Alerts.LowBalance.Threshold || o.Revision < 2 {
		t.Errorf("the wallet has %d, the document %d of revision %d (%v)", w.Low.Threshold, o.Alerts.LowBalance.Threshold, o.Revision, err)
	}
}
