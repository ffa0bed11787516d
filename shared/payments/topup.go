package payments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/firestore"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/customer"
	"github.com/stripe/stripe-go/v76/paymentintent"
	"github.com/stripe/stripe-go/v76/paymentmethod"

	"github.com/fluxori/ai-credits/shared/credit"
)

// metaTopUp marks a payment intent as an auto top-up of ours, and names it; metaTax is how much of it is tax, in minor units.
const (
	metaTopUp = "top_up"
	metaTax   = "tax"
)

// TopUp is a purchase for which the card that the organisation has at Stripe is charged, without anyone there.
type TopUp struct {
	// ID is topup:{org}:{n}. Stripe charges once for each.
	ID string
	Buyer
	// Reference is the purchase's, chosen beforehand, and Offer what it sells.
	Reference string
	Offer
	// Tax is charged beside the offer's price.
	Tax Tax
	// BegunAt is when the attempt began.
	BegunAt time.Time
}

// Charged is what became of a charge.
type Charged struct {
	// Status is Paid, Pending or Failed.
	Status Status
	// Card is the card that was charged; empty for none.
	Card string
	// Code is why it failed: Stripe's code, such as card_declined or authentication_required; no_card without a card.
	Code string
	// Unknown says that a charge which counts as failed may have been made all the same.
	Unknown bool
}

// The codes of charges that fail without Stripe's saying so.
const (
	codeNoCard  = "no_card"
	codeTooLate = "abandoned"
)

// PriceOf is what a package costs now, where a country pays. Errors are a *catalogue.Error, or the catalogue's store's.
func (s *Shop) PriceOf(ctx context.Context, pkg, country string) (Offer, error) {
	prices, err := s.opts.Prices.Current(ctx)
	if err != nil {
		return Offer{}, fmt.Errorf("the price of %s: %w", pkg, err)
	}
	o, err := offerOf(prices, Order{Package: pkg, Country: country})
	o.Discounts = false // for checkouts
	return o, err
}

// Charge records a top-up's purchase, and charges for it. The card is chosen once, and written down before it is charged: however often this is
// called, and wherever it was broken off before, Stripe is sent the same request under the same key, and charges once. The credits come with
// the event payment_intent.succeeded. An attempt that Stripe may have forgotten by now is not charged again: unless that event has come, nobody
// knows whether it was charged. Errors are an *Error,
// `unavailable`: whether the card was charged is told when it is called again.
func (s *Shop) Charge(ctx context.Context, t TopUp) (Charged, error) {
	if err := credit.CheckOrg(t.Org); err != nil {
		return Charged{}, fmt.Errorf("top-up %s: %w", t.ID, err)
	}
	now := s.opts.Now().UTC().Truncate(time.Microsecond)
	if now.Sub(t.BegunAt) > resumeWithin {
		return s.forgotten(ctx, t)
	}
	p, err := s.chargeable(ctx, t, now)
	if err != nil {
		return Charged{}, err
	}
	out := Charged{Status: Failed, Card: p.Card, Code: codeNoCard}
	if p.Card != "" {
		if out, err = s.opts.Stripe.charge(ctx, p); err != nil {
			return Charged{}, err
		}
	}
	if out.Status == Paid {
		if err := s.opts.Stripe.recordTax(ctx, p); err != nil {
			return Charged{}, err
		}
	}
	f := Fact{Moment: Moment{At: now, What: "charged"}, Status: Pending, Org: p.Org, Reference: p.Reference}
	if out.Status == Failed {
		f.What, f.Status = "declined", Failed
	}
	if p.Status != Created {
		return out, nil // told before
	}
	_, err = s.store.learn(ctx, f)
	return out, err
}

// forgotten is what became of a charge of which Stripe may not know any more, as far as events told.
func (s *Shop) forgotten(ctx context.Context, t TopUp) (Charged, error) {
	known, err := s.store.load(ctx, t.Reference, "")
	switch {
	case err != nil:
		return Charged{}, err
	case known.purchase != nil && known.purchase.Status == Paid:
		return Charged{Status: Paid, Card: known.purchase.Card}, nil
	}
	return Charged{Status: Failed, Code: codeTooLate, Unknown: known.purchase != nil}, nil
}

// chargeable finds a top-up's purchase, or records it with the card that is to be charged.
func (s *Shop) chargeable(ctx context.Context, t TopUp, now time.Time) (p Purchase, err error) {
	err = s.store.insistFor(ctx, 2*callTimeout, func(ctx context.Context) error {
		old, err := s.store.load(ctx, t.Reference, "")
		if err != nil {
			return err
		}
		if old.purchase != nil {
			p = *old.purchase
			if p.TopUp != t.ID || p.Org != t.Org {
				return fmt.Errorf("the purchase %s is not of top-up %s", t.Reference, t.ID)
			}
			return nil
		}
		c, err := s.customer(ctx, t.Buyer, customerRecord{})
		if err != nil {
			return err
		}
		card, err := s.opts.Stripe.cardOf(ctx, c.Customer)
		if err != nil {
			return err
		}
		p = Purchase{
			Reference: t.Reference, Org: t.Org, Offer: t.Offer, Status: Created, TopUp: t.ID, Customer: c.Customer, Card: card, Tax: t.Tax,
			CreatedAt: now, Timeline: []Moment{{At: now, What: "created"}},
		}
		return s.store.commit(ctx, []write{func(tx *firestore.Transaction) error {
			return tx.Create(s.store.purchases().Doc(p.Reference), purchaseDocument{V: schemaVersion, Purchase: p})
		}})
	})
	return p, err
}

