package campaigns_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/fluxori/ai-credits/shared/campaigns"
	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/orgs"
	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/problem"
)

var _ problem.Coded = (*campaigns.Error)(nil)

// office is a Giver with its store, and a ledger that can be made to die before or after it grants.
type office struct {
	*campaigns.Giver
	engine *engine.Engine
	ledger *ledger.Ledger
	orgs   *orgs.Registrar
	micros atomic.Int64
	// dies says when the next grants fail: "" for never.
	dies atomic.Value
}

func (o *office) now() time.Time { return time.UnixMicro(o.micros.Load()).UTC() }

var errKilled = errors.New("killed")

// Do implements campaigns.Ledger.
func (o *office) Do(ctx context.Context, org string, c credit.Command) (ledger.Result, error) {
	return o.mortal(ctx, org, c, o.ledger.Do)
}

// Redo implements campaigns.Ledger.
func (o *office) Redo(ctx context.Context, org string, c credit.Command) (ledger.Result, error) {
	return o.mortal(ctx, org, c, o.ledger.Redo)
}

func (o *office) mortal(
	ctx context.Context, org string, c credit.Command, do func(context.Context, string, credit.Command) (ledger.Result, error),
) (ledger.Result, error) {
	switch when, _ := o.dies.Load().(string); {
	case when == "before", when != "" && strings.HasPrefix("for "+org, when):
		return ledger.Result{}, errKilled
	case when == "after":
		if _, err := do(ctx, org, c); err != nil {
			return ledger.Result{}, err
		}
		return ledger.Result{}, errKilled
	}
	return do(ctx, org, c)
}

func newOffice(t testing.TB) *office {
	t.Helper()
	o := &office{engine: engine.New(t)}
	o.micros.Store(time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC).UnixMicro())
	log := slog.New(slog.DiscardHandler)
	var err error
	o.ledger, err = ledger.New(o.engine.Raw, o.engine.Database(), ledger.Options{Now: o.now})
	check(t, err)
	prices := catalogue.NewStore(o.engine.Client, log, catalogue.StoreOptions{Staleness: time.Hour})
	seed, err := catalogue.Seed()
	check(t, err)
	check(t, prices.Seed(t.Context(), seed))
	store, err := orgs.NewStore(o.engine.Client, log, orgs.Options{Now: o.now})
	check(t, err)
	o.orgs, err = orgs.NewRegistrar(store, o.ledger, prices)
	check(t, err)
	o.Giver, err = campaigns.NewGiver(campaigns.Options{Documents: o.engine.Client, Ledger: o, Orgs: store, Prices: prices, Now: o.now, Log: log})
	check(t, err)
	return o
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (o *office) open(t testing.TB, org string) {
	t.Helper()
	_, _, err := o.orgs.Put(t.Context(), org, orgs.Profile{Name: org, Country: "ZA", OwnerEmail: "owner@" + org + ".example"})
	check(t, err)
}

func (o *office) promote(t testing.TB, code string, change func(*campaigns.Terms)) {
	t.Helper()
	terms := campaigns.Terms{
		Name: "Welcome", On: campaigns.Redemption, Credits: 50, LifeDays: 30, StartsAt: o.now(), EndsAt: o.now().AddDate(0, 1, 0), TotalMax: 100, PerOrgMax: 100,
	}
	if change != nil {
		change(&terms)
	}
	_, _, err := o.PutPromotion(t.Context(), code, terms, "op")
	check(t, err)
}

func (o *office) redeem(ctx context.Context, org, code, key string) (campaigns.Redeemed, error) {
	return o.Redeem(ctx, campaigns.Request{Org: org, By: "person of " + org, Code: code, Key: key})
}

// credits are what an organisation has, by source.
func (o *office) credits(t testing.TB, org string) map[credit.Source]int64 {
	t.Helper()
	b, err := o.ledger.Balance(t.Context(), org)
	check(t, err)
	return b.BySource
}

// wantCredits compares what an organisation has of one source.
func (o *office) wantCredits(t testing.TB, org string, source credit.Source, want int64) {
	t.Helper()
	if got := o.credits(t, org)[source]; got != want {
		t.Errorf("%s has %d credits of source %s, want %d", org, got, source, want)
	}
}

// redemptions is how often a promotion counts as redeemed.
func (o *office) redemptions(t testing.TB, code string) int64 {
	t.Helper()
	p, err := o.Promotion(t.Context(), code)
	check(t, err)
	return p.Redeemed
}

