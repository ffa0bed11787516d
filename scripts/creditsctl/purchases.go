package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/fluxori/ai-credits/shared/numerals"
)

// purchaseVerbs are the verbs about payments.
func purchaseVerbs() []verb {
	return []verb{
		{
			name: "purchases", operands: []string{"ORG"}, who: support, example: "purchases kalahari-crafts", summary: "what an organisation bought, newest first",
			prepare: func(t *tool, flags *flag.FlagSet) action {
				a, limit := t.account(flags, support), limitFlag(flags)
				return func(ctx context.Context, o []string) error { return a.purchases(ctx, o[0], *limit) }
			},
		},
		{
			name: "purchase", operands: []string{"REFERENCE"}, who: support, example: "purchase CR-7F3K-Q2MX", summary: "a purchase with its timeline",
			prepare: func(t *tool, flags *flag.FlagSet) action {
				a := t.account(flags, support)
				return func(ctx context.Context, o []string) error { return a.showPurchase(ctx, o[0]) }
			},
		},
		{
			name: "recover", operands: []string{"REFERENCE"}, who: support, asks: true, example: "recover CR-7F3K-Q2MX",
			summary: "ask Stripe about a purchase now, and credit it if it is paid",
			prepare: func(t *tool, flags *flag.FlagSet) action {
				a := t.account(flags, support)
				return func(ctx context.Context, o []string) error { return a.recover(ctx, o[0]) }
			},
		},
		{
			name: "refund", operands: []string{"REFERENCE"}, who: support, asks: true, example: `refund CR-7F3K-Q2MX -amount 199,00 -reason "Bought twice"`,
			summary: "refund what is left of a purchase, or a part, after showing what that is",
			prepare: func(t *tool, flags *flag.FlagSet) action {
				c := t.changeFlags(flags)
				amount := flags.String("amount", "", "a part, in the purchase's currency, such as 199,00; all that is left without it")
				return func(ctx context.Context, o []string) error { return c.refund(ctx, o[0], *amount) }
			},
		},
		{
			name: "reconciliation", who: platform, example: "reconciliation", summary: "how far Stripe's record was walked, and what is paid and not credited",
			prepare: func(t *tool, flags *flag.FlagSet) action {
				a := t.account(flags, platform)
				return func(ctx context.Context, _ []string) error { return a.reconciliation(ctx) }
			},
		},
	}
}

// purchase is a purchase with its timeline. OrgID is there when it was found by its reference alone.
type purchase struct {
	OrgID     string     `json:"org_id"`
	Reference string     `json:"reference"`
	Status    string     `json:"status"`
	Package   string     `json:"package"`
	Credits   int64      `json:"credits"`
	Amount    int64      `json:"amount"`
	Currency  string     `json:"currency"`
	GrantID   string     `json:"grant_id"`
	CreatedAt time.Time  `json:"created_at"`
	PaidAt    *time.Time `json:"paid_at"`
	Timeline  []struct {
		At     time.Time `json:"at"`
		What   string    `json:"what"`
		Amount int64     `json:"amount"`
	} `json:"timeline"`
}

func (p purchase) price() string { return numerals.Money(p.Amount, p.Currency) }

func (a *account) purchases(ctx context.Context, org string, limit int) error {
	zone, err := a.titled(ctx, org)
	if err != nil {
		return err
	}
	return list(ctx, a, in(org, "purchases"), nil, limit, []column[purchase]{
		{head: "BEGUN", cell: func(p purchase) string { return moment(&p.CreatedAt, zone) }},
		{head: "REFERENCE", cell: func(p purchase) string { return p.Reference }},
		{head: "STATUS", cell: func(p purchase) string { return p.Status }},
		{head: "CREDITS", figure: true, cell: func(p purchase) string { return credits(p.Credits) }},
		{head: "PRICE", figure: true, cell: purchase.price},
		{head: "PAID", cell: func(p purchase) string { return moment(p.PaidAt, zone) }},
		{head: "GRANT", cell: func(p purchase) string { return p.GrantID }},
	})
}

// sold finds a purchase by its reference alone, and whose it is.
func (a *account) sold(ctx context.Context, reference string) (purchase, organisation, json.RawMessage, error) {
	p, data, err := read[purchase](ctx, a, "/purchases/"+url.PathEscape(reference), nil)
	if err != nil {
		return purchase{}, organisation{}, nil, err
	}
	o, _, err := a.organisation(ctx, p.OrgID)
	return p, o, data, err
}

func (a *account) showPurchase(ctx context.Context, reference string) error {
	p, o, data, err := a.sold(ctx, reference)
	if err != nil {
		return err
	}
	if a.json {
		return a.print(data)
	}
	return a.tellPurchase(p, o)
}

// tellPurchase shows a purchase to people.
func (a *account) tellPurchase(p purchase, o organisation) error {
	fmt.Fprintln(a.out, o.title())
	facts := []fact{
		{"reference", p.Reference}, {"status", p.Status}, {"package", p.Package}, {"credits", credits(p.Credits)}, {"price", p.price()}, {"grant", p.GrantID},
	}
	for _, m := range p.Timeline {
		what := m.What
		if m.Amount != 0 {
			what += ", " + numerals.Money(m.Amount, p.Currency)
		}
		facts = append(facts, fact{moment(&m.At, o.zone()), what})
	}
	return a.tell(facts...)
}

