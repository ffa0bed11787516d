package stripestand_test

import (
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
)

func (w *world) subscription(t *testing.T, id string) *stripe.Subscription {
	t.Helper()
	return must[*stripe.Subscription](t)(w.stripe.Subscriptions.Get(id, nil))
}

func (w *world) invoices(t *testing.T, subID string) []*stripe.Invoice {
	t.Helper()
	p := &stripe.InvoiceListParams{Subscription: stripe.String(subID)}
	p.Limit = stripe.Int64(100)
	var out []*stripe.Invoice
	it := w.stripe.Invoices.List(p)
	for it.Next() {
		out = append(out, it.Invoice())
	}
	check(t, it.Err())
	return out
}

func (w *world) update(t *testing.T, id string, p *stripe.SubscriptionParams) *stripe.Subscription {
	t.Helper()
	return must[*stripe.Subscription](t)(w.stripe.Subscriptions.Update(id, p))
}

func TestYearOfMonthEndRenewalsClampsFromTheAnchor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *stripestand.Options) { o.MaxEvents = 50 })
	_, sub := w.subscribed(t, "price_starter", stripestand.CardVisa)
	want := []string{
		"2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31", "2026-06-30", "2026-07-31",
		"2026-08-31", "2026-09-30", "2026-10-31", "2026-11-30", "2026-12-31", "2027-01-31",
	}
	for _, day := range want {
		due, ok := w.Due()
		equal(t, "something comes due", ok, true)
		equal(t, "the period turns", due.Format(time.DateTime), day+" 10:00:00")
		w.moveTo(t, due)
		in := w.invoices(t, sub)[0]
		equal(t, "a renewal begins as a draft", in.Status, stripe.InvoiceStatusDraft)
		due, _ = w.Due()
		equal(t, "it is finalised an hour later", due.Format(time.DateTime), day+" 11:00:00")
		w.moveTo(t, due)
		in = w.invoices(t, sub)[0]
		equal(t, "it is paid", in.Status, stripe.InvoiceStatusPaid)
		equal(t, "it is dated by the turn", time.Unix(in.Created, 0).UTC().Format(time.DateOnly), day)
		equal(t, "its line begins with the period", time.Unix(in.Lines.Data[0].Period.Start, 0).UTC().Format(time.DateOnly), day)
		equal(t, "it ends the period before", time.Unix(in.PeriodEnd, 0).UTC().Format(time.DateOnly), day)
	}
	equal(t, "invoices", len(w.invoices(t, sub)), 13)
	equal(t, "next end", time.Unix(w.subscription(t, sub).CurrentPeriodEnd, 0).UTC().Format(time.DateOnly), "2027-02-28")
}

func TestUpgradeIsProratedToTheSecond(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, id := w.subscribed(t, "price_starter", stripestand.CardVisa)
	sub := w.subscription(t, id)
	w.clock.set(start.AddDate(0, 0, 7)) // a quarter of the 28 days
	w.update(t, id, &stripe.SubscriptionParams{
		Items:             []*stripe.SubscriptionItemsParams{{ID: stripe.String(sub.Items.Data[0].ID), Price: stripe.String("price_growth")}},
		ProrationBehavior: stripe.String("always_invoice"),
	})
	in := w.invoices(t, id)[0]
	equal(t, "reason", in.BillingReason, stripe.InvoiceBillingReasonSubscriptionUpdate)
	equal(t, "status", in.Status, stripe.InvoiceStatusPaid)
	equal(t, "lines", len(in.Lines.Data), 2)
	equal(t, "credit", in.Lines.Data[0].Amount, -22500)
	equal(t, "charge", in.Lines.Data[1].Amount, 67500)
	equal(t, "charged price", in.Lines.Data[1].Price.ID, "price_growth")
	equal(t, "prorated", in.Lines.Data[1].Proration, true)
	equal(t, "due", in.AmountDue, 45000)
	equal(t, "org on the invoice", in.SubscriptionDetails.Metadata["org_id"], "acme")
	equal(t, "the item stays", w.subscription(t, id).Items.Data[0].ID, sub.Items.Data[0].ID)
	equal(t, "the period stays", w.subscription(t, id).CurrentPeriodEnd, sub.CurrentPeriodEnd)
}

