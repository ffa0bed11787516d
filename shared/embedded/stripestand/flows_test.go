package stripestand_test

import (
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
)

// TestFlowsEmitTheirEvents is the table of what happens at Stripe and the
// webhooks that tell of it, in the order in which they are made.
func TestFlowsEmitTheirEvents(t *testing.T) {
	t.Parallel()
	paidEvents := []string{"payment_intent.created", "charge.succeeded", "payment_intent.succeeded"}
	tests := []struct {
		name string
		run  func(t *testing.T, w *world)
		want []string
	}{
		{
			"a session is paid",
			func(t *testing.T, w *world) {
				t.Helper()
				check(t, w.PayCheckout(w.checkout(t).ID))
			},
			append(paidEvents[:3:3], "checkout.session.completed"),
		},
		{
			"a session is paid with a receipt by invoice",
			func(t *testing.T, w *world) {
				t.Helper()
				c := w.checkout(t, func(p *stripe.CheckoutSessionParams) {
					p.InvoiceCreation = &stripe.CheckoutSessionInvoiceCreationParams{Enabled: stripe.Bool(true)}
					p.CustomerCreation = stripe.String("always")
				})
				check(t, w.PayCheckout(c.ID))
			},
			[]string{
				"customer.created", "payment_intent.created", "charge.succeeded", "payment_intent.succeeded", "invoice.created",
				"invoice.finalized", "invoice.paid", "invoice.payment_succeeded", "checkout.session.completed",
			},
		},
		{
			"a session is paid later, and the money comes",
			func(t *testing.T, w *world) {
				t.Helper()
				c := w.checkout(t)
				check(t, w.PayLater(c.ID))
				check(t, w.SettleLater(c.ID, true))
			},
			[]string{
				"payment_intent.created", "charge.pending", "payment_intent.processing", "checkout.session.completed",
				"charge.succeeded", "payment_intent.succeeded", "checkout.session.async_payment_succeeded",
			},
		},
		{
			"a session is paid later, and the money does not come",
			func(t *testing.T, w *world) {
				t.Helper()
				c := w.checkout(t)
				check(t, w.PayLater(c.ID))
				check(t, w.SettleLater(c.ID, false))
			},
			[]string{
				"payment_intent.created", "charge.pending", "payment_intent.processing", "checkout.session.completed",
				"charge.failed", "payment_intent.payment_failed", "checkout.session.async_payment_failed",
			},
		},
		{
			"a card is declined, then another pays",
			func(t *testing.T, w *world) {
				t.Helper()
				c := w.checkout(t)
				check(t, w.DeclineCheckout(c.ID))
				check(t, w.PayCheckout(c.ID))
			},
			[]string{
				"payment_intent.created", "charge.failed", "payment_intent.payment_failed",
				"charge.succeeded", "payment_intent.succeeded", "checkout.session.completed",
			},
		},
		{
			"nothing is due",
			func(t *testing.T, w *world) {
				t.Helper()
				c := w.checkout(t, func(p *stripe.CheckoutSessionParams) {
					p.Discounts = []*stripe.CheckoutSessionDiscountParams{{Coupon: stripe.String("ALLFREE")}}
				})
				check(t, w.PayCheckout(c.ID))
			},
			[]string{"checkout.session.completed"},
		},
		{
			"a session expires by itself",
			func(t *testing.T, w *world) {
				t.Helper()
				w.checkout(t)
				w.moveTo(t, start.Add(24*time.Hour))
			},
			[]string{"checkout.session.expired"},
		},
		{
			"a payment is refunded in two parts, and the second fails",
			func(t *testing.T, w *world) {
				t.Helper()
				_, pi := w.paid(t)
				must[string](t)(w.RefundPayment(pi, 10000))
				second := must[string](t)(w.RefundPayment(pi, 0))
				check(t, w.SettleRefund(second, false))
			},
			[]string{"charge.refunded", "charge.refunded", "charge.refund.updated"},
		},
		{
			"a dispute is won",
			func(t *testing.T, w *world) {
				t.Helper()
				_, pi := w.paid(t)
				must[string](t)(w.OpenDispute(pi, stripestand.Dispute{}))
				check(t, w.CloseDispute(pi, true))
			},
			[]string{
				"charge.dispute.created", "charge.dispute.funds_withdrawn", "charge.dispute.closed",
				"charge.dispute.funds_reinstated",
			},
		},
		{
			"a dispute is lost",
			func(t *testing.T, w *world) {
				t.Helper()
				_, pi := w.paid(t)
				id := must[string](t)(w.OpenDispute(pi, stripestand.Dispute{Amount: 5000, Reason: "duplicate"}))
				check(t, w.CloseDispute(id, false))
			},
			[]string{"charge.dispute.created", "charge.dispute.funds_withdrawn", "charge.dispute.closed"},
		},
		{
			"an inquiry is closed",
			func(t *testing.T, w *world) {
				t.Helper()
				_, pi := w.paid(t)
				must[string](t)(w.OpenDispute(pi, stripestand.Dispute{Inquiry: true}))
				check(t, w.CloseDispute(pi, true))
			},
			[]string{"charge.dispute.created", "charge.dispute.closed"},
		},
		{
			"a subscription begins through Checkout",
			func(t *testing.T, w *world) {
				t.Helper()
				c := w.checkout(t, func(p *stripe.CheckoutSessionParams) {
					p.Mode, p.PaymentIntentData = stripe.String("subscription"), nil
					p.LineItems[0].Price, p.LineItems[0].Quantity = stripe.String("price_starter"), stripe.Int64(1)
				})
				check(t, w.PayCheckout(c.ID))
			},
			[]string{
				"customer.created", "customer.subscription.created", "invoice.created", "invoice.finalized",
				"payment_intent.created", "charge.succeeded", "payment_intent.succeeded", "invoice.paid",
				"invoice.payment_succeeded", "customer.subscription.updated", "checkout.session.completed",
			},
		},
		{
			"a subscription renews",
			func(t *testing.T, w *world) {
				t.Helper()
				w.subscribed(t, "price_starter", stripestand.CardVisa)
				w.moveTo(t, start.AddDate(0, 0, 29))
			},
			[]string{
				"customer.subscription.updated", "invoice.created", "invoice.finalized", "payment_intent.created",
				"charge.succeeded", "payment_intent.succeeded", "invoice.paid", "invoice.payment_succeeded",
			},
		},
		{
			"a free subscription renews",
			func(t *testing.T, w *world) {
				t.Helper()
				w.subscribed(t, "price_free", stripestand.CardVisa)
				w.moveTo(t, start.AddDate(0, 0, 29))
			},
			[]string{
				"customer.subscription.updated", "invoice.created", "invoice.finalized", "invoice.paid", "invoice.payment_succeeded",
			},
		},
		{
			"a renewal is never paid",
			func(t *testing.T, w *world) {
				t.Helper()
				customer, _ := w.subscribed(t, "price_starter", stripestand.CardVisa)
				must[string](t)(w.SetCard(customer, stripestand.CardFailsLater))
				w.types(t)
				w.moveTo(t, start.AddDate(0, 0, 28+16))
			},
			[]string{
				"customer.subscription.updated", "invoice.created", "invoice.finalized", "payment_intent.created",
				"charge.failed", "payment_intent.payment_failed", "invoice.payment_failed", "customer.subscription.updated",
				"charge.failed", "payment_intent.payment_failed", "invoice.payment_failed",
				"charge.failed", "payment_intent.payment_failed", "invoice.payment_failed",
				"charge.failed", "payment_intent.payment_failed", "invoice.payment_failed", "customer.subscription.deleted",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			tt.run(t, w)
			equalTypes(t, w.types(t), tt.want)
		})
	}
}

func TestPaidSessionTiesItsObjectsTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.checkout(t)
	equal(t, "status", c.Status, stripe.CheckoutSessionStatusOpen)
	equal(t, "amount_total", c.AmountTotal, 30000)
	if c.PaymentIntent != nil {
		t.Errorf("an unpaid session has payment intent %s", c.PaymentIntent.ID)
	}
	check(t, w.PayCheckout(c.ID))

	p := &stripe.CheckoutSessionParams{}
	p.AddExpand("line_items")
	p.AddExpand("payment_intent.latest_charge")
	c = must[*stripe.CheckoutSession](t)(w.stripe.CheckoutSessions.Get(c.ID, p))
	equal(t, "status", c.Status, stripe.CheckoutSessionStatusComplete)
	equal(t, "payment_status", c.PaymentStatus, stripe.CheckoutSessionPaymentStatusPaid)
	equal(t, "client_reference_id", c.ClientReferenceID, "CR-1")
	equal(t, "line quantity", c.LineItems.Data[0].Quantity, 2)
	equal(t, "payment intent", c.PaymentIntent.Status, stripe.PaymentIntentStatusSucceeded)
	equal(t, "reference on the intent", c.PaymentIntent.Metadata["reference"], "CR-1")
	equal(t, "reference on the charge", c.PaymentIntent.LatestCharge.Metadata["reference"], "CR-1")
	equal(t, "charged", c.PaymentIntent.LatestCharge.Amount, 30000)

	if err := w.PayCheckout(c.ID); err == nil {
		t.Error("a complete session was paid again")
	}
}

func TestRefundsAccumulateOnTheCharge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, pi := w.paid(t)
	refund := func(amount int64) (*stripe.Refund, error) {
		return w.stripe.Refunds.New(&stripe.RefundParams{PaymentIntent: stripe.String(pi), Amount: stripe.Int64(amount)})
	}
	check(t, w.RefundsPending(true))
	first := must[*stripe.Refund](t)(refund(10000))
	equal(t, "status", first.Status, stripe.RefundStatusPending)
	must[*stripe.Refund](t)(refund(5000))
	charge := func() *stripe.Charge {
		return must[*stripe.Charge](t)(w.stripe.Charges.Get(first.Charge.ID, nil))
	}
	equal(t, "refunded", charge().AmountRefunded, 15000)
	_, err := refund(15001)
	stripeError(t, err, "")
	check(t, w.SettleRefund(first.ID, false))
	equal(t, "refunded after a failure", charge().AmountRefunded, 5000)
	equal(t, "failed", must[*stripe.Refund](t)(w.stripe.Refunds.Get(first.ID, nil)).Status, stripe.RefundStatusFailed)
	must[*stripe.Refund](t)(refund(25000))
	equal(t, "wholly refunded", charge().Refunded, true)
	_, err = refund(1)
	stripeError(t, err, string(stripe.ErrorCodeChargeAlreadyRefunded))
}
