package payments

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/charge"
	"github.com/stripe/stripe-go/v76/dispute"
	"github.com/stripe/stripe-go/v76/refund"
)

// maxReturns bounds the refunds, the disputes and the attempts to pay that are read of one payment.
const maxReturns = 300

// refundKey is the key under which the credits of a refund of ours are set aside, and Stripe makes it once.
func refundKey(reference string, n int64) string {
	return "refund:" + reference + ":" + strconv.FormatInt(n, 10)
}

// account asks for all there is about a payment: what took its money, its refunds and its disputes. found is false when Stripe knows of no
// money taken.
func (g *Gateway) account(ctx context.Context, payment string) (a Account, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	list := stripe.ListParams{Context: ctx, Limit: stripe.Int64(pageSize)}
	charges := charge.Client{B: g.backend, Key: g.key}.List(&stripe.ChargeListParams{ListParams: list, PaymentIntent: stripe.String(payment)})
	for n := 0; charges.Next(); n++ { // attempts that were declined are charges too
		if c := charges.Charge(); c.Paid {
			a.Charge, found = readCharge(c), true
		}
		if n == maxReturns {
			return Account{}, false, stripeDown(fmt.Errorf("payment %s has more than %d charges", payment, maxReturns))
		}
	}
	if err := charges.Err(); missing(err) || err == nil && !found {
		return Account{}, false, nil
	} else if err != nil {
		return Account{}, false, stripeDown(fmt.Errorf("list the charges of %s: %w", payment, err))
	}
	refunds := refund.Client{B: g.backend, Key: g.key}.List(&stripe.RefundListParams{ListParams: list, PaymentIntent: stripe.String(payment)})
	for refunds.Next() {
		a.Refunds = append(a.Refunds, readRefund(refunds.Refund()))
		if len(a.Refunds) > maxReturns {
			return Account{}, false, stripeDown(fmt.Errorf("payment %s has more than %d refunds", payment, maxReturns))
		}
	}
	if err := refunds.Err(); err != nil {
		return Account{}, false, stripeDown(fmt.Errorf("list the refunds of %s: %w", payment, err))
	}
	disputes := dispute.Client{B: g.backend, Key: g.key}.List(&stripe.DisputeListParams{ListParams: list, PaymentIntent: stripe.String(payment)})
	for disputes.Next() {
		a.Disputes = append(a.Disputes, readDispute(disputes.Dispute()))
		if len(a.Disputes) > maxReturns {
			return Account{}, false, stripeDown(fmt.Errorf("payment %s has more than %d disputes", payment, maxReturns))
		}
	}
	if err := disputes.Err(); err != nil {
		return Account{}, false, stripeDown(fmt.Errorf("list the disputes of %s: %w", payment, err))
	}
	return a, true, nil
}

// errRefused is Stripe's definite no to a refund.
var errRefused = errors.New("stripe refuses the refund")

// refund has Stripe give money back. Repeated for the same refund within a day, it is made once. The error is errRefused, or an *Error,
// `unavailable`, when it is not known whether it was made.
func (g *Gateway) refund(ctx context.Context, p Payment, o OwnRefund) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	key := refundKey(p.Reference, o.N)
	_, err := refund.Client{B: g.backend, Key: g.key}.New(&stripe.RefundParams{
		Params:        stripe.Params{Context: ctx, IdempotencyKey: stripe.String(key)},
		PaymentIntent: stripe.String(p.ID),
		Amount:        stripe.Int64(o.Amount),
		Reason:        stripe.String(string(stripe.RefundReasonRequestedByCustomer)),
		Metadata:      map[string]string{metaOrg: p.Org, metaReference: p.Reference, metaRefund: key},
	})
	if err == nil {
		return nil
	}
	err = fmt.Errorf("refund %s: %w", key, err)
	no, told := errors.AsType[*stripe.Error](err)
	if told && no.Type == stripe.ErrorTypeInvalidRequest && !passes(no.Code) {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	return stripeDown(err)
}

// passes reports whether Stripe, which gives these the type of a wrong request, may take the same one later.
func passes(code stripe.ErrorCode) bool {
	return code == stripe.ErrorCodeLockTimeout || code == stripe.ErrorCodeRateLimit || code == stripe.ErrorCodeIdempotencyKeyInUse
}
