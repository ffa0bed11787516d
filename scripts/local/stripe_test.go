package main

import (
	"testing"

	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
)

// subscribe subscribes an organisation, as Checkout would, and returns the customer.
func subscribe(t *testing.T, s *system, org, price string) string {
	t.Helper()
	metadata := map[string]string{"org_id": org}
	customer, err := s.stripe.CreateCustomer(stripestand.NewCustomer{Name: org, Email: "owner@acme.example", Metadata: metadata})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.stripe.CreateSubscription(stripestand.Subscription{Customer: customer, Price: price, Metadata: metadata}); err != nil {
		t.Fatal(err)
	}
	return customer
}

// failRenewals gives a customer a card on which every later charge is declined.
func failRenewals(t *testing.T, s *system, customer string) {
	t.Helper()
	if _, err := s.stripe.SetCard(customer, stripestand.CardFailsLater); err != nil {
		t.Fatal(err)
	}
}
