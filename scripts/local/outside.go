package main

import (
	"context"
	crand "crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/embedded/issuer"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/orgs"
)

// peopleAudience is the dashboard's client at the issuer.
const peopleAudience = "ai-credits"

// stripeKey is the key with which the system calls the stand-in.
const stripeKey = "sk_test_local"

// The people of the demonstration.
var people = []issuer.Person{
	{Subject: "thandi", Name: "Thandi Nkosi", Email: "thandi@kalahari-crafts.example", Note: "owner of Kalahari Crafts"},
	{Subject: "pieter", Name: "Pieter Botha", Email: "pieter@kalahari-crafts.example", Note: "member of Kalahari Crafts"},
	{Subject: "sam", Name: "Sam Support", Email: "sam@fluxori.example", Note: "Fluxori support", Claims: map[string]any{"support": true}},
	{Subject: "pat", Name: "Pat Platform", Email: "pat@fluxori.example", Note: "Fluxori platform", Claims: map[string]any{"platform": true}},
}

// newKey is a key for the dashboard's cookies.
func newKey() string {
	var key [32]byte
	crand.Read(key[:])
	return base64.StdEncoding.EncodeToString(key[:])
}

func (s *system) issuerURL() string { return s.base + "/_local/issuer" }

func (s *system) openIssuer(context.Context) error {
	var err error
	s.issuer, err = issuer.New(issuer.Options{
		URL: s.issuerURL(), People: people,
		Clients: []issuer.Client{{ID: peopleAudience, RedirectURIs: []string{s.base + "/account/ui/callback"}, SignedOutURIs: []string{s.base + "/account/ui/"}}},
	})
	if err != nil {
		return err
	}
	s.mux.Handle("/_local/issuer/", http.StripPrefix("/_local/issuer", s.issuer.Handler()))
	return nil
}

// openStripe mounts the stand-in, unless a key for the real Stripe is given.
func (s *system) openStripe(ctx context.Context) error {
	if _, real := s.opts.environ("STRIPE_API_KEY"); real {
		return nil
	}
	seed := uint64(1) // the same ids each time, as long as nothing is kept from one time to the next
	if s.opts.data != "" {
		seed = rand.Uint64() // before its machine lost its power it may have told of ids that its file does not have
	}
	stand, err := stripestand.New(stripestand.Options{
		Now: s.clock.Now, BaseURL: s.base + "/_local/stripe-api", Seed: seed, Key: stripeKey, Path: s.file("stripe.db"), Logger: s.log,
	})
	if err != nil {
		return err
	}
	if err := sell(stand); err != nil {
		return errors.Join(err, stand.Close())
	}
	s.stripe = stand
	stand.Start(context.WithoutCancel(ctx))
	s.onStop(func(context.Context) error { return stand.Close() })
	s.mux.Handle("/_local/stripe-api/", http.StripPrefix("/_local/stripe-api", stand.Handler()))
	s.mux.Handle("/_local/stripe/", stand.ControlHandler())
	return nil
}

// sell makes the catalogue's plans known to the stand-in, as the dashboard of the real one would.
func sell(stand *stripestand.Stand) error {
	seed, err := catalogue.Seed()
	if err != nil {
		return err
	}
	for _, plan := range seed.Document().Plans {
		product := "prod_" + plan.ID
		if err := stand.AddProduct(stripestand.Product{ID: product, Name: plan.Name, Description: plan.Description}); err != nil {
			return err
		}
		for _, currency := range slices.Sorted(maps.Keys(plan.Prices)) {
			prices := map[string]*catalogue.RecurringPrice{"month": new(plan.Prices[currency].Month), "year": plan.Prices[currency].Year}
			for _, interval := range []string{"month", "year"} {
				price := prices[interval]
				if price == nil {
					continue
				}
				if err := stand.AddPrice(stripestand.Price{
					ID: price.StripePrice, Product: product, Currency: strings.ToLower(string(currency)), UnitAmount: price.Amount, Interval: interval,
				}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// stripeSettings tell functions which Stripe to use.
func (s *system) stripeSettings() map[string]string {
	out := map[string]string{
		"STRIPE_API_KEY": stripeKey, "STRIPE_API_URL": s.base + "/_local/stripe-api", "STRIPE_WEBHOOK_SECRETS": stripestand.WebhookSecret,
		"CHECKOUT_RETURN_URL": s.base + "/account/ui/purchases/return",
	}
	if key, real := s.opts.environ("STRIPE_API_KEY"); real {
		out["STRIPE_API_KEY"], out["STRIPE_API_URL"] = key, ""
		if secrets, ok := s.opts.environ("STRIPE_WEBHOOK_SECRETS"); ok {
			out["STRIPE_WEBHOOK_SECRETS"] = secrets
		}
	}
	return out
}

// mailVariables are the settings of a mail server that the caller's environment may name.
var mailVariables = []string{"SMTP_HOST", "SMTP_PORT", "SMTP_SECURITY", "SMTP_USERNAME", "SMTP_PASSWORD"}

// mailSettings tell functions which mail server to use: the caller's, or the inbox.
func (s *system) mailSettings() (map[string]string, error) {
	out := map[string]string{"MAIL_FROM": "Fluxori AI Credits <credits@fluxori.example>", "DASHBOARD_URL": s.base + "/account/ui/"}
	if s.inbox == nil {
		for _, name := range mailVariables {
			if value, ok := s.opts.environ(name); ok {
				out[name] = value
			}
		}
		return out, nil
	}
	host, port, err := net.SplitHostPort(s.smtp)
	if err != nil {
		return nil, err
	}
	out["SMTP_HOST"], out["SMTP_PORT"], out["SMTP_SECURITY"] = host, port, "none"
	return out, nil
}

// mint makes a token for a role.
func (s *system) mint(ctx context.Context, r tokenRequest) (string, error) {
	person := issuer.Person{Subject: r.UserID}
	switch r.Role {
	case "service":
		return s.issuer.ServiceToken(serviceAccount, s.base+"/debit")
	case "support", "platform":
		person.Claims = map[string]any{r.Role: true}
	case "member", "admin":
	default:
		return "", invalid("role must be member, admin, support, platform or service.")
	}
	if person.Subject == "" {
		person.Subject = "local-" + r.Role
	}
	person.Name, person.Email = person.Subject, person.Subject+"@people.example"
	for _, p := range people {
		if p.Subject == r.UserID {
			person.Name, person.Email = p.Name, p.Email
		}
	}
	if person.Claims == nil && r.OrgID != "" {
		err := s.orgs.PutMember(ctx, r.OrgID, orgs.Member{Sub: person.Subject, Role: orgs.Role(r.Role), Email: person.Email, Name: person.Name})
		var coded *orgs.Error
		if err != nil && (!errors.As(err, &coded) || coded.Code() != "unknown_org") {
			return "", fmt.Errorf("membership of %s in %s: %w", person.Subject, r.OrgID, err)
		}
	}
	return s.issuer.PersonToken(person, peopleAudience)
}