func TestDowngradeBySchedule(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, id := w.subscribed(t, "price_growth", stripestand.CardVisa)
	sub := w.subscription(t, id)
	sc := must[*stripe.SubscriptionSchedule](t)(w.stripe.SubscriptionSchedules.New(
		&stripe.SubscriptionScheduleParams{FromSubscription: stripe.String(id)}))
	item := func(price string) []*stripe.SubscriptionSchedulePhaseItemParams {
		return []*stripe.SubscriptionSchedulePhaseItemParams{{Price: stripe.String(price), Quantity: stripe.Int64(1)}}
	}
	sc = must[*stripe.SubscriptionSchedule](t)(w.stripe.SubscriptionSchedules.Update(sc.ID, &stripe.SubscriptionScheduleParams{
		EndBehavior: stripe.String("release"),
		Phases: []*stripe.SubscriptionSchedulePhaseParams{
			{Items: item("price_growth"), StartDate: stripe.Int64(sc.Phases[0].StartDate), EndDate: stripe.Int64(sc.Phases[0].EndDate)},
			{Items: item("price_starter"), Iterations: stripe.Int64(1), ProrationBehavior: stripe.String("none")},
		},
	}))
	equal(t, "the second phase ends a month later", sc.Phases[1].EndDate, time.Date(2026, 3, 31, 10, 0, 0, 0, time.UTC).Unix())
	_, err := w.stripe.Subscriptions.Update(id, &stripe.SubscriptionParams{CancelAtPeriodEnd: stripe.Bool(true)})
	stripeError(t, err, "")

	end := time.Unix(sub.CurrentPeriodEnd, 0)
	w.moveTo(t, end.Add(-time.Second))
	equal(t, "before the end", w.subscription(t, id).Items.Data[0].Price.ID, "price_growth")
	w.types(t)
	w.moveTo(t, end.Add(time.Hour))
	equal(t, "after the end", w.subscription(t, id).Items.Data[0].Price.ID, "price_starter")
	equal(t, "the next invoice", w.invoices(t, id)[0].AmountPaid, 30000)
	equal(t, "its lines", len(w.invoices(t, id)[0].Lines.Data), 1)
	equalTypes(t, w.types(t), []string{
		"customer.subscription.updated", "subscription_schedule.updated", "customer.subscription.updated", "invoice.created",
		"invoice.finalized", "payment_intent.created", "charge.succeeded", "payment_intent.succeeded", "invoice.paid",
		"invoice.payment_succeeded",
	})
	w.moveTo(t, time.Date(2026, 3, 31, 10, 0, 0, 0, time.UTC))
	sc = must[*stripe.SubscriptionSchedule](t)(w.stripe.SubscriptionSchedules.Get(sc.ID, nil))
	equal(t, "after its last phase", sc.Status, stripe.SubscriptionScheduleStatusReleased)
}

func TestCancellation(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		cancel func(t *testing.T, w *world, id string)
		ends   time.Time
	}{
		{"at the period's end", func(t *testing.T, w *world, id string) {
			t.Helper()
			w.update(t, id, &stripe.SubscriptionParams{CancelAtPeriodEnd: stripe.Bool(true)})
		}, time.Date(2026, 2, 28, 10, 0, 0, 0, time.UTC)},
		{"at a moment", func(t *testing.T, w *world, id string) {
			t.Helper()
			w.update(t, id, &stripe.SubscriptionParams{CancelAt: stripe.Int64(start.AddDate(0, 0, 3).Unix())})
		}, start.AddDate(0, 0, 3)},
		{"now", func(t *testing.T, w *world, id string) {
			t.Helper()
			must[*stripe.Subscription](t)(w.stripe.Subscriptions.Cancel(id, nil))
		}, start},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			_, id := w.subscribed(t, "price_starter", stripestand.CardVisa)
			tt.cancel(t, w, id)
			if tt.ends.After(start) {
				w.moveTo(t, tt.ends.Add(-time.Second))
				equal(t, "until then", w.subscription(t, id).Status, stripe.SubscriptionStatusActive)
			}
			w.moveTo(t, start.AddDate(0, 6, 0))
			sub := w.subscription(t, id)
			equal(t, "status", sub.Status, stripe.SubscriptionStatusCanceled)
			equal(t, "ended", sub.EndedAt, tt.ends.Unix())
			equal(t, "invoices", len(w.invoices(t, id)), 1)
		})
	}
}

func TestCancellationTakenBackRenews(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, id := w.subscribed(t, "price_starter", stripestand.CardVisa)
	w.update(t, id, &stripe.SubscriptionParams{CancelAtPeriodEnd: stripe.Bool(true)})
	w.update(t, id, &stripe.SubscriptionParams{CancelAtPeriodEnd: stripe.Bool(false)})
	w.moveTo(t, start.AddDate(0, 0, 29))
	equal(t, "status", w.subscription(t, id).Status, stripe.SubscriptionStatusActive)
	equal(t, "invoices", len(w.invoices(t, id)), 2)
}

