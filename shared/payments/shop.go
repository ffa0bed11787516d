package payments

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
)

// resumeWithin is for how long a purchase whose checkout was not opened can be taken up again: within a day Stripe still knows the idempotency
// key, and opens no second checkout.
const resumeWithin = 23 * time.Hour

// CheckoutOptions say how checkouts are opened.
type CheckoutOptions struct {
	// ReturnURL is the page to which people come back from Stripe. It is told the reference and the session. Required.
	ReturnURL string
}

func (o CheckoutOptions) check() error {
	u, err := url.Parse(o.ReturnURL)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("the return page %q must be an absolute address without a query", o.ReturnURL)
	}
	return nil
}

// successURL is where people come after they have paid. Stripe puts the session's id in its place.
func (o CheckoutOptions) successURL(reference string) string {
	return o.ReturnURL + "?reference=" + url.QueryEscape(reference) + "&session_id={CHECKOUT_SESSION_ID}"
}

// cancelURL is where people come when they turn back.
func (o CheckoutOptions) cancelURL(reference string) string {
	return o.ReturnURL + "?reference=" + url.QueryEscape(reference) + "&cancelled=true"
}

// ShopOptions are what a Shop works with. All are required.
type ShopOptions struct {
	Documents *firestore.Client
	Prices    Prices
	Stripe    *Gateway
	Checkout  CheckoutOptions
	// Now is the system's clock.
	Now func() time.Time
}

// Shop begins purchases. It is safe for concurrent use.
type Shop struct {
	opts  ShopOptions
	store store
}

// NewShop makes a Shop.
func NewShop(o ShopOptions) (*Shop, error) {
	if o.Documents == nil || o.Prices == nil || o.Stripe == nil || o.Now == nil {
		return nil, errors.New("selling credits needs a store, prices, Stripe and a clock")
	}
	if err := o.Checkout.check(); err != nil {
		return nil, err
	}
	return &Shop{opts: o, store: store{o.Documents}}, nil
}

// Order is what somebody wants to buy.
type Order struct {
	Org string
	// Name and Email are the buyer's, as receipts say them.
	Name, Email string
	// Country is the organisation's, an ISO 3166-1 alpha-2 code in capitals. It decides the currency.
	Country string
	// Package is a package's id. Without one, Credits is the amount wanted.
	Package string
	Credits int64
	// Key is the caller's idempotency key, 1–128 bytes, one space per organisation: the same order again is the same purchase.
	Key string
}

// Started is a purchase that awaits its payment.
type Started struct {
	Reference   string
	CheckoutURL string
	// Amount is the price without tax, in minor units of Currency.
	Amount   int64
	Currency catalogue.Currency
	Credits  int64
	// Replayed says that this order was placed before.
	Replayed bool
}

// StartPurchase prices an order, records the purchase and opens its checkout, in this order: a checkout that is paid always has a record. The
// caller has made sure that the organisation exists and that it may buy.
//
// Errors are a *credit.Refusal or a *catalogue.Error for what is wrong with the order (`invalid_request`, `not_found`,
// `credits_out_of_range`), or an *Error: `idempotency_conflict` when the key stands for another order, or for one that cannot be taken up any
// more; `unavailable` when the same order may be placed again.
func (s *Shop) StartPurchase(ctx context.Context, o Order) (Started, error) {
	if err := errors.Join(credit.CheckOrg(o.Org), credit.CheckID("Idempotency-Key", o.Key)); err != nil {
		return Started{}, err
	}
	if (o.Package == "") == (o.Credits == 0) {
		return Started{}, refuse("State a package or credits.", nil)
	}
	p, replayed, err := s.record(ctx, o)
	if err != nil {
		return Started{}, err
	}
	if p.CheckoutURL == "" {
		if p, err = s.open(ctx, p, Buyer{Org: o.Org, Name: o.Name, Email: o.Email}); err != nil {
			return Started{}, err
		}
	}
	return Started{
		Reference: p.Reference, CheckoutURL: p.CheckoutURL, Amount: p.Amount, Currency: p.Currency, Credits: p.Credits, Replayed: replayed,
	}, nil
}

// record finds the order's purchase, or makes it.
func (s *Shop) record(ctx context.Context, o Order) (p Purchase, found bool, err error) {
	if p, found, err = s.store.ordered(ctx, o); found || err != nil {
		return p, found, err
	}
	prices, err := s.opts.Prices.Current(ctx)
	if err != nil {
		return Purchase{}, false, fmt.Errorf("the price of %s's order: %w", o.Org, err)
	}
	offer, err := offerOf(prices, o)
	if err != nil {
		return Purchase{}, false, err
	}
	now := s.opts.Now().UTC().Truncate(time.Microsecond)
	return s.store.order(ctx, o, Purchase{
		Org: o.Org, Offer: offer, Status: Created, CreatedAt: now, Timeline: []Moment{{At: now, What: "created"}},
	})
}

// offerOf prices an order.
func offerOf(prices *catalogue.Catalogue, o Order) (Offer, error) {
	checkout := prices.Document().Checkout
	out := Offer{
		Package: o.Package, Credits: o.Credits, Currency: prices.CurrencyOf(o.Country), PriceVersion: prices.Version(),
		AutomaticTax: checkout.AutomaticTax, Discounts: checkout.PromotionCodes,
	}
	if o.Package == "" {
		amount, err := prices.PriceOfCredits(o.Credits, out.Currency)
		out.Amount = amount
		return out, err //nolint:wrapcheck // the catalogue explains itself to the caller
	}
	p, err := prices.PackageByID(o.Package)
	if err != nil {
		return Offer{}, err //nolint:wrapcheck // the catalogue explains itself to the caller
	}
	out.Credits, out.Amount = p.Credits, p.Prices[out.Currency]
	return out, nil
}

// open opens a purchase's checkout and records it. A webhook about the session may be there before.
func (s *Shop) open(ctx context.Context, p Purchase, b Buyer) (Purchase, error) {
	now := s.opts.Now().UTC().Truncate(time.Microsecond)
	if now.Sub(p.CreatedAt) > resumeWithin {
		return Purchase{}, conflict("This purchase was begun too long ago to be taken up again; begin another with a new key.")
	}
	c, err := s.customer(ctx, b, customerRecord{})
	if err != nil {
		return Purchase{}, err
	}
	id, link, err := s.opts.Stripe.openCheckout(ctx, p, c, s.opts.Checkout)
	if missing(err) { // somebody deleted the customer
		if c, err = s.customer(ctx, b, c); err != nil {
			return Purchase{}, err
		}
		id, link, err = s.opts.Stripe.openCheckout(ctx, p, c, s.opts.Checkout)
	}
	if err != nil {
		return Purchase{}, err
	}
	return s.store.learn(ctx, Fact{
		Moment: Moment{At: now, What: "checkout_opened"}, Status: Created, Org: p.Org, Reference: p.Reference, Session: id, CheckoutURL: link,
	})
}
