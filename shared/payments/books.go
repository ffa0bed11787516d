package payments

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"cloud.google.com/go/firestore"
	"github.com/stripe/stripe-go/v76"
)

// Taken is a charge that took money, and when it was made.
type Taken struct {
	Charge

	At time.Time
}

// Ours reports whether the charge is for something that we sell: our metadata says so, or it pays an invoice.
func (t Taken) Ours() bool { return t.Reference != "" || t.Org != "" || t.Invoice != "" }

// Taken lists the charges that took money and were made within a span of whole seconds, the newest first, from what comes after an id, empty for
// the first; last is where the next page goes on, empty for none. The error is an *Error, `unavailable`.
func (g *Gateway) Taken(ctx context.Context, span Period, after string) (charges []Taken, last string, err error) {
	objects, more, err := g.page(ctx, listing{path: chargeSource.path, span: span}, after)
	if err != nil {
		return nil, "", err
	}
	for _, o := range objects {
		var c stripe.Charge
		if err := json.Unmarshal(o.Object, &c); err != nil {
			return nil, "", unreadable("charge", o.ID, err)
		}
		if c.Paid { // attempts that were declined are charges too
			charges = append(charges, Taken{readCharge(&c), o.Created})
		}
		if more {
			last = o.ID
		}
	}
	return charges, last, nil
}

// Took tells what Stripe took for a payment; found is false when it took nothing. The error is an *Error, `unavailable`.
func (g *Gateway) Took(ctx context.Context, payment string) (c Charge, found bool, err error) {
	a, found, err := g.account(ctx, payment)
	return a.Charge, found, err
}

// RefundedSince tells whether a refund of a charge was made since a moment, of which we may not have been told. The error is an *Error,
// `unavailable`.
func (g *Gateway) RefundedSince(ctx context.Context, charge string, since, now time.Time) (bool, error) {
	l := listing{path: refundSource.path, span: Period{Start: since, End: now.Add(time.Minute)}, where: [][2]string{{"charge", charge}}}
	objects, _, err := g.page(ctx, l, "")
	return len(objects) > 0, err
}

// Books are the records of payments, to be read.
type Books struct{ store store }

// NewBooks makes Books.
func NewBooks(documents *firestore.Client) *Books { return &Books{store{documents}} }

// Payments reads the records of some payments, those that there are.
func (b *Books) Payments(ctx context.Context, ids []string) (map[string]Payment, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	out := map[string]Payment{}
	var refs []*firestore.DocumentRef
	for _, id := range ids {
		if validObjectID(id) {
			refs = append(refs, b.store.payments().Doc(id))
		}
	}
	if len(refs) == 0 {
		return out, nil
	}
	docs, err := b.store.client.GetAll(ctx, refs)
	if err != nil {
		return nil, storeDown(fmt.Errorf("read %d payments: %w", len(refs), err))
	}
	for _, d := range docs {
		if !d.Exists() {
			continue
		}
		var p paymentDocument
		if err := decode(d, &p); err != nil {
			return nil, err
		}
		out[d.Ref.ID] = p.Payment
	}
	return out, nil
}

// PaidBetween lists payments that were paid within a span, the earliest first, those after another, at most limit; the zero Payment begins.
func (b *Books) PaidBetween(ctx context.Context, span Period, after Payment, limit int) ([]Payment, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	q := b.store.payments().Where("paid_at", ">=", span.Start).Where("paid_at", "<", span.End).
		OrderBy("paid_at", firestore.Asc).OrderBy(firestore.DocumentID, firestore.Asc).Limit(limit)
	if after.ID != "" {
		q = q.StartAfter(after.PaidAt, b.store.payments().Doc(after.ID))
	}
	docs, err := q.Documents(ctx).GetAll()
	if err != nil {
		return nil, storeDown(fmt.Errorf("list payments: %w", err))
	}
	out := make([]Payment, len(docs))
	for i, d := range docs {
		var p paymentDocument
		if err := decode(d, &p); err != nil {
			return nil, err
		}
		out[i] = p.Payment
	}
	return out, nil
}

// Returned is what of the payment's money went back, or is on its way: refunded, lost in disputes, or about to be refunded by us; minor units.
// settled is false while a refund of ours is under way, or its credits may not have followed.
func (p Payment) Returned() (amount int64, settled bool) {
	return p.returned(), p.ResumeAt.IsZero() && p.underWay() < 0
}
