package payments

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/ledger"
)

// graceDefault is for how long a subscription's credits outlive their period while the next invoice is awaited: Stripe finalises a renewal
// about an hour after the period turns.
const graceDefault = 2 * time.Hour

// grantTimeout bounds one command on a wallet.
const grantTimeout = 10 * time.Second

// Ledger carries out commands on wallets.
type Ledger interface {
	Do(ctx context.Context, org string, c credit.Command) (ledger.Result, error)
	// Redo is Do for a command that has probably been carried out before.
	Redo(ctx context.Context, org string, c credit.Command) (ledger.Result, error)
}

// Prices finds the catalogue in force.
type Prices interface {
	Current(ctx context.Context) (*catalogue.Catalogue, error)
}

// ReceiverOptions are what a Receiver works with. All but Grace, Bonuses and Cards are required.
type ReceiverOptions struct {
	Documents *firestore.Client
	Ledger    Ledger
	Prices    Prices
	Stripe    *Gateway
	// Now is the system's clock.
	Now func() time.Time
	Log *slog.Logger
	// Grace is for how long a subscription's credits can be used after their period while it will renew. The default is 2 h.
	Grace time.Duration
	// Bonuses gives what campaigns promised for purchases; nil for no campaigns.
	Bonuses Bonuses
	// Cards is told of the cards that customers set; nil for nobody.
	Cards Cards
}

// Cards is told that an organisation pays with a card from now on. It may be told again, and late.
type Cards interface {
	CardSet(ctx context.Context, org, card string) error
}

// Receiver settles Stripe's events. It is safe for concurrent use, also for one event at once.
type Receiver struct {
	opts  ReceiverOptions
	store store
}

// NewReceiver makes a Receiver.
func NewReceiver(o ReceiverOptions) (*Receiver, error) {
	if o.Documents == nil || o.Ledger == nil || o.Prices == nil || o.Stripe == nil || o.Now == nil || o.Log == nil {
		return nil, errors.New("receiving Stripe's events needs a store, a ledger, prices, Stripe, a clock and a logger")
	}
	switch {
	case o.Grace < 0:
		return nil, fmt.Errorf("the grace of subscriptions is %v; it must not be negative", o.Grace)
	case o.Grace == 0:
		o.Grace = graceDefault
	}
	return &Receiver{opts: o, store: store{o.Documents}}, nil
}

// Receive settles an event: its credits are granted and recorded, or it is put aside for a person, when this returns without an error. Every
// error passes: the event is to be received again. Doing so any number of times, also at once, grants nothing twice.
func (r *Receiver) Receive(ctx context.Context, n Notice) (Outcome, error) {
	if !n.matters() {
		return Ignored, nil
	}
	e, err := n.event()
	if err != nil {
		return r.putAside(ctx, n, subject{object: n.object()}, doubt(Malformed, "%v", err))
	}
	switch {
	case e.Card != nil && r.opts.Cards != nil:
		return r.receiveCard(ctx, n, *e.Card)
	case e.Told != nil || e.Scheduled != nil:
		return r.receiveSubscription(ctx, n, e)
	case e.Session == nil && e.Invoice == nil && e.Return == nil:
		return Ignored, nil
	}
	about := aboutOf(e)
	if e.Return != nil {
		return r.receiveReturn(ctx, n, e, about)
	}
	known, err := r.know(ctx, e)
	if err != nil {
		return "", err
	}
	d := Plan(e, known)
	do := r.opts.Ledger.Do
	if known.Payment != nil && known.Payment.Status == Paid {
		do = r.opts.Ledger.Redo // a command that is tried anew would hold up the debits that are committed with it
	}
	if d.Org != "" {
		about.org = clip(d.Org)
	}
	for _, g := range d.Grants {
		if refused, err := carryOut(ctx, do, d.Org, g); err != nil {
			return "", err
		} else if refused != nil {
			return r.putAside(ctx, n, about, refused)
		}
	}
	if len(d.Cycles) > 0 {
		if err := r.opened(ctx, d, known.Subscription); err != nil {
			return "", err
		}
	}
	if err := r.reward(ctx, known.Purchase, d.Fact); err != nil {
		return "", err
	}
	outcome := Ignored
	if d.Fact != nil {
		payment, err := r.store.learnPayment(ctx, *d.Fact)
		if err != nil {
			return "", err
		}
		if refused, err := r.settler().settle(ctx, payment); err != nil {
			return "", err
		} else if refused != nil {
			return r.putAside(ctx, n, about, refused)
		}
		outcome = Recorded
	}
	switch {
	case d.Doubt != nil:
		return r.putAside(ctx, n, about, d.Doubt)
	case len(d.Grants) > 0:
		outcome = Credited
	}
	return outcome, r.store.saw(ctx, n, r.seen(n, outcome, about))
}

