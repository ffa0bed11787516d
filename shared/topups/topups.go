package topups

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/orgs"
	"github.com/fluxori/ai-credits/shared/payments"
)

// Wallets carries out commands on wallets, as a *ledger.Ledger does.
type Wallets interface {
	Do(ctx context.Context, org string, c credit.Command) (ledger.Result, error)
}

// Organisations knows organisations, as an *orgs.Store does.
type Organisations interface {
	Get(ctx context.Context, org string) (orgs.Org, error)
}

// Till prices and charges, as a *payments.Shop does.
type Till interface {
	TaxOn(ctx context.Context, b payments.Buyer, o payments.Offer) (payments.Tax, error)
	PriceOf(ctx context.Context, pkg, country string) (payments.Offer, error)
	Charge(ctx context.Context, t payments.TopUp) (payments.Charged, error)
}

// Publisher publishes messages, as an *events.Publisher does.
type Publisher interface {
	Publish(ctx context.Context, messages []events.Message) error
}

// Options are what a Keeper works with. Till and Publisher are needed to run attempts, and to wish; all others always.
type Options struct {
	Documents     *firestore.Client
	Wallets       Wallets
	Organisations Organisations
	Till          Till
	Publisher     Publisher
	Log           *slog.Logger
	// Now is the system's clock.
	Now func() time.Time
}

// Keeper keeps organisations' wishes and tops up. It is safe for concurrent use.
type Keeper struct {
	opts  Options
	store store
}

var _ payments.Cards = (*Keeper)(nil)

// New makes a Keeper.
func New(o Options) (*Keeper, error) {
	if o.Documents == nil || o.Wallets == nil || o.Organisations == nil || o.Log == nil || o.Now == nil {
		return nil, errors.New("auto top-up needs a store, wallets, organisations, a logger and a clock")
	}
	return &Keeper{opts: o, store: store{o.Documents}}, nil
}

func (k *Keeper) now() time.Time { return k.opts.Now().UTC().Truncate(time.Microsecond) }

// Get returns an organisation's settings, and the month that counts now. Errors are an *Error or package orgs'.
func (k *Keeper) Get(ctx context.Context, org string) (s Settings, window string, err error) {
	o, err := k.opts.Organisations.Get(ctx, org)
	if err != nil {
		return Settings{}, "", fmt.Errorf("the auto top-up of %s: %w", org, err)
	}
	if s, err = k.store.get(ctx, org); s.Currency == "" {
		s.Currency = catalogue.Currency(o.Currency)
	}
	window, _ = k.window(o)
	return s, window, err
}

// window is the calendar month in an organisation's zone, and when the next begins.
func (k *Keeper) window(o orgs.Org) (window string, next time.Time) {
	zone, err := time.LoadLocation(o.Zone)
	if err != nil {
		zone = time.UTC // of an organisation whose zone this machine does not know
	}
	now := k.now().In(zone)
	return now.Format("2006-01"), time.Date(now.Year(), now.Month()+1, 1, 0, 0, 0, 0, zone).UTC()
}

// Wish makes an organisation's settings what it wishes, closes its breaker, and tells its wallet. The same wish again changes nothing, but it
// reaches a wallet that was not told before. Errors are an *Error, or those of packages orgs, catalogue and ledger.
func (k *Keeper) Wish(ctx context.Context, org string, w Wish) (s Settings, window string, err error) {
	o, err := k.opts.Organisations.Get(ctx, org)
	if err != nil {
		return Settings{}, "", fmt.Errorf("the auto top-up of %s: %w", org, err)
	}
	offer := payments.Offer{Currency: catalogue.Currency(o.Currency)}
	if w.Enabled { // what is off may name a package that is sold no more
		if offer, err = k.opts.Till.PriceOf(ctx, w.Package, o.Country); err != nil {
			return Settings{}, "", err
		}
	}
	switch {
	case w.Threshold < 0 || w.Threshold > credit.MaxCredits:
		return Settings{}, "", invalid("threshold", "threshold must be from 0 to %d.", credit.MaxCredits)
	case w.MonthlyCap < offer.Amount || w.MonthlyCap < 0:
		return Settings{}, "", invalid("monthly_cap", "monthly_cap must be at least the package's price, %d.", offer.Amount)
	}
	if s, err = k.store.change(ctx, org, func(s Settings) Settings { return s.wishing(w, offer.Currency, k.now()) }); err != nil {
		return Settings{}, "", err
	}
	window, _ = k.window(o)
	return s, window, k.tell(ctx, s)
}

// CardSet closes the breaker when an organisation pays with another card than the one that failed, and tells its wallet. Told again, it
// changes nothing more.
func (k *Keeper) CardSet(ctx context.Context, org, card string) error {
	s, err := k.store.change(ctx, org, func(s Settings) Settings { return s.withCard(card, k.now()) })
	if err != nil || s.Revision == 0 {
		return err
	}
	return k.tell(ctx, s)
}

// maxResumed bounds how many organisations one call of Resume sees to; the next goes on.
const maxResumed = 500

// Resume arms the wallets of organisations whose cap was reached in a month that is over: a balance that is still low crosses anew. It returns
// how many it armed. Cut off and called again, it arms each once. Errors are an *Error or the ledger's; others are seen to all the same.
func (k *Keeper) Resume(ctx context.Context) (armed int, err error) {
	due, err := k.store.due(ctx, k.now(), maxResumed)
	if err != nil {
		return 0, err
	}
	var failures []error
	for _, org := range due {
		s, err := k.store.change(ctx, org, func(s Settings) Settings { return s.resuming(k.now()) })
		if err == nil && s.Resuming {
			if err = k.tell(ctx, s); err == nil {
				_, err = k.store.change(ctx, org, func(now Settings) Settings { return now.resumed(s.Revision) })
				armed++
			}
		}
		failures = append(failures, err)
	}
	return armed, errors.Join(failures...)
}