func wantCode(t testing.TB, err error, want string) {
	t.Helper()
	if coded, ok := errors.AsType[problem.Coded](err); !ok || coded.Code() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// purchase buys credits, and tells that they were paid.
func (o *office) purchase(t testing.TB, org, reference string) payments.PaidPurchase {
	t.Helper()
	key := credit.SystemKey("grant", "pi_"+reference)
	_, err := o.ledger.Do(t.Context(), org, credit.NewGrant{Key: key, Terms: credit.Terms{Source: credit.Purchase, Granted: 1000, Payment: "pi_" + reference}})
	check(t, err)
	return payments.PaidPurchase{Org: org, Reference: reference, Payment: "pi_" + reference, Grant: credit.GrantID(key), Begun: o.now()}
}

// TestLostAnswersOfTheStoreAreNoSecondRedemption loses the answer to the commit that records a redemption.
func TestLostAnswersOfTheStoreAreNoSecondRedemption(t *testing.T) {
	t.Parallel()
	for _, code := range []codes.Code{codes.Aborted, codes.Unavailable, codes.DeadlineExceeded, codes.Internal, codes.InvalidArgument} {
		t.Run(code.String(), func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			o.open(t, "acme")
			o.promote(t, "WELCOME", nil)
			o.engine.Hooks.Set(firedb.Rule{Method: "Commit", Count: 1, Fault: firedb.Fault{Code: code, After: true}, When: func(req proto.Message) bool {
				c, ok := req.(*pb.CommitRequest)
				return ok && strings.Contains(c.String(), "redemptions")
			}})
			if got, err := o.redeem(t.Context(), "acme", "WELCOME", "k"); err != nil || got.Credits != 50 {
				t.Fatalf("%+v, %v", got, err)
			}
			if n := o.redemptions(t, "WELCOME"); n != 1 {
				t.Errorf("%d redemptions", n)
			}
			o.wantCredits(t, "acme", credit.Promotion, 50)
		})
	}
}

// TestOneOrganisationRedeemsFiftyTimesAtOnce has one organisation redeem under fifty keys, each of them twice at once.
func TestOneOrganisationRedeemsFiftyTimesAtOnce(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.open(t, "acme")
	o.promote(t, "THIRTY", func(t *campaigns.Terms) { t.TotalMax = 30 })
	var wg sync.WaitGroup
	var good, refused atomic.Int64
	for i := range 50 {
		for range 2 {
			wg.Go(func() {
				if _, err := o.redeem(t.Context(), "acme", "THIRTY", fmt.Sprint(i)); err == nil {
					good.Add(1)
				} else {
					refused.Add(1)
				}
			})
		}
	}
	wg.Wait()
	o.wantCredits(t, "acme", credit.Promotion, 30*50)
	if n := o.redemptions(t, "THIRTY"); n != 30 || good.Load() != 60 || refused.Load() != 40 {
		t.Errorf("%d redemptions, %d good answers, %d refusals; want 30, 60, 40", n, good.Load(), refused.Load())
	}
	check(t, o.ledger.Audit(t.Context(), "acme"))
}

func TestWhatANewerReleaseWroteIsLeftAlone(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.open(t, "acme")
	o.promote(t, "WELCOME", nil)
	for _, path := range []string{"promotions/WELCOME", "campaigns/acme"} {
		_, err := o.engine.Client.Doc(path).Set(t.Context(), map[string]any{"v": 2})
		check(t, err)
	}
	_, err := o.redeem(t.Context(), "acme", "WELCOME", "k")
	wantCode(t, err, problem.Unavailable)
	_, err = o.Referral(t.Context(), "acme")
	wantCode(t, err, problem.Unavailable)
	_, err = o.PurchasePaid(t.Context(), o.purchase(t, "acme", "CR-2222-2222"))
	wantCode(t, err, problem.Unavailable)
	_, _, err = o.PutPromotion(t.Context(), "WELCOME", campaigns.Terms{
		Name: "x", On: campaigns.Redemption, Credits: 1, StartsAt: o.now(), EndsAt: o.now().Add(1e9), TotalMax: 1, PerOrgMax: 1,
	}, "op")
	wantCode(t, err, problem.Unavailable)
	snapshot, err := o.engine.Client.Doc("promotions/WELCOME").Get(t.Context())
	check(t, err)
	if len(snapshot.Data()) != 1 {
		t.Errorf("wrote %v", snapshot.Data())
	}
}

func TestAnOutageOfTheStoreIsUnavailable(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.open(t, "acme")
	o.promote(t, "WELCOME", nil)
	o.engine.Hooks.Set(firedb.Rule{Method: "BeginTransaction", Fault: firedb.Fault{Code: codes.PermissionDenied}})
	_, err := o.redeem(t.Context(), "acme", "WELCOME", "k")
	wantCode(t, err, problem.Unavailable)
	o.engine.Hooks.Set()
	if _, err := o.redeem(t.Context(), "acme", "WELCOME", "k"); err != nil {
		t.Error(err)
	}
	for name, r := range map[string]campaigns.Request{
		"no organisation": {Org: "A/B", Code: "WELCOME", Key: "k"}, "no key": {Org: "acme", Code: "WELCOME"},
	} {
		if _, err := o.Redeem(t.Context(), r); err == nil {
			t.Errorf("%s: redeemed", name)
		}
	}
	if _, err := o.redeem(t.Context(), "nobody", "WELCOME", "k"); err == nil {
		t.Error("an organisation that does not exist redeemed")
	}
}
