package audit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/payments"
)

const (
	// settledAfter is how long what Stripe did may take to reach our records: the walk through its record finds it within a quarter of an hour.
	settledAfter = time.Hour
	// lookBack is how many days before those not looked at yet are looked at again, for what happened to them since.
	lookBack = 3
	// firstLook is how many days the very first look goes back.
	firstLook = 30
	// maxPages bounds the pages of charges of a day, a hundred each, paymentsPage the payments that are read at once.
	maxPages     = 500
	paymentsPage = 200
	// maxFindings bounds the findings that are told of one look.
	maxFindings = 20
	oneDay      = 24 * time.Hour
)

// Stripe is what Stripe says of money.
type Stripe interface {
	Taken(ctx context.Context, span payments.Period, after string) (charges []payments.Taken, last string, err error)
	Took(ctx context.Context, payment string) (payments.Charge, bool, error)
	RefundedSince(ctx context.Context, charge string, since, now time.Time) (bool, error)
}

// Takings are the money of a day, in UTC, and a currency, in minor units: what Stripe says, and what the records of the same payments say.
type Takings struct {
	Day            string `json:"day"`
	Currency       string `json:"currency"`
	Charges        int    `json:"charges"`
	Taken          int64  `json:"taken"`
	Recorded       int64  `json:"recorded"`
	Refunded       int64  `json:"refunded"`
	RefundRecorded int64  `json:"refund_recorded"`
	// Settling are charges that differ, but were refunded within the last hour.
	Settling int `json:"settling"`
}

// Money is what a look at payments found.
type Money struct {
	Days     []Takings  `json:"days"`
	Until    time.Time  `json:"until"`
	More     bool       `json:"more"`
	Findings []*Finding `json:"findings,omitempty"`
}

// reached is the document reconciliation/audit-stripe: before which day all was looked at.
type reached struct {
	V     int64     `firestore:"v"`
	Until time.Time `firestore:"until"`
}

