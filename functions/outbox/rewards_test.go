package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/fluxori/ai-credits/shared/campaigns"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/cloudtest"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/orgs"
)

// deadLedger is that of a process that is killed before it grants.
type deadLedger struct{}

var errKilled = errors.New("killed")

// Do implements campaigns.Ledger.
func (deadLedger) Do(context.Context, string, credit.Command) (ledger.Result, error) {
	return ledger.Result{}, errKilled
}

// Redo implements campaigns.Ledger.
func (deadLedger) Redo(context.Context, string, credit.Command) (ledger.Result, error) {
	return ledger.Result{}, errKilled
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// redeemed leaves an organisation with a promotion redeemed and not granted.
func redeemed(t *testing.T, c *cloudtest.Cloud, l *ledger.Ledger, org string) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	store, err := orgs.NewStore(c.Client, log, orgs.Options{Now: c.Now})
	ok(t, err)
	prices := c.Catalogue(t)
	registrar, err := orgs.NewRegistrar(store, l, prices)
	ok(t, err)
	_, _, err = registrar.Put(t.Context(), org, orgs.Profile{Name: org, Country: "ZA", OwnerEmail: "owner@acme.example"})
	ok(t, err)
	giver, err := campaigns.NewGiver(campaigns.Options{Documents: c.Client, Ledger: deadLedger{}, Orgs: store, Prices: prices, Now: c.Now, Log: log})
	ok(t, err)
	_, _, err = giver.PutPromotion(t.Context(), "WELCOME", campaigns.Terms{
		Name: "Welcome", On: campaigns.Redemption, Credits: 50, StartsAt: c.Now().Add(-time.Hour), EndsAt: c.Now().AddDate(0, 1, 0), TotalMax: 10, PerOrgMax: 1,
	}, "op")
	ok(t, err)
	if _, err := giver.Redeem(t.Context(), campaigns.Request{Org: org, By: "p", Code: "WELCOME", Key: "k"}); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
}

func fireRewards(t *testing.T, c *cloudtest.Cloud, wantStatus int, want string) {
	t.Helper()
	status, answer := c.Fire(t, "rewards")
	got := fmt.Sprintf("granted %v failed %v more %v", answer["granted"], answer["failed"], answer["more"])
	if status != wantStatus || got != want {
		t.Errorf("%d %s, want %d %s", status, got, wantStatus, want)
	}
}

func TestWhatADeadProcessRedeemedIsGrantedOnce(t *testing.T) {
	t.Parallel()
	c := cloudtest.New(t)
	l := c.Ledger(t, c.Publisher(t))
	redeemed(t, c, l, "acme")
	c.Start(t, "outbox", nil)
	fireRewards(t, c, 200, "granted 0 failed 0 more false") // the process may be alive yet
	c.Advance(61 * time.Second)
	c.Hooks.Set(firedb.Rule{Method: "Commit", Fault: firedb.Fault{Code: codes.PermissionDenied}})
	fireRewards(t, c, 503, "granted 0 failed 1 more false")
	c.Hooks.Set()
	fireRewards(t, c, 200, "granted 1 failed 0 more false")
	fireRewards(t, c, 200, "granted 0 failed 0 more false")
	b, err := l.Balance(t.Context(), "acme")
	ok(t, err)
	if b.BySource[credit.Promotion] != 50 {
		t.Errorf("%+v", b)
	}
}
