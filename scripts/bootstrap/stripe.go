package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/webhookendpoint"
)

// maxEndpoints bounds how many of the account's endpoints are looked at; Stripe allows 16 of a mode.
const maxEndpoints = 100

// eventTypes are those of Stripe's events that the endpoint is sent.
var eventTypes = []string{
	"charge.dispute.closed", "charge.dispute.created", "charge.dispute.funds_reinstated", "charge.dispute.funds_withdrawn", "charge.dispute.updated",
	"charge.refund.updated", "charge.refunded",
	"checkout.session.async_payment_failed", "checkout.session.async_payment_succeeded", "checkout.session.completed", "checkout.session.expired",
	"customer.subscription.created", "customer.subscription.deleted", "customer.subscription.paused", "customer.subscription.resumed",
	"customer.subscription.updated", "customer.updated",
	"invoice.paid", "invoice.payment_failed",
	"payment_intent.payment_failed", "payment_intent.succeeded",
	"refund.created", "refund.updated",
	"subscription_schedule.canceled", "subscription_schedule.completed", "subscription_schedule.created", "subscription_schedule.released", "subscription_schedule.updated",
}

// endpoint is where Stripe sends events. Its secret is known only when it is made.
type endpoint struct {
	id, url, version, secret string
	enabled                  bool
	types                    []string
}

// endpoints are those of a Stripe account.
type endpoints interface {
	list(ctx context.Context) ([]endpoint, error)
	create(ctx context.Context, url string, types []string) (endpoint, error)
}

// stripeAccount is an account at Stripe.
type stripeAccount struct{ client webhookendpoint.Client }

var _ endpoints = stripeAccount{}

func newStripe(key string) endpoints {
	return stripeAccount{client: webhookendpoint.Client{B: stripe.GetBackend(stripe.APIBackend), Key: key}}
}

func (a stripeAccount) list(ctx context.Context) ([]endpoint, error) {
	params := &stripe.WebhookEndpointListParams{ListParams: stripe.ListParams{Context: ctx, Limit: stripe.Int64(maxEndpoints), Single: true}}
	var out []endpoint
	i := a.client.List(params)
	for i.Next() {
		out = append(out, told(i.WebhookEndpoint()))
	}
	if err := i.Err(); err != nil {
		return nil, fmt.Errorf("list the endpoints at Stripe: %w", err)
	}
	return out, nil
}

func (a stripeAccount) create(ctx context.Context, url string, types []string) (endpoint, error) {
	params := &stripe.WebhookEndpointParams{
		Params: stripe.Params{Context: ctx}, URL: stripe.String(url), APIVersion: stripe.String(stripe.APIVersion),
		EnabledEvents: stripe.StringSlice(types), Description: stripe.String("AI Credits"),
	}
	e, err := a.client.New(params)
	if err != nil {
		return endpoint{}, fmt.Errorf("make the endpoint %s at Stripe: %w", url, err)
	}
	return told(e), nil
}

func told(e *stripe.WebhookEndpoint) endpoint {
	return endpoint{id: e.ID, url: e.URL, version: e.APIVersion, secret: e.Secret, enabled: e.Status == "enabled", types: e.EnabledEvents}
}

// endpoint makes Stripe's endpoint and keeps its secret, or says what is wrong with the one that is there.
func (b *bootstrap) endpoint(ctx context.Context) error {
	has, err := b.hasVersion(ctx, "stripe-webhook-secrets")
	if err != nil {
		return err
	}
	key := b.env("STRIPE_API_KEY")
	if key == "" {
		// It was kept on an earlier run.
		if key, err = b.gcloud(ctx, "secrets", "versions", "access", "latest", "--secret=stripe-api-key"); err != nil {
			return err
		}
	}
	account := b.stripe(key)
	all, err := account.list(ctx)
	if err != nil {
		return missing{fmt.Sprintf("an answer from Stripe (%v)", err)}
	}
	url := "https://" + region + "-" + b.project + ".cloudfunctions.net/purchasewebhook"
	i := slices.IndexFunc(all, func(e endpoint) bool { return e.url == url })
	if i >= 0 {
		if err := checkEndpoint(all[i]); err != nil || has {
			return err
		}
		return b.secret(ctx, "stripe-webhook-secrets", "STRIPE_WEBHOOK_SECRETS", "the signing secret of the endpoint "+all[i].id+", which its page in Stripe's dashboard reveals")
	}
	made, err := account.create(ctx, url, eventTypes)
	if err != nil {
		return missing{fmt.Sprintf("Stripe's leave to make an endpoint (%v)", err)}
	}
	return b.addVersion(ctx, "stripe-webhook-secrets", made.secret)
}

// checkEndpoint says what is wrong with an endpoint. It is not changed here: its events may be on their way.
func checkEndpoint(e endpoint) error {
	var wrong []string
	if e.version != stripe.APIVersion {
		wrong = append(wrong, fmt.Sprintf("its API version is %q, not %s, which cannot be changed: delete it and run this again", e.version, stripe.APIVersion))
	}
	if !e.enabled {
		wrong = append(wrong, "it is disabled")
	}
	if !slices.Contains(e.types, "*") {
		for _, t := range eventTypes {
			if !slices.Contains(e.types, t) {
				wrong = append(wrong, "it is not sent "+t)
			}
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return missing{"a right endpoint in Stripe's dashboard; of " + e.id + ": " + strings.Join(wrong, "; ")}
}
