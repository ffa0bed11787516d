package stripestand_test

import (
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
)

func TestCustomerIsUpdatedFieldByField(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := must[*stripe.Customer](t)(w.stripe.Customers.New(&stripe.CustomerParams{
		Name: stripe.String("Acme"), Email: stripe.String("ann@acme.example"),
		Address:  &stripe.AddressParams{City: stripe.String("Durban"), Country: stripe.String("ZA")},
		Metadata: map[string]string{"org_id": "acme", "old": "1"},
	}))
	w.types(t)
	c = must[*stripe.Customer](t)(w.stripe.Customers.Update(c.ID, &stripe.CustomerParams{
		Email: stripe.String("ben@acme.example"), Address: &stripe.AddressParams{City: stripe.String("Cape Town")},
		Metadata: map[string]string{"old": "", "new": "2"},
	}))
	equal(t, "name", c.Name, "Acme")
	equal(t, "e-mail", c.Email, "ben@acme.example")
	equal(t, "city", c.Address.City, "Cape Town")
	equal(t, "country", c.Address.Country, "ZA")
	equal(t, "metadata", len(c.Metadata), 2)
	equal(t, "kept", c.Metadata["org_id"], "acme")
	check(t, w.Deliver(t.Context()))
	events := w.sink.take()
	equal(t, "events", len(events), 1)
	equal(t, "previous e-mail", events[0].GetPreviousValue("email"), "ann@acme.example")
}

func TestCardsAreAttachedListedAndDetached(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	customer := must[string](t)(w.CreateCustomer(stripestand.NewCustomer{Email: "a@b.example"}))
	other := must[string](t)(w.CreateCustomer(stripestand.NewCustomer{Email: "c@d.example"}))
	attach := func(card, to string) (*stripe.PaymentMethod, error) {
		return w.stripe.PaymentMethods.Attach(card, &stripe.PaymentMethodAttachParams{Customer: stripe.String(to)})
	}
	_, err := attach(string(stripestand.CardDeclined), customer)
	stripeError(t, err, "card_declined")
	pm := must[*stripe.PaymentMethod](t)(attach(string(stripestand.CardVisa), customer))
	equal(t, "last four", pm.Card.Last4, "4242")
	_, err = attach(pm.ID, other)
	stripeError(t, err, "resource_already_exists")
	makeDefault := func(of string) error {
		_, err := w.stripe.Customers.Update(of, &stripe.CustomerParams{
			InvoiceSettings: &stripe.CustomerInvoiceSettingsParams{DefaultPaymentMethod: stripe.String(pm.ID)},
		})
		return err
	}
	check(t, makeDefault(customer))
	stripeError(t, makeDefault(other), "")

	count := func() (n int) {
		it := w.stripe.PaymentMethods.List(&stripe.PaymentMethodListParams{Customer: stripe.String(customer)})
		for it.Next() {
			n++
		}
		check(t, it.Err())
		return n
	}
	equal(t, "cards", count(), 1)
	must[*stripe.PaymentMethod](t)(w.stripe.PaymentMethods.Detach(pm.ID, nil))
	equal(t, "cards", count(), 0)
	if c := must[*stripe.Customer](t)(w.stripe.Customers.Get(customer, nil)); c.InvoiceSettings.DefaultPaymentMethod != nil {
		t.Error("a detached card is still the default")
	}
}

func TestSessionSellsWhatPriceDataDescribes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.checkout(t, func(p *stripe.CheckoutSessionParams) {
		p.LineItems = []*stripe.CheckoutSessionLineItemParams{
			{
				PriceData: &stripe.CheckoutSessionLineItemPriceDataParams{
					Currency: stripe.String("zar"), UnitAmount: stripe.Int64(7),
					ProductData: &stripe.CheckoutSessionLineItemPriceDataProductDataParams{
						Name: stripe.String("AI credits"), Metadata: map[string]string{"credits": "1"},
					},
				},
				Quantity: stripe.Int64(333),
			},
			{Price: stripe.String("price_pack"), Quantity: stripe.Int64(1)},
		}
	})
	equal(t, "total", c.AmountTotal, 2331+15000)
	it := w.stripe.CheckoutSessions.ListLineItems(&stripe.CheckoutSessionListLineItemsParams{Session: stripe.String(c.ID)})
	var names []string
	for it.Next() {
		names = append(names, it.LineItem().Description)
	}
	check(t, it.Err())
	equalTypes(t, names, []string{"AI credits", "1,000 credits"})
}

