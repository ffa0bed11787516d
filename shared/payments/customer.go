package payments

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"cloud.google.com/go/firestore"
	"github.com/stripe/stripe-go/v76"
	portal "github.com/stripe/stripe-go/v76/billingportal/session"
	"github.com/stripe/stripe-go/v76/customer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/credit"
)

// maxFound bounds how many customers of one organisation are looked at; there is one.
const maxFound = 10

// Buyer is an organisation that buys, as it is told to Stripe. Stripe keeps one customer for each.
type Buyer struct {
	Org string
	// Name and Email are what receipts and invoices say. They are told when the customer is made; afterwards people change them at Stripe.
	Name, Email string
}

// customerRecord is the record stripeCustomers/{org}.
type customerRecord struct {
	V        int64  `firestore:"v"`
	Org      string `firestore:"org"`
	Customer string `firestore:"customer"`
	// Generation counts the customers that Stripe no longer had when they were needed.
	Generation int64     `firestore:"generation"`
	CreatedAt  time.Time `firestore:"created_at"`
}

func (s store) customer(org string) *firestore.DocumentRef {
	return s.client.Collection("stripeCustomers").Doc(org)
}

// loadCustomer reads an organisation's customer; the zero record for none.
func (s store) loadCustomer(ctx context.Context, org string) (customerRecord, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	snapshot, err := s.customer(org).Get(ctx)
	var r customerRecord
	switch {
	case status.Code(err) == codes.NotFound:
		return customerRecord{}, nil
	case err != nil:
		return customerRecord{}, storeDown(fmt.Errorf("read the customer of %s: %w", org, err))
	}
	return r, decode(snapshot, &r)
}

// keepCustomer records a customer unless one of its generation or a later one is recorded, and returns the one that stands. Who records at once
// records the same customer, since Stripe made it under one key.
func (s store) keepCustomer(ctx context.Context, r customerRecord) (customerRecord, error) {
	out := r
	err := s.insist(ctx, func(ctx context.Context) error {
		old, err := s.loadCustomer(ctx, r.Org)
		if err != nil {
			return err
		}
		if old.Customer != "" && old.Generation >= r.Generation {
			out = old
			return nil
		}
		return s.commit(ctx, []write{func(tx *firestore.Transaction) error { return tx.Set(s.customer(r.Org), r) }})
	})
	return out, err
}

// customer finds the buyer's customer at Stripe, or makes it. Whatever fails in between, and however often it is asked at once, there is one:
// Stripe makes one per idempotency key for a day, and finds it by its metadata after that. lost names one that Stripe no longer has, to be
// replaced; the zero record for none.
func (s *Shop) customer(ctx context.Context, b Buyer, lost customerRecord) (customerRecord, error) {
	known, err := s.store.loadCustomer(ctx, b.Org)
	if err != nil {
		return customerRecord{}, err
	}
	if known.Customer != "" && known.Customer != lost.Customer {
		return known, nil
	}
	next := customerRecord{V: schemaVersion, Org: b.Org, CreatedAt: s.opts.Now().UTC().Truncate(time.Microsecond)}
	if known.Customer != "" {
		next.Generation = known.Generation + 1
	}
	if next.Customer, err = s.opts.Stripe.findCustomer(ctx, b.Org, lost.Customer); err != nil {
		return customerRecord{}, err
	}
	if next.Customer == "" {
		if next.Customer, err = s.opts.Stripe.createCustomer(ctx, b, next.Generation); err != nil {
			return customerRecord{}, err
		}
	}
	return s.store.keepCustomer(ctx, next)
}

// Portal opens Stripe's page on which an organisation changes its plan and cards and finds its invoices, and returns its address. Errors are a
// *credit.Refusal about the organisation's id, or an *Error, `unavailable`.
func (s *Shop) Portal(ctx context.Context, b Buyer) (url string, err error) {
	if err := credit.CheckOrg(b.Org); err != nil {
		return "", fmt.Errorf("organisation %q: %w", b.Org, err)
	}
	c, err := s.customer(ctx, b, customerRecord{})
	if err != nil {
		return "", err
	}
	url, err = s.opts.Stripe.openPortal(ctx, c.Customer, s.opts.Checkout.ReturnURL)
	if missing(err) {
		if c, err = s.customer(ctx, b, c); err != nil {
			return "", err
		}
		url, err = s.opts.Stripe.openPortal(ctx, c.Customer, s.opts.Checkout.ReturnURL)
	}
	if err != nil {
		return "", stripeDown(err)
	}
	return url, nil
}

// findCustomer finds the oldest customer whose metadata names an organisation, other than the one that is lost; empty for none.
func (g *Gateway) findCustomer(ctx context.Context, org, lost string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	// An organisation's id has no quotes.
	params := &stripe.CustomerSearchParams{SearchParams: stripe.SearchParams{
		Context: ctx, Query: "metadata['" + metaOrg + "']:'" + org + "'", Limit: stripe.Int64(maxFound), Single: true,
	}}
	it := customer.Client{B: g.backend, Key: g.key}.Search(params)
	var oldest *stripe.Customer
	for it.Next() {
		c := it.Customer()
		if !c.Deleted && c.ID != lost && (oldest == nil || cmp.Or(cmp.Compare(c.Created, oldest.Created), cmp.Compare(c.ID, oldest.ID)) < 0) {
			oldest = c
		}
	}
	if err := it.Err(); err != nil {
		return "", stripeDown(fmt.Errorf("find the customer of %s: %w", org, err))
	}
	if oldest == nil {
		return "", nil
	}
	return oldest.ID, nil
}

// createCustomer makes a customer, then names it. Only the organisation goes with the request that has the idempotency key, since Stripe wants the
// same parameters under the same key, and a name may have changed before it is repeated.
func (g *Gateway) createCustomer(ctx context.Context, b Buyer, generation int64) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	client := customer.Client{B: g.backend, Key: g.key}
	key := "customer:" + b.Org + ":" + strconv.FormatInt(generation, 10)
	c, err := client.New(&stripe.CustomerParams{
		Params: stripe.Params{Context: ctx, IdempotencyKey: stripe.String(key)}, Metadata: map[string]string{metaOrg: b.Org},
	})
	if err != nil {
		return "", stripeDown(fmt.Errorf("make the customer of %s: %w", b.Org, err))
	}
	if b.Name == "" && b.Email == "" {
		return c.ID, nil
	}
	named := &stripe.CustomerParams{Params: stripe.Params{Context: ctx, IdempotencyKey: stripe.String(stripe.NewIdempotencyKey())}}
	if b.Name != "" {
		named.Name = stripe.String(b.Name)
	}
	if b.Email != "" {
		named.Email = stripe.String(b.Email)
	}
	if _, err := client.Update(c.ID, named); err != nil {
		return "", stripeDown(fmt.Errorf("name the customer %s of %s: %w", c.ID, b.Org, err))
	}
	return c.ID, nil
}

// openPortal opens a customer's portal. The error is Stripe's own.
func (g *Gateway) openPortal(ctx context.Context, id, returnURL string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	s, err := portal.Client{B: g.backend, Key: g.key}.New(&stripe.BillingPortalSessionParams{
		Params:   stripe.Params{Context: ctx, IdempotencyKey: stripe.String(stripe.NewIdempotencyKey())}, // each visit is a new one
		Customer: stripe.String(id), ReturnURL: stripe.String(returnURL),
	})
	if err != nil {
		return "", fmt.Errorf("open the portal of customer %s: %w", id, err)
	}
	return s.URL, nil
}