func TestTrialIsInvoicedAtZeroAndThenCharged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	customer := must[string](t)(w.CreateCustomer(stripestand.NewCustomer{Email: "a@b.example", Card: stripestand.CardVisa}))
	id := must[string](t)(w.CreateSubscription(stripestand.Subscription{Customer: customer, Price: "price_starter", TrialDays: 14}))
	equal(t, "status", w.subscription(t, id).Status, stripe.SubscriptionStatusTrialing)
	in := w.invoices(t, id)[0]
	equal(t, "total", in.Total, 0)
	equal(t, "paid", in.Paid, true)
	equal(t, "its line's end", in.Lines.Data[0].Period.End, start.AddDate(0, 0, 14).Unix())
	w.moveTo(t, start.AddDate(0, 0, 14).Add(time.Hour))
	equal(t, "after it", w.subscription(t, id).Status, stripe.SubscriptionStatusActive)
	equal(t, "charged", w.invoices(t, id)[0].AmountPaid, 30000)
	equal(t, "anchor", w.subscription(t, id).CurrentPeriodEnd, time.Date(2026, 3, 14, 10, 0, 0, 0, time.UTC).Unix())
}

func TestNewPeriodBeginsAtOnce(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, from, to string
		lines          int
		total          int64
	}{
		{"from monthly to yearly", "price_starter", "price_yearly", 2, 900000 - 15000},
		{"from free to paid", "price_free", "price_starter", 2, 30000},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			_, id := w.subscribed(t, tt.from, stripestand.CardVisa)
			now := start.AddDate(0, 0, 14) // half of the period
			w.clock.set(now)
			w.update(t, id, &stripe.SubscriptionParams{Items: []*stripe.SubscriptionItemsParams{
				{ID: stripe.String(w.subscription(t, id).Items.Data[0].ID), Price: stripe.String(tt.to)},
			}})
			in := w.invoices(t, id)[0]
			equal(t, "lines", len(in.Lines.Data), tt.lines)
			equal(t, "total", in.Total, tt.total)
			equal(t, "paid", in.Paid, true)
			equal(t, "period", w.subscription(t, id).CurrentPeriodStart, now.Unix())
			equal(t, "the line that is not prorated", in.Lines.Data[tt.lines-1].Proration, false)
		})
	}
}

func TestDowngradeNowLeavesCreditForTheNextInvoice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	customer, id := w.subscribed(t, "price_growth", stripestand.CardVisa)
	w.clock.set(start.AddDate(0, 0, 14))
	w.update(t, id, &stripe.SubscriptionParams{
		Items: []*stripe.SubscriptionItemsParams{
			{ID: stripe.String(w.subscription(t, id).Items.Data[0].ID), Price: stripe.String("price_starter")},
		},
		ProrationBehavior: stripe.String("always_invoice"),
	})
	in := w.invoices(t, id)[0]
	equal(t, "total", in.Total, -30000)
	equal(t, "due", in.AmountDue, 0)
	equal(t, "credit", must[*stripe.Customer](t)(w.stripe.Customers.Get(customer, nil)).Balance, -30000)
	w.moveTo(t, time.Date(2026, 2, 28, 11, 0, 0, 0, time.UTC))
	in = w.invoices(t, id)[0]
	equal(t, "next total", in.Total, 30000)
	equal(t, "next due", in.AmountDue, 0)
	equal(t, "next paid", in.Paid, true)
	equal(t, "credit used", must[*stripe.Customer](t)(w.stripe.Customers.Get(customer, nil)).Balance, 0)
}

func TestFailedRenewalIsPastDueUntilPaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	customer, id := w.subscribed(t, "price_starter", stripestand.CardVisa)
	must[string](t)(w.SetCard(customer, stripestand.CardFailsLater))
	w.moveTo(t, time.Date(2026, 2, 28, 11, 0, 0, 0, time.UTC))
	equal(t, "status", w.subscription(t, id).Status, stripe.SubscriptionStatusPastDue)
	in := w.invoices(t, id)[0]
	equal(t, "next attempt", in.NextPaymentAttempt, time.Date(2026, 3, 3, 11, 0, 0, 0, time.UTC).Unix())
	must[string](t)(w.SetCard(customer, stripestand.CardVisa))
	w.moveTo(t, time.Unix(in.NextPaymentAttempt, 0))
	equal(t, "status", w.subscription(t, id).Status, stripe.SubscriptionStatusActive)
	equal(t, "attempts", w.invoices(t, id)[0].AttemptCount, 2)
}