func TestSessionRules(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	customer := must[string](t)(w.CreateCustomer(stripestand.NewCustomer{Email: "a@b.example"}))
	tests := []struct {
		name, param string
		change      func(p *stripe.CheckoutSessionParams)
	}{
		{"a customer and an address", "customer_email", func(p *stripe.CheckoutSessionParams) {
			p.Customer, p.CustomerEmail = stripe.String(customer), stripe.String("x@y.example")
		}},
		{"a customer and its creation", "customer_creation", func(p *stripe.CheckoutSessionParams) {
			p.Customer, p.CustomerCreation = stripe.String(customer), stripe.String("always")
		}},
		{"too short a life", "expires_at", func(p *stripe.CheckoutSessionParams) {
			p.ExpiresAt = stripe.Int64(start.Add(29 * time.Minute).Unix())
		}},
		{"too long a life", "expires_at", func(p *stripe.CheckoutSessionParams) {
			p.ExpiresAt = stripe.Int64(start.Add(24*time.Hour + time.Second).Unix())
		}},
		{"a recurring price in mode payment", "line_items", func(p *stripe.CheckoutSessionParams) {
			p.LineItems[0].Price = stripe.String("price_starter")
		}},
		{"no recurring price in mode subscription", "line_items", func(p *stripe.CheckoutSessionParams) {
			p.Mode, p.PaymentIntentData = stripe.String("subscription"), nil
		}},
		{"a payment intent's data in mode subscription", "payment_intent_data", func(p *stripe.CheckoutSessionParams) {
			p.Mode = stripe.String("subscription")
			p.LineItems[0].Price = stripe.String("price_starter")
		}},
		{"no line", "line_items", func(p *stripe.CheckoutSessionParams) { p.LineItems = nil }},
		{"no quantity", "line_items[0][quantity]", func(p *stripe.CheckoutSessionParams) { p.LineItems[0].Quantity = nil }},
		{"no address to return to", "success_url", func(p *stripe.CheckoutSessionParams) { p.SuccessURL = nil }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := &stripe.CheckoutSessionParams{
				Mode: stripe.String("payment"), SuccessURL: stripe.String("https://shop.example"),
				LineItems:         []*stripe.CheckoutSessionLineItemParams{{Price: stripe.String("price_pack"), Quantity: stripe.Int64(1)}},
				PaymentIntentData: &stripe.CheckoutSessionPaymentIntentDataParams{Description: stripe.String("credits")},
			}
			tt.change(p)
			_, err := w.stripe.CheckoutSessions.New(p)
			if e := stripeErrorOf(err); e == nil || e.Param != tt.param {
				t.Errorf("error = %v, want one about %s", err, tt.param)
			}
		})
	}
}

func TestSessionIsExpiredOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.checkout(t)
	c = must[*stripe.CheckoutSession](t)(w.stripe.CheckoutSessions.Expire(c.ID, nil))
	equal(t, "status", c.Status, stripe.CheckoutSessionStatusExpired)
	_, err := w.stripe.CheckoutSessions.Expire(c.ID, nil)
	stripeError(t, err, "")
	if err := w.PayCheckout(c.ID); err == nil {
		t.Error("an expired session was paid")
	}
	check(t, w.ExpireCheckout(w.checkout(t).ID))
	equalTypes(t, w.types(t), []string{"checkout.session.expired", "checkout.session.expired"})
}