// tell makes what the wallet watches that of the settings.
func (k *Keeper) tell(ctx context.Context, s Settings) error {
	if _, err := k.opts.Wallets.Do(ctx, s.Org, s.configure()); err != nil {
		return fmt.Errorf("tell the wallet of %s its auto top-up of revision %d: %w", s.Org, s.Revision, err)
	}
	return nil
}

// Run sees to the crossing n of an organisation: the card is charged, or not, and people are told. Run again, at once or later, it finds what
// was done, and does what is left. Errors are an *Error or those of packages orgs, catalogue and payments; after one that passes it is to be
// run again.
func (k *Keeper) Run(ctx context.Context, org string, n int64) (Attempt, error) {
	o, err := k.opts.Organisations.Get(ctx, org)
	if err != nil {
		return Attempt{}, fmt.Errorf("top-up %d of %s: %w", n, org, err)
	}
	a, err := k.begun(ctx, o, n)
	if err != nil {
		return Attempt{}, err
	}
	if a.State == Begun {
		if a, err = k.charge(ctx, o, a); err != nil {
			return Attempt{}, err
		}
	}
	k.opts.Log.InfoContext(ctx, "an auto top-up was seen to", slog.String("org", org), slog.Int64("attempt", n), slog.String("state", string(a.State)),
		slog.String("reference", a.Reference), slog.String("code", a.Code))
	return a, k.notice(ctx, org, a)
}

// begun is the attempt for a crossing: the one that is recorded, whatever the settings and prices have become, else a new one.
func (k *Keeper) begun(ctx context.Context, o orgs.Org, n int64) (Attempt, error) {
	s, was, err := k.store.getAttempt(ctx, o.ID, n)
	if err != nil || was != nil {
		return value(was), err
	}
	window, next := k.window(o)
	fresh := Attempt{N: n, Reference: payments.NewReference(), Window: window, BegunAt: k.now()}
	if s.Enabled {
		if fresh.Offer, err = k.offer(ctx, s.Package, o.Country); err != nil {
			return Attempt{}, err
		}
		fresh.Tax, err = k.opts.Till.TaxOn(ctx, buyer(o), fresh.Offer)
		if errors.Is(err, payments.ErrNoTaxPlace) {
			fresh.Code, err = codeNoTaxPlace, nil
		}
		if err != nil {
			return Attempt{}, err
		}
	}
	return k.store.changeAttempt(ctx, o.ID, n, func(s Settings, was *Attempt) (Settings, Attempt) {
		if was != nil {
			return s, *was
		}
		return begin(s, fresh, next)
	})
}

// value is an attempt, or the zero Attempt for none.
func value(a *Attempt) Attempt {
	if a == nil {
		return Attempt{}
	}
	return *a
}

// offer is what a package sells now; no credits when it is sold no more.
func (k *Keeper) offer(ctx context.Context, pkg, country string) (payments.Offer, error) {
	out, err := k.opts.Till.PriceOf(ctx, pkg, country)
	if no, ok := errors.AsType[*catalogue.Error](err); ok && no.Code() != "unavailable" {
		return payments.Offer{Package: pkg}, nil
	}
	return out, err
}

// charge charges for an attempt that has begun, and ends it.
func (k *Keeper) charge(ctx context.Context, o orgs.Org, a Attempt) (Attempt, error) {
	charged, err := k.opts.Till.Charge(ctx, payments.TopUp{
		ID: id(o.ID, a.N), Reference: a.Reference, Offer: a.Offer, Tax: a.Tax, BegunAt: a.BegunAt, Buyer: buyer(o),
	})
	if err != nil {
		return Attempt{}, err
	}
	return k.store.changeAttempt(ctx, o.ID, a.N, func(s Settings, was *Attempt) (Settings, Attempt) {
		if was == nil {
			was = &a
		}
		return end(s, *was, charged, k.now())
	})
}

// buyer is an organisation as it buys.
func buyer(o orgs.Org) payments.Buyer {
	return payments.Buyer{Org: o.ID, Name: o.Name, Email: o.OwnerEmail}
}

// id is the crossing's, and Stripe's idempotency key.
func id(org string, n int64) string { return "topup:" + org + ":" + strconv.FormatInt(n, 10) }

// notice tells people what became of an attempt. Repeated, it has the same id, by which they are told once; of a cap once a month.
func (k *Keeper) notice(ctx context.Context, org string, a Attempt) error {
	e := events.Credit{Version: 1, OrgID: org, At: a.BegunAt, Credits: a.Offer.Credits}
	n := strconv.FormatInt(a.N, 10)
	switch a.State {
	case Made:
		e.Type, e.ID, e.Reason = events.TopUpMade, "topup-made:"+org+":"+n, "purchase "+a.Reference
	case Declined:
		e.Type, e.ID, e.Reason = events.TopUpDeclined, "topup-declined:"+org+":"+n, a.Code
	case Capped:
		e.Type, e.ID = events.TopUpCapped, "topup-capped:"+org+":"+a.Window
	default:
		return nil
	}
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode the notice %s: %w", e.ID, err)
	}
	if err := k.opts.Publisher.Publish(ctx, []events.Message{{Topic: events.CreditAlerts, ID: e.ID, Data: data}}); err != nil {
		return unavailable(fmt.Errorf("publish the notice %s: %w", e.ID, err))
	}
	return nil
}
