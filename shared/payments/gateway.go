package payments

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/customer"
	"github.com/stripe/stripe-go/v76/invoice"
)

const (
	// callTimeout bounds one call of Stripe's API with its repeats, attemptTimeout each attempt.
	callTimeout    = 12 * time.Second
	attemptTimeout = 6 * time.Second
	// maxRepeats is how often a call that failed in passing is repeated.
	maxRepeats = 2
	// maxLines bounds the lines of an invoice; Stripe takes at most 250 of a subscription's own.
	maxLines = 500
	pageSize = 100
)

// GatewayOptions say which Stripe account is used, and where.
type GatewayOptions struct {
	// Key is the account's secret key. Required.
	Key string
	// URL is where the API is; Stripe's own when empty.
	URL string
	// Livemode must be the key's own mode, where the key tells.
	Livemode bool
	// Dial opens connections, as net.Dialer's DialContext does; nil stands for that.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Gateway calls Stripe's API, of the version that the library is made for.
type Gateway struct {
	backend stripe.Backend
	key     string
}

// NewGateway makes a Gateway. A key of the other mode is refused: it would sell for play money, or charge for tests.
func NewGateway(o GatewayOptions) (*Gateway, error) {
	_, mode, _ := strings.Cut(o.Key, "_")
	switch {
	case strings.TrimSpace(o.Key) == "":
		return nil, errors.New("calling Stripe needs a key")
	case strings.HasPrefix(mode, "live_") != o.Livemode && (strings.HasPrefix(mode, "live_") || strings.HasPrefix(mode, "test_")):
		return nil, fmt.Errorf("the key of Stripe is of the other mode: livemode is %t", o.Livemode)
	}
	client := &http.Client{Timeout: attemptTimeout}
	if o.Dial != nil {
		client.Transport = &http.Transport{DialContext: o.Dial}
	}
	config := &stripe.BackendConfig{
		HTTPClient:        client,
		LeveledLogger:     &stripe.LeveledLogger{Level: stripe.LevelNull}, // errors are returned, with their request ids
		MaxNetworkRetries: stripe.Int64(maxRepeats),
		EnableTelemetry:   stripe.Bool(false),
	}
	if o.URL != "" {
		config.URL = stripe.String(o.URL)
	}
	return &Gateway{backend: stripe.GetBackendWithConfig(stripe.APIBackend, config), key: o.Key}, nil
}

// payerOrg is the organisation that an invoice's customer names, when neither the invoice nor its subscription says whose it is.
func (g *Gateway) payerOrg(ctx context.Context, in *Invoice, s Subscription) (string, error) {
	if in.Org != "" || s.Org != "" || in.Customer == "" {
		return "", nil
	}
	return g.customerOrg(ctx, in.Customer)
}

// billed is whose an invoice is; nobody's when it is of no subscription, or Stripe does not have it.
func (g *Gateway) billed(ctx context.Context, id string) (Billed, error) {
	object, found, err := g.object(ctx, "/v1/invoices", id)
	if err != nil || !found {
		return Billed{}, err
	}
	var read stripe.Invoice
	if err := json.Unmarshal(object, &read); err != nil {
		return Billed{}, unreadable("invoice", id, err)
	}
	in := readInvoice(&read)
	if in.Subscription == "" {
		return Billed{}, nil
	}
	s, err := g.subscription(ctx, in.Subscription)
	if err != nil {
		return Billed{}, err
	}
	customerOrg, err := g.payerOrg(ctx, in, s)
	return Billed{Subscription: in.Subscription, Org: cmp.Or(in.Org, s.Org, customerOrg)}, err
}

// customerOrg is the organisation that a customer's metadata names; empty when it names none, or Stripe does not have the customer.
func (g *Gateway) customerOrg(ctx context.Context, id string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c, err := customer.Client{B: g.backend, Key: g.key}.Get(id, &stripe.CustomerParams{Params: stripe.Params{Context: ctx}})
	switch {
	case missing(err):
		return "", nil
	case err != nil:
		return "", stripeDown(fmt.Errorf("get customer %s: %w", id, err))
	}
	return c.Metadata[metaOrg], nil
}

// lines are an invoice's lines; truncated says that there are more than maxLines.
func (g *Gateway) lines(ctx context.Context, id string) (lines []Line, truncated bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	params := &stripe.InvoiceListLinesParams{Invoice: stripe.String(id), ListParams: stripe.ListParams{Context: ctx, Limit: stripe.Int64(pageSize)}}
	it := invoice.Client{B: g.backend, Key: g.key}.ListLines(params)
	for it.Next() {
		if len(lines) == maxLines {
			return lines, true, nil
		}
		lines = append(lines, readLine(it.InvoiceLineItem()))
	}
	if err := it.Err(); err != nil {
		return nil, false, stripeDown(fmt.Errorf("list the lines of invoice %s: %w", id, err))
	}
	return lines, false, nil
}

// missing reports whether Stripe does not have what was asked for.
func missing(err error) bool {
	e, ok := errors.AsType[*stripe.Error](err)
	return ok && e.Code == stripe.ErrorCodeResourceMissing
}

func stripeDown(err error) error {
	return unavailable("Stripe does not answer as it should now.", err)
}