// Payments compares Stripe's charges, day by day, with our records of payments, and these with what their grants are worth: each is recorded with
// the amount, currency and refunds that Stripe says, has its grants, and has lost as much of each as went back of the money; and none is
// recorded of which Stripe knows nothing. It goes on from the day the last look stopped, and three days before. What differs is looked at a
// second time, told, and freezes the wallet. most bounds the work, by the machine's clock; what is left is for the next look.
func (a *Auditor) Payments(ctx context.Context, s Stripe, books *payments.Books, most time.Duration) (Money, error) {
	end := time.Now().Add(most)
	now := a.opts.Now().UTC()
	doc := a.opts.Documents.Collection("reconciliation").Doc("audit-stripe")
	at := reached{Until: now.Truncate(oneDay).AddDate(0, 0, lookBack-firstLook)}
	d, err := doc.Get(ctx)
	if err == nil {
		err = d.DataTo(&at)
	}
	if err != nil && status.Code(err) != codes.NotFound {
		return Money{}, fmt.Errorf("read which days of payments were looked at: %w", err)
	}
	m := &money{Auditor: a, stripe: s, books: books, now: now}
	out := Money{Until: at.Until}
	for day := at.Until.AddDate(0, 0, -lookBack).Truncate(oneDay); day.Before(now.Add(-settledAfter)); day = day.AddDate(0, 0, 1) {
		if time.Now().After(end) || len(m.findings) >= maxFindings {
			out.More = true
			break
		}
		span := payments.Period{Start: day, End: day.AddDate(0, 0, 1)}
		if last := now.Add(-settledAfter).Truncate(time.Second); span.End.After(last) {
			span.End = last
		}
		if err := m.day(ctx, span); err != nil {
			return Money{}, err
		}
		if out.Until = span.End.Truncate(oneDay); out.Until.After(at.Until) {
			if _, err := doc.Set(ctx, reached{V: schemaVersion, Until: out.Until}); err != nil {
				return Money{}, fmt.Errorf("write which days of payments were looked at: %w", err)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(m.days)) {
		out.Days = append(out.Days, *m.days[key])
	}
	out.Findings = m.findings
	return out, nil
}

// money is a look at payments.
type money struct {
	*Auditor
	stripe   Stripe
	books    *payments.Books
	now      time.Time
	days     map[string]*Takings
	findings []*Finding
}

// day compares both sides of a day.
func (m *money) day(ctx context.Context, span payments.Period) error {
	if m.days == nil {
		m.days = map[string]*Takings{}
	}
	seen := map[string]bool{}
	after := ""
	for page := 0; page == 0 || after != ""; page++ {
		if page == maxPages {
			return fmt.Errorf("Stripe has more than %d pages of charges of %s", maxPages, span.Start.Format(time.DateOnly))
		}
		charges, last, err := m.stripe.Taken(ctx, span, after)
		if err != nil {
			return err
		}
		if err := m.charges(ctx, charges, seen); err != nil {
			return err
		}
		after = last
	}
	var last payments.Payment
	for {
		page, err := m.books.PaidBetween(ctx, span, last, paymentsPage)
		if err != nil {
			return err
		}
		for _, p := range page {
			if last = p; seen[p.ID] || p.Amount == 0 {
				continue
			}
			c, found, err := m.stripe.Took(ctx, p.ID)
			if err != nil {
				return err
			}
			if !found {
				c = payments.Charge{Payment: p.ID, Org: p.Org, Currency: string(p.Currency)}
			}
			if err := m.charge(ctx, c, p, nil); err != nil {
				return err
			}
		}
		if len(page) < paymentsPage {
			return nil
		}
	}
}

// charges compares a page of Stripe's charges with our records.
func (m *money) charges(ctx context.Context, charges []payments.Taken, seen map[string]bool) error {
	ids := make([]string, len(charges))
	for i, c := range charges {
		ids[i] = c.Payment
	}
	known, err := m.books.Payments(ctx, ids)
	if err != nil {
		return err
	}
	for _, c := range charges {
		seen[c.Payment] = true
		p, ok := known[c.Payment]
		if !ok && !c.Ours() {
			continue // of something else that the account sells
		}
		day := c.At.Format(time.DateOnly)
		currency := strings.ToUpper(c.Currency)
		sum := m.days[day+currency]
		if sum == nil {
			sum = &Takings{Day: day, Currency: currency}
			m.days[day+currency] = sum
		}
		refunds := p.Refunded
		sum.Charges++
		sum.Taken += c.Amount
		sum.Recorded += p.Amount
		sum.Refunded += c.Refunded
		sum.RefundRecorded += refunds
		if err := m.charge(ctx, c.Charge, p, sum); err != nil {
			return err
		}
	}
	return nil
}

// charge compares a charge with its record, and looks a second time before what differs is told.
func (m *money) charge(ctx context.Context, c payments.Charge, p payments.Payment, sum *Takings) error {
	err := m.compare(ctx, c, p)
	var f *Finding
	if !errors.As(err, &f) {
		return err
	}
	recent, err := m.stripe.RefundedSince(ctx, c.ID, m.now.Add(-settledAfter), m.now)
	if err != nil {
		return err
	}
	if recent {
		if sum != nil {
			sum.Settling++
		}
		return nil
	}
	known, err := m.books.Payments(ctx, []string{c.Payment})
	if err != nil {
		return err
	}
	if fresh, found, err := m.stripe.Took(ctx, c.Payment); err != nil {
		return err
	} else if found {
		c = fresh
	}
	if err = m.compare(ctx, c, known[c.Payment]); !errors.As(err, &f) {
		return err
	}
	if len(m.findings) < maxFindings {
		m.findings = append(m.findings, f)
		m.alarm(ctx, f)
	}
	return nil
}

// compare compares what a charge took, its record, and the record's grants. The error may be a *Finding.
func (m *money) compare(ctx context.Context, c payments.Charge, p payments.Payment) error {
	where := "payment " + c.Payment
	wrong := func(field string, expected, found any) error {
		f := differ(where, field, expected, found)
		if f.Org = p.Org; f.Org == "" {
			f.Org = c.Org
		}
		return f
	}
	switch {
	case c.ID == "":
		return wrong("charge at Stripe", text(p.Amount), none)
	case p.ID == "":
		return wrong("record", fmt.Sprintf("one of %d %s", c.Amount, strings.ToUpper(c.Currency)), none)
	case p.Status != payments.Paid:
		return wrong("status", payments.Paid, p.Status)
	case p.Amount != c.Amount:
		return wrong("amount", c.Amount, p.Amount)
	case !strings.EqualFold(string(p.Currency), c.Currency):
		return wrong("currency", strings.ToUpper(c.Currency), p.Currency)
	case p.Refunded != c.Refunded:
		return wrong("refunded", c.Refunded, p.Refunded)
	case p.Reference != "" && len(p.Grants) == 0:
		return wrong("grants", "one", none)
	case len(p.Grants) == 0:
		return nil // an invoice whose lines grant nothing
	}
	return m.grants(ctx, p, wrong)
}

// grants compares the grants of a payment with what it paid for, and with what of it went back.
func (m *money) grants(ctx context.Context, p payments.Payment, wrong func(field string, expected, found any) error) error {
	s, err := m.opts.Ledger.Snapshot(ctx, p.Org)
	var no *credit.Refusal
	if errors.As(err, &no) {
		return wrong("wallet", "one", none)
	}
	if err != nil {
		return err
	}
	defer s.Close(ctx)
	grants := map[string]*credit.Grant{}
	ids := make([]string, len(p.Grants))
	for i, g := range p.Grants {
		ids[i] = g.ID
	}
	err = s.Grants(ctx, ids, func(f ledger.Found[*credit.Grant]) error {
		grants[f.Value.ID] = f.Value
		return nil
	})
	if err != nil {
		return err
	}
	for _, g := range s.Wallet().Live { // newer than their own records
		grants[g.ID] = g
	}
	returned, settled := p.Returned()
	for _, want := range p.Grants {
		g := grants[want.ID]
		switch {
		case g == nil:
			return wrong("grant "+want.ID, text(want.Credits)+" credits", none)
		case g.Granted != want.Credits:
			return wrong("grant "+want.ID, want.Credits, g.Granted)
		case settled && g.ClawedBack != share(returned, want.Credits, p.Amount):
			return wrong("clawed back of grant "+want.ID, share(returned, want.Credits, p.Amount), g.ClawedBack)
		}
	}
	return nil
}

// share is how many of a payment's credits go back with its money: no more than there were, and rounded down. Nothing goes back of what cost
// nothing.
func share(returned, credits, paid int64) int64 {
	if paid <= 0 {
		return 0
	}
	n := new(big.Int).Mul(big.NewInt(returned), big.NewInt(credits))
	n.Div(n, big.NewInt(paid))
	if !n.IsInt64() || n.Int64() > credits {
		return credits
	}
	return n.Int64()
}