// cardOf is the card that a customer pays with: the default one, else the one that was added last; empty for none.
func (g *Gateway) cardOf(ctx context.Context, id string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c, err := customer.Client{B: g.backend, Key: g.key}.Get(id, &stripe.CustomerParams{Params: stripe.Params{Context: ctx}})
	switch {
	case missing(err) || err == nil && c.Deleted:
		return "", nil
	case err != nil:
		return "", stripeDown(fmt.Errorf("get customer %s: %w", id, err))
	case c.InvoiceSettings != nil && c.InvoiceSettings.DefaultPaymentMethod != nil:
		return c.InvoiceSettings.DefaultPaymentMethod.ID, nil
	}
	it := paymentmethod.Client{B: g.backend, Key: g.key}.List(&stripe.PaymentMethodListParams{
		ListParams: stripe.ListParams{Context: ctx, Limit: stripe.Int64(1), Single: true}, Customer: stripe.String(id), Type: stripe.String("card"),
	})
	if it.Next() {
		return it.PaymentMethod().ID, nil
	}
	if err := it.Err(); err != nil {
		return "", stripeDown(fmt.Errorf("list the cards of customer %s: %w", id, err))
	}
	return "", nil
}

// charge makes a top-up's payment.
func (g *Gateway) charge(ctx context.Context, p Purchase) (Charged, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	pi, err := paymentintent.Client{B: g.backend, Key: g.key}.New(&stripe.PaymentIntentParams{
		Params:        stripe.Params{Context: ctx, IdempotencyKey: stripe.String(p.TopUp)},
		Amount:        stripe.Int64(p.Amount + p.Tax.Amount),
		Currency:      stripe.String(strings.ToLower(string(p.Currency))),
		Customer:      stripe.String(p.Customer),
		PaymentMethod: stripe.String(p.Card), PaymentMethodTypes: stripe.StringSlice([]string{"card"}),
		Confirm: stripe.Bool(true), OffSession: stripe.Bool(true),
		Description: stripe.String("AI credits, auto top-up " + p.Reference),
		Metadata:    map[string]string{metaOrg: p.Org, metaReference: p.Reference, metaTopUp: p.TopUp, metaTax: strconv.FormatInt(p.Tax.Amount, 10)},
	})
	out := Charged{Status: Pending, Card: p.Card}
	refused, ok := errors.AsType[*stripe.Error](err)
	switch {
	case err == nil && pi.Status == stripe.PaymentIntentStatusSucceeded:
		out.Status = Paid
	case err == nil && pi.Status == stripe.PaymentIntentStatusProcessing:
	case err == nil:
		out.Status, out.Code = Failed, string(pi.Status)
	case ok && (refused.Type == stripe.ErrorTypeCard || refused.Code == stripe.ErrorCodeResourceMissing):
		out.Status, out.Code = Failed, string(refused.Code)
	default:
		return Charged{}, stripeDown(fmt.Errorf("charge for %s: %w", p.TopUp, err))
	}
	return out, nil
}

// intentEvent reads an event about a payment intent. Of payments that are not our own top-ups other events tell.
func (n Notice) intentEvent(e Event) (Event, error) {
	var pi stripe.PaymentIntent
	if err := json.Unmarshal(n.Object, &pi); err != nil {
		return Event{}, fmt.Errorf("the payment intent of %s: %w", n.ID, err)
	}
	if pi.Metadata[metaTopUp] == "" || pi.Invoice != nil {
		return e, nil
	}
	if !validObjectID(pi.ID) {
		return Event{}, fmt.Errorf("the payment intent of %s has the id %q", n.ID, pi.ID)
	}
	var tax int64
	if told := pi.Metadata[metaTax]; told != "" {
		var err error
		if tax, err = strconv.ParseInt(told, 10, 64); err != nil {
			return Event{}, fmt.Errorf("the payment intent of %s has the tax %q", n.ID, told)
		}
	}
	e.Session = &Session{
		Mode: "payment", Reference: pi.Metadata[metaReference], Org: pi.Metadata[metaOrg], TopUp: pi.Metadata[metaTopUp], Payment: pi.ID,
		Currency: string(pi.Currency), Total: pi.Amount, Tax: tax,
	}
	return e, nil
}

// meant reports whether an event about a payment intent or a customer says anything here. Others
// always do, and so does what cannot be read: a person is to look at that.
func (n Notice) meant() bool {
	switch n.Type {
	case intentSucceeded, intentFailed, customerUpdated:
		e, err := n.event()
		return err != nil || e.Session != nil || e.Card != nil
	default:
		return true
	}
}

// cardEvent reads an event about a customer.
func (n Notice) cardEvent(e Event) (Event, error) {
	var c stripe.Customer
	if err := json.Unmarshal(n.Object, &c); err != nil {
		return Event{}, fmt.Errorf("the customer of %s: %w", n.ID, err)
	}
	if s := c.InvoiceSettings; validObjectID(c.ID) && credit.CheckOrg(c.Metadata[metaOrg]) == nil && s != nil && s.DefaultPaymentMethod != nil {
		e.Card = &Card{Org: c.Metadata[metaOrg], Customer: c.ID}
	}
	return e, nil
}