// receiveCard tells of the card that a customer pays with now: the event may be older than another card, with which a charge has failed since.
func (r *Receiver) receiveCard(ctx context.Context, n Notice, c Card) (Outcome, error) {
	now, err := r.opts.Stripe.cardOf(ctx, c.Customer)
	if err == nil && now != "" {
		err = r.opts.Cards.CardSet(ctx, c.Org, now)
	}
	if err != nil {
		return "", fmt.Errorf("a new card of %s: %w", c.Org, err)
	}
	return Recorded, r.store.saw(ctx, n, r.seen(n, Recorded, subject{org: clip(c.Org)}))
}

// know gathers what is known before an event is looked at: our records, and for an invoice its subscription as it is now.
func (r *Receiver) know(ctx context.Context, e Event) (Known, error) {
	k := Known{Now: r.opts.Now().UTC().Truncate(time.Microsecond), Grace: r.opts.Grace}
	if s := e.Session; s != nil {
		rec, err := r.store.load(ctx, s.Reference, s.payment())
		k.Purchase, k.Payment = rec.purchase, rec.payment
		return k, err
	}
	in := e.Invoice
	if in.Subscription == "" {
		return k, nil
	}
	rec, err := r.store.load(ctx, "", in.payment())
	if err != nil {
		return k, err
	}
	k.Payment = rec.payment
	if k.Prices, err = r.opts.Prices.Current(ctx); err != nil {
		return k, fmt.Errorf("the plans of invoice %s: %w", in.ID, err)
	}
	if k.Subscription, err = r.askSubscription(ctx, in.Subscription); err != nil {
		return k, err
	}
	if k.CustomerOrg, err = r.opts.Stripe.payerOrg(ctx, in, k.Subscription); err != nil {
		return k, err
	}
	if in.Truncated {
		in.Lines, in.Truncated, err = r.opts.Stripe.lines(ctx, in.ID)
	}
	return k, err
}

// carryOut carries out a command, or tells why it never can be.
func carryOut(ctx context.Context, do func(context.Context, string, credit.Command) (ledger.Result, error), org string, c credit.Command) (*Doubt, error) {
	ctx, cancel := context.WithTimeout(ctx, grantTimeout)
	defer cancel()
	_, err := do(ctx, org, c)
	no, refused := errors.AsType[*credit.Refusal](err)
	switch {
	case refused && no.Code() == credit.CodeUnknownOrg:
		return doubt(UnknownOrg, "%q has no wallet", org), nil
	case refused:
		return doubt(Malformed, "%+v was refused: %v", c, no), nil
	case err != nil:
		return nil, fmt.Errorf("%T of %s: %w", c, org, err)
	}
	return nil, nil
}

// subject is what an event is about, for those who look at it.
type subject struct{ org, reference, object, payment string }

func aboutOf(e Event) subject {
	if s := e.Session; s != nil {
		return subject{org: clip(s.Org), reference: clip(s.Reference), object: cmp.Or(s.ID, s.Payment), payment: s.Payment}
	}
	if e.Return != nil {
		return subject{object: e.Return.object(), payment: e.Return.payment()}
	}
	return subject{org: clip(e.Invoice.Org), object: e.Invoice.ID, payment: e.Invoice.Payment}
}

// maxKeptBytes bounds what is kept of text that may not be ours.
const maxKeptBytes = 500

func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxKeptBytes)], "") }

func (r *Receiver) seen(n Notice, outcome Outcome, about subject) seenEvent {
	now := r.opts.Now().UTC()
	return seenEvent{
		V: schemaVersion, Type: n.Type, Outcome: outcome, Org: about.org, Reference: about.reference,
		At: n.At, SeenAt: now, ExpireAt: now.Add(seenLife),
	}
}

// putAside quarantines an event and tells the operators.
func (r *Receiver) putAside(ctx context.Context, n Notice, about subject, d *Doubt) (Outcome, error) {
	a := Aside{
		Event: n.ID, Type: n.Type, Reason: d.Reason, Detail: clip(d.Detail), Org: about.org, Reference: about.reference,
		Object: about.object, Payment: about.payment, At: r.opts.Now().UTC().Truncate(time.Microsecond), State: AsideWaiting,
	}
	if err := r.store.quarantine(ctx, n, r.seen(n, Quarantined, about), a); err != nil {
		return "", err
	}
	r.opts.Log.ErrorContext(ctx, "an event of Stripe's waits for a person", slog.String("event", n.ID), slog.String("type", n.Type),
		slog.String("reason", string(d.Reason)), slog.String("detail", d.Detail), slog.String("org", about.org), slog.String("reference", about.reference))
	return Quarantined, nil
}