func TestPausedCollection(t *testing.T) {
	t.Parallel()
	for behavior, want := range map[string]stripe.InvoiceStatus{
		"void": stripe.InvoiceStatusVoid, "keep_as_draft": stripe.InvoiceStatusDraft,
		"mark_uncollectible": stripe.InvoiceStatusUncollectible,
	} {
		t.Run(behavior, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			_, id := w.subscribed(t, "price_starter", stripestand.CardVisa)
			w.update(t, id, &stripe.SubscriptionParams{PauseCollection: &stripe.SubscriptionPauseCollectionParams{
				Behavior: stripe.String(behavior), ResumesAt: stripe.Int64(start.AddDate(0, 0, 40).Unix()),
			}})
			w.moveTo(t, start.AddDate(0, 0, 29))
			equal(t, "while paused", w.invoices(t, id)[0].Status, want)
			w.moveTo(t, start.AddDate(0, 0, 60))
			equal(t, "resumed", w.invoices(t, id)[0].Status, stripe.InvoiceStatusPaid)
		})
	}
}

func TestSubscriptionWhoseFirstPaymentFailsIsIncompleteThenExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	customer := must[string](t)(w.CreateCustomer(stripestand.NewCustomer{Email: "a@b.example", Card: stripestand.CardFailsLater}))
	p := &stripe.SubscriptionParams{
		Customer: stripe.String(customer), Items: []*stripe.SubscriptionItemsParams{{Price: stripe.String("price_starter")}},
	}
	sub := must[*stripe.Subscription](t)(w.stripe.Subscriptions.New(p))
	equal(t, "status", sub.Status, stripe.SubscriptionStatusIncomplete)
	_, err := w.stripe.Subscriptions.Update(sub.ID, &stripe.SubscriptionParams{Items: []*stripe.SubscriptionItemsParams{
		{ID: stripe.String(sub.Items.Data[0].ID), Price: stripe.String("price_growth")},
	}})
	stripeError(t, err, "")
	p.PaymentBehavior = stripe.String("error_if_incomplete")
	_, err = w.stripe.Subscriptions.New(p)
	stripeError(t, err, "card_declined")
	w.moveTo(t, start.Add(23*time.Hour))
	equal(t, "after 23 hours", w.subscription(t, sub.ID).Status, stripe.SubscriptionStatusIncompleteExpired)
	equal(t, "its invoice", w.invoices(t, sub.ID)[0].Status, stripe.InvoiceStatusVoid)
}

func TestSubscriptionByACardThatAsksForAuthenticationLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.checkout(t, func(p *stripe.CheckoutSessionParams) {
		p.Mode, p.PaymentIntentData = stripe.String("subscription"), nil
		p.LineItems[0].Price = stripe.String("price_starter")
	})
	check(t, w.PayCheckoutWith(c.ID, stripestand.CardAuthentication))
	c = must[*stripe.CheckoutSession](t)(w.stripe.CheckoutSessions.Get(c.ID, nil))
	equal(t, "paid by the customer", w.subscription(t, c.Subscription.ID).Status, stripe.SubscriptionStatusActive)
	w.moveTo(t, time.Date(2026, 2, 28, 11, 0, 0, 0, time.UTC))
	equal(t, "renewed without them", w.subscription(t, c.Subscription.ID).Status, stripe.SubscriptionStatusPastDue)
	check(t, w.PayInvoice(w.invoices(t, c.Subscription.ID)[0].ID))
	equal(t, "paid by them", w.subscription(t, c.Subscription.ID).Status, stripe.SubscriptionStatusActive)
}

func TestTrialThroughCheckoutNeedsNoPayment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.checkout(t, func(p *stripe.CheckoutSessionParams) {
		p.Mode, p.PaymentIntentData = stripe.String("subscription"), nil
		p.LineItems[0].Price = stripe.String("price_starter")
		p.SubscriptionData = &stripe.CheckoutSessionSubscriptionDataParams{
			TrialPeriodDays: stripe.Int64(7), Metadata: map[string]string{"org_id": "acme"},
		}
	})
	equal(t, "due today", c.AmountTotal, 0)
	check(t, w.PayCheckout(c.ID))
	c = must[*stripe.CheckoutSession](t)(w.stripe.CheckoutSessions.Get(c.ID, nil))
	equal(t, "payment", c.PaymentStatus, stripe.CheckoutSessionPaymentStatusNoPaymentRequired)
	equal(t, "org", w.subscription(t, c.Subscription.ID).Metadata["org_id"], "acme")
}

func TestTaxIsAddedWhereItIsEnabled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *stripestand.Options) { o.TaxBasisPoints = 1500 })
	c := w.checkout(t, func(p *stripe.CheckoutSessionParams) {
		p.AutomaticTax = &stripe.CheckoutSessionAutomaticTaxParams{Enabled: stripe.Bool(true)}
	})
	equal(t, "subtotal", c.AmountSubtotal, 30000)
	equal(t, "tax", c.TotalDetails.AmountTax, 4500)
	equal(t, "total", c.AmountTotal, 34500)
	equal(t, "untaxed", w.checkout(t).AmountTotal, 30000)
}