func (a *account) recover(ctx context.Context, reference string) error {
	p, o, _, err := a.sold(ctx, reference)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("This asks Stripe about %s, %s for %s of %s, now %s, and credits it if it is paid.", p.Reference, credits(p.Credits)+" credits", p.price(), o.label(), p.Status)
	if err := a.confirm(ctx, what, o.OrgID); err != nil {
		return err
	}
	now, data, err := send[purchase](ctx, a, http.MethodPost, in(o.OrgID, "purchases", p.Reference, "recover"), nil, "")
	if err != nil {
		return err
	}
	if a.json {
		return a.print(data)
	}
	return a.tellPurchase(now, o)
}

// refundOffer is what a refund would give.
type refundOffer struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
	Credits  int64  `json:"credits"`
}

// refunded is a refund that was made.
type refunded struct {
	refundOffer
	Reference string `json:"reference"`
	Refund    int64  `json:"refund"`
	Status    string `json:"status"`
	StripeID  string `json:"stripe_id"`
	Replayed  bool   `json:"replayed"`
}

func (c *change) refund(ctx context.Context, reference, amount string) error {
	p, o, _, err := c.sold(ctx, reference)
	if err != nil {
		return err
	}
	body := map[string]any{}
	if c.reason != "" {
		body["reason"] = c.reason
	}
	if amount != "" {
		minor, ok := numerals.Minor(amount)
		if !ok || minor < 1 {
			return fmt.Errorf("%w: -amount %q is no amount such as 199,00", errUsage, amount)
		}
		body["amount"] = minor
	}
	what, err := c.offer(ctx, p, o, body)
	if err != nil {
		return err
	}
	if err := c.confirm(ctx, what, o.OrgID); err != nil {
		return err
	}
	r, data, err := send[refunded](ctx, c.account, http.MethodPost, in(o.OrgID, "purchases", p.Reference, "refund"), body, c.chosenKey(c.key))
	if err != nil {
		return err
	}
	if c.json {
		return c.print(data)
	}
	fmt.Fprintln(c.out, done(r.Replayed))
	return c.tell(
		fact{"reference", r.Reference}, fact{"refund", credits(r.Refund)}, fact{"money", numerals.Money(r.Amount, r.Currency)}, fact{"credits taken", credits(r.Credits)},
		fact{"status", r.Status}, fact{"at Stripe", r.StripeID},
	)
}

// offer says what a refund will do. A repetition under a key may find nothing left to refund, since the first took it.
func (c *change) offer(ctx context.Context, p purchase, o organisation, body map[string]any) (string, error) {
	q, _, err := read[refundOffer](ctx, c.account, in(o.OrgID, "purchases", p.Reference, "refund"), nil)
	switch {
	case err != nil && c.key != "" && refusedAs(err, "not_refundable"):
		return fmt.Sprintf("This repeats the refund of %s of %s that key %s began.", p.Reference, o.label(), clean(c.key)), nil
	case err != nil:
		return "", err
	}
	b, _, err := read[balance](ctx, c.account, in(o.OrgID, "balance"), nil)
	if err != nil {
		return "", err
	}
	head := fmt.Sprintf("%s of %s was bought for %s.\n", p.Reference, o.label(), p.price())
	if part, ok := body["amount"].(int64); ok {
		return head + fmt.Sprintf("This refunds %s of at most %s through Stripe, and takes the credits for it, of at most %s.\navailable now %s",
			numerals.Money(part, q.Currency), numerals.Money(q.Amount, q.Currency), credits(q.Credits), credits(b.Available)), nil
	}
	return head + fmt.Sprintf("This refunds %s through Stripe, and takes %s credits.\navailable %s → %s",
		numerals.Money(q.Amount, q.Currency), credits(q.Credits), credits(b.Available), credits(b.Available-q.Credits)), nil
}

// reconciliation is how the walk through Stripe's record stands.
type reconciliation struct {
	RanAt      *time.Time   `json:"ran_at"`
	Until      *time.Time   `json:"until"`
	Owed       int64        `json:"owed"`
	Sweeping   bool         `json:"sweeping"`
	Uncredited []uncredited `json:"uncredited"`
}

// uncredited is a purchase that is paid and not credited.
type uncredited struct {
	Reference string    `json:"reference"`
	OrgID     string    `json:"org_id"`
	PaidAt    time.Time `json:"paid_at"`
}

func (a *account) reconciliation(ctx context.Context) error {
	r, data, err := read[reconciliation](ctx, a, "/operations/reconciliation", nil)
	if err != nil {
		return err
	}
	if a.json {
		return a.print(data)
	}
	sweeping := ""
	if r.Sweeping {
		sweeping = "a long gap is being made up for"
	}
	if err := a.tell(
		fact{"ran (UTC)", moment(r.RanAt, time.UTC)}, fact{"seen up to (UTC)", moment(r.Until, time.UTC)}, fact{"events owed", credits(r.Owed)}, fact{"sweeping", sweeping},
		fact{"paid and not credited", credits(int64(len(r.Uncredited)))},
	); err != nil || len(r.Uncredited) == 0 {
		return err
	}
	return table(a.tool, r.Uncredited, []column[uncredited]{
		{head: "PAID (UTC)", cell: func(u uncredited) string { return moment(&u.PaidAt, time.UTC) }},
		{head: "REFERENCE", cell: func(u uncredited) string { return u.Reference }},
		{head: "ORGANISATION", cell: func(u uncredited) string { return u.OrgID }},
	})
}