func TestAPromotionCodeIsTakenOffWhereTheSessionAllowsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plain := w.checkout(t)
	if err := w.PayCheckoutWithCode(plain.ID, "ALLFREE"); err == nil {
		t.Error("a session that allows no codes took one")
	}
	c := w.checkout(t, func(p *stripe.CheckoutSessionParams) { p.AllowPromotionCodes = stripe.Bool(true) })
	if err := w.PayCheckoutWithCode(c.ID, "NONE"); err == nil {
		t.Error("a code that does not exist was taken")
	}
	check(t, w.PayCheckoutWithCode(c.ID, "ALLFREE"))
	got := must[*stripe.CheckoutSession](t)(w.stripe.CheckoutSessions.Get(c.ID, nil))
	equal(t, "total", got.AmountTotal, 0)
	equal(t, "discount", got.TotalDetails.AmountDiscount, c.AmountTotal)
	equal(t, "subtotal", got.AmountSubtotal, c.AmountSubtotal)
	equal(t, "payment", got.PaymentStatus, stripe.CheckoutSessionPaymentStatusNoPaymentRequired)
	equal(t, "untouched", must[*stripe.CheckoutSession](t)(w.stripe.CheckoutSessions.Get(plain.ID, nil)).Status, stripe.CheckoutSessionStatusOpen)
}

func TestIntentIsUpdatedUntilItEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pi := must[*stripe.PaymentIntent](t)(w.stripe.PaymentIntents.New(&stripe.PaymentIntentParams{
		Amount: stripe.Int64(5000), Currency: stripe.String("zar"), Metadata: map[string]string{"reference": "CR-9"},
	}))
	equal(t, "status", pi.Status, stripe.PaymentIntentStatusRequiresPaymentMethod)
	pi = must[*stripe.PaymentIntent](t)(w.stripe.PaymentIntents.Update(pi.ID, &stripe.PaymentIntentParams{
		PaymentMethod: stripe.String(string(stripestand.CardVisa)), Description: stripe.String("Top-up"),
	}))
	equal(t, "status", pi.Status, stripe.PaymentIntentStatusRequiresConfirmation)
	pi = must[*stripe.PaymentIntent](t)(w.stripe.PaymentIntents.Cancel(pi.ID, nil))
	equal(t, "status", pi.Status, stripe.PaymentIntentStatusCanceled)
	_, err := w.stripe.PaymentIntents.Confirm(pi.ID, nil)
	stripeError(t, err, string(stripe.ErrorCodePaymentIntentUnexpectedState))
	_, err = w.stripe.PaymentIntents.Cancel(pi.ID, nil)
	stripeError(t, err, string(stripe.ErrorCodePaymentIntentUnexpectedState))

	p := &stripe.PaymentIntentSearchParams{}
	p.Query = `metadata["reference"]:"CR-9" AND status:"canceled"`
	it := w.stripe.PaymentIntents.Search(p)
	if !it.Next() || it.PaymentIntent().ID != pi.ID {
		t.Errorf("the intent was not found: %v", it.Err())
	}
}

func TestDisputedChargeIsNotRefunded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, pi := w.paid(t)
	id := must[string](t)(w.OpenDispute(pi, stripestand.Dispute{Reason: "product_not_received"}))
	d := must[*stripe.Dispute](t)(w.stripe.Disputes.Get(id, nil))
	equal(t, "amount", d.Amount, 30000)
	equal(t, "withdrawn", d.BalanceTransactions[0].Amount, -30000)
	if _, err := w.OpenDispute(pi, stripestand.Dispute{}); err == nil {
		t.Error("a second dispute was opened beside the first")
	}
	if _, err := w.RefundPayment(pi, 100); err == nil {
		t.Error("a disputed charge was refunded")
	}
	check(t, w.CloseDispute(pi, true))
	refund := must[string](t)(w.RefundPayment(pi, 100))
	must[*stripe.Refund](t)(w.stripe.Refunds.Update(refund, &stripe.RefundParams{Metadata: map[string]string{"by": "sue"}}))
	p := &stripe.ChargeParams{}
	p.AddExpand("refunds")
	ch := must[*stripe.Charge](t)(w.stripe.Charges.Get(d.Charge.ID, p))
	equal(t, "refunds", len(ch.Refunds.Data), 1)
	equal(t, "metadata", ch.Refunds.Data[0].Metadata["by"], "sue")
	equal(t, "disputed", ch.Disputed, true)
}

func TestInvoiceIsPaidThroughTheAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	customer, id := w.subscribed(t, "price_starter", stripestand.CardVisa)
	must[string](t)(w.SetCard(customer, stripestand.CardFailsLater))
	w.moveTo(t, time.Date(2026, 2, 28, 10, 0, 0, 0, time.UTC))
	in := must[*stripe.Invoice](t)(w.stripe.Invoices.FinalizeInvoice(w.invoices(t, id)[0].ID, nil))
	equal(t, "status", in.Status, stripe.InvoiceStatusOpen)
	_, err := w.stripe.Invoices.FinalizeInvoice(in.ID, nil)
	stripeError(t, err, "invoice_not_draft")
	_, err = w.stripe.Invoices.Pay(in.ID, nil)
	stripeError(t, err, "card_declined")
	in = must[*stripe.Invoice](t)(w.stripe.Invoices.Pay(in.ID, &stripe.InvoicePayParams{
		PaymentMethod: stripe.String(string(stripestand.CardVisa)),
	}))
	equal(t, "status", in.Status, stripe.InvoiceStatusPaid)
	_, err = w.stripe.Invoices.VoidInvoice(in.ID, nil)
	stripeError(t, err, "invoice_not_open")
	it := w.stripe.Invoices.ListLines(&stripe.InvoiceListLinesParams{Invoice: stripe.String(in.ID)})
	for it.Next() {
		equal(t, "line's subscription", it.InvoiceLineItem().Subscription.ID, id)
	}
	check(t, it.Err())
}

func TestSchedulesEndWhenToldTo(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		end  func(w *world, id string) (*stripe.SubscriptionSchedule, error)
		want stripe.SubscriptionScheduleStatus
		sub  stripe.SubscriptionStatus
	}{
		{"released", func(w *world, id string) (*stripe.SubscriptionSchedule, error) {
			return w.stripe.SubscriptionSchedules.Release(id, nil)
		}, stripe.SubscriptionScheduleStatusReleased, stripe.SubscriptionStatusActive},
		{"cancelled", func(w *world, id string) (*stripe.SubscriptionSchedule, error) {
			return w.stripe.SubscriptionSchedules.Cancel(id, nil)
		}, stripe.SubscriptionScheduleStatusCanceled, stripe.SubscriptionStatusCanceled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			_, id := w.subscribed(t, "price_starter", stripestand.CardVisa)
			sc := must[*stripe.SubscriptionSchedule](t)(w.stripe.SubscriptionSchedules.New(
				&stripe.SubscriptionScheduleParams{FromSubscription: stripe.String(id)}))
			equal(t, "attached", w.subscription(t, id).Schedule.ID, sc.ID)
			equal(t, "status", must[*stripe.SubscriptionSchedule](t)(tt.end(w, sc.ID)).Status, tt.want)
			equal(t, "subscription", w.subscription(t, id).Status, tt.sub)
			if _, err := tt.end(w, sc.ID); err == nil {
				t.Error("it ended twice")
			}
		})
	}
}

func TestSubscriptionsAreListedByStatusAndFoundByMetadata(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	customer, ended := w.subscribed(t, "price_starter", stripestand.CardVisa)
	must[*stripe.Subscription](t)(w.stripe.Subscriptions.Cancel(ended, nil))
	running := must[string](t)(w.CreateSubscription(stripestand.Subscription{
		Customer: customer, Price: "price_growth", Metadata: map[string]string{"org_id": "beta"},
	}))
	for status, want := range map[string]int{"": 1, "all": 2, "ended": 1, "canceled": 1, "active": 1, "trialing": 0} {
		p := &stripe.SubscriptionListParams{Customer: stripe.String(customer)}
		if status != "" {
			p.Status = stripe.String(status)
		}
		n := 0
		it := w.stripe.Subscriptions.List(p)
		for it.Next() {
			n++
		}
		check(t, it.Err())
		equal(t, "status "+status, n, want)
	}
	p := &stripe.SubscriptionSearchParams{}
	p.Query = `metadata["org_id"]:"beta"`
	it := w.stripe.Subscriptions.Search(p)
	if !it.Next() || it.Subscription().ID != running {
		t.Errorf("the subscription was not found: %v", it.Err())
	}
}
