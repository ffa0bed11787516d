package payments_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/needs"
)

// What is granted, or should be: credits and their period.
type granted struct {
	credits    int64
	start, end time.Time
}

func byPeriod(a, b granted) int {
	return cmp.Or(a.start.Compare(b.start), a.end.Compare(b.end), cmp.Compare(a.credits, b.credits))
}

// year is a simulated year of many organisations.
type year struct {
	*biller
	rand  *rand.Rand
	orgs  []subscribed
	plans map[string]int64 // credits of a month by Stripe's price
	did   map[string]int
}

// TestAYearOfBilling lets many organisations live through a year of renewals, with anchors at the ends of months, in several zones, with upgrades,
// downgrades, cancellations, failing cards, late and repeated webhooks. Afterwards the grants are exactly what the paid invoices say, nothing was
// drawn on after its cycle, and nothing that was bought has expired.
func TestAYearOfBilling(t *testing.T) {
	t.Parallel()
	orgs, began := 20, time.Now()
	if needs.Thorough() {
		orgs = 200
	}
	y := &year{biller: newBiller(t), rand: rand.New(rand.NewPCG(29, 31)), plans: map[string]int64{}, did: map[string]int{}} //nolint:gosec // a simulation repeats
	seed := must[*catalogue.Catalogue](t)(catalogue.Seed())
	for _, p := range seed.Document().Plans {
		for _, prices := range p.Prices {
			y.plans[prices.Month.StripePrice] = p.CreditsPerCycle
			if prices.Year != nil {
				y.plans[prices.Year.StripePrice] = p.CreditsPerCycle
			}
		}
	}
	y.begin(t, orgs)
	for week := range 52 {
		y.week(t, week)
	}
	y.mode(t, stripestand.ModeDeliver)
	y.moveTo(t, y.now().Add(3*time.Hour))
	total := 0
	for _, s := range y.orgs {
		total += y.check(t, s)
	}
	t.Logf("%d organisations, %d grants, %v, in %v", orgs, total, y.did, time.Since(began).Round(time.Second))
	for _, what := range []string{"upgrade", "downgrade", "cancel", "keep", "card fails", "card works", "bought", "hold", "duplicate", "spent"} {
		if y.did[what] == 0 {
			t.Errorf("nothing of the kind %q happened", what)
		}
	}
}

// begin subscribes organisations on days from the 28th to the 31st.
func (y *year) begin(t *testing.T, orgs int) {
	t.Helper()
	var starts []time.Time
	for range orgs {
		starts = append(starts, time.Date(2026, time.January, 28+y.rand.IntN(4), y.rand.IntN(24), y.rand.IntN(60), 0, 0, time.UTC))
	}
	slices.SortFunc(starts, time.Time.Compare)
	y.seconds.Store(starts[0].Unix())
	for _, at := range starts {
		y.moveTo(t, at)
		price := []string{"price_free_month_zar", "price_starter_month_zar", "price_growth_month_zar", "price_scale_month_zar", "price_starter_year_zar"}[y.rand.IntN(5)]
		s := y.subscribe(t, price, stripestand.CardVisa, 0)
		zone := []string{"Africa/Johannesburg", "Europe/Amsterdam", "America/New_York", "Pacific/Auckland"}[y.rand.IntN(4)]
		y.do(t, s.org, credit.Configure{Zone: &zone})
		y.orgs = append(y.orgs, s)
	}
}

// week lets something happen to some organisations, and the clock go on in steps, with webhooks on time, late or twice.
func (y *year) week(t *testing.T, week int) {
	t.Helper()
	for _, s := range y.orgs {
		if y.rand.IntN(4) == 0 {
			y.happen(t, s, week)
		}
	}
	end := y.now().Add(7 * 24 * time.Hour)
	for y.now().Before(end) {
		switch y.rand.IntN(6) {
		case 0:
			y.did["hold"]++
			y.mode(t, stripestand.ModeHold)
			y.moveTo(t, y.now().Add(time.Duration(1+y.rand.IntN(180))*time.Minute))
		case 1:
			y.did["duplicate"]++
			y.mode(t, stripestand.ModeDuplicate)
			y.moveTo(t, y.now().Add(6*time.Hour))
		}
		y.mode(t, stripestand.ModeDeliver)
		y.moveTo(t, y.now().Add(time.Duration(1+y.rand.IntN(48))*time.Hour))
	}
}

func (y *year) happen(t *testing.T, s subscribed, week int) {
	t.Helper()
	sub := must[*stripe.Subscription](t)(y.api.Subscriptions.Get(s.id, nil))
	what := []string{"upgrade", "downgrade", "upgrade", "cancel", "keep", "card fails", "card works", "bought", "spent", "spent", "spent"}[y.rand.IntN(11)]
	price := sub.Items.Data[0].Price.ID
	monthly := []string{"price_starter_month_zar", "price_growth_month_zar", "price_scale_month_zar"}
	at := slices.Index(monthly, price)
	over := sub.Status == stripe.SubscriptionStatusCanceled
	switch {
	case what == "spent":
		w := must[credit.Wallet](t)(y.ledger.View(t.Context(), s.org))
		if w.Available == 0 {
			return
		}
		y.debit(t, s.org, fmt.Sprint("week-", week), 1+y.rand.Int64N(w.Available))
	case what == "bought":
		y.buy(t, s.org, fmt.Sprint("week-", week))
	case over:
		return
	case what == "upgrade" && at >= 0 && at < 2 && sub.Status == stripe.SubscriptionStatusActive && sub.Schedule == nil:
		y.changePrice(t, s, monthly[at+1])
	case what == "downgrade" && at > 0 && sub.Schedule == nil && !sub.CancelAtPeriodEnd:
		y.scheduleDowngrade(t, s, monthly[at-1])
	case what == "cancel" && sub.Schedule == nil && y.rand.IntN(2) == 0:
		y.update(t, s, stripe.SubscriptionParams{CancelAtPeriodEnd: stripe.Bool(true)})
	case what == "keep" && sub.Schedule == nil:
		y.update(t, s, stripe.SubscriptionParams{CancelAtPeriodEnd: stripe.Bool(false)})
	case what == "card fails" && y.rand.IntN(3) == 0:
		y.card(t, s, stripestand.CardFailsLater)
	case what == "card works":
		y.card(t, s, stripestand.CardVisa)
	default:
		return
	}
	y.did[what]++
}

func (y *year) card(t *testing.T, s subscribed, card stripestand.Card) {
	t.Helper()
	method := must[*stripe.PaymentMethod](t)(y.api.PaymentMethods.Attach(string(card), &stripe.PaymentMethodAttachParams{Customer: &s.customer}))
	y.update(t, s, stripe.SubscriptionParams{DefaultPaymentMethod: &method.ID})
}

// check compares an organisation's ledger with its paid invoices, and returns how many grants there are.
func (y *year) check(t *testing.T, s subscribed) int {
	t.Helper()
	if err := y.ledger.Settle(t.Context(), s.org); err != nil {
		t.Fatal(err)
	}
	if err := y.ledger.Audit(t.Context(), s.org); err != nil {
		t.Errorf("%s: %v", s.org, err)
	}
	want := y.invoiced(t, s)
	entries := y.entries(t, s.org)
	var got []granted
	born := map[string]*credit.Entry{}
	for _, e := range entries {
		if e.Born == nil {
			continue
		}
		born[e.Born.ID] = e
		if e.Born.Source == credit.Subscription {
			got = append(got, granted{e.Born.Granted, e.Born.EffectiveAt.UTC(), e.Born.ExpiresAt.UTC()})
		}
	}
	slices.SortFunc(got, byPeriod)
	slices.SortFunc(want, byPeriod)
	if !slices.Equal(got, want) {
		t.Errorf("%s was granted\n%v\nand invoiced\n%v", s.org, got, want)
	}
	wantNothingOutlivesItsCycle(t, s.org, entries, born)
	return len(got)
}

// entries are all of an organisation's, the oldest first.
func (y *year) entries(t *testing.T, org string) (out []*credit.Entry) {
	t.Helper()
	var before time.Time
	for {
		page := must[[]*credit.Entry](t)(y.ledger.Entries(t.Context(), org, before, 500))
		out = append(out, page...)
		if len(page) < 500 {
			slices.Reverse(out)
			return out
		}
		before = page[len(page)-1].At
	}
}

// wantNothingOutlivesItsCycle looks at each draw on a grant: it is before the grace's end, and before the next period's credits came.
func wantNothingOutlivesItsCycle(t *testing.T, org string, entries []*credit.Entry, born map[string]*credit.Entry) {
	t.Helper()
	for _, e := range entries {
		for _, c := range e.Changes {
			g := born[c.Grant].Born
			switch {
			case g.Source == credit.Purchase && e.Kind == credit.KindExpiry:
				t.Errorf("%s: purchased credits expired: %+v", org, e)
			case g.Source != credit.Subscription || c.Free >= 0 || e.Kind == credit.KindExpiry:
			case !e.At.Before(g.ExpiresAt.Add(2*time.Hour)) || e.At.Before(g.EffectiveAt):
				t.Errorf("%s: %s draws at %v on credits of %v to %v", org, e.Kind, e.At, g.EffectiveAt, g.ExpiresAt)
			}
			for _, next := range born {
				follows := g.Source == credit.Subscription && next.Born.Source == credit.Subscription && next.Born.EffectiveAt.Equal(g.ExpiresAt)
				if follows && e.Kind == credit.KindDebit && c.Free < 0 && next.At.Before(e.At) && next.Born.EffectiveAt.Before(e.At) {
					t.Errorf("%s: the old cycle's credits are spent at %v, after the new one's came at %v", org, e.At, next.At)
				}
			}
		}
	}
}

// invoiced is what the stand-in's paid invoices bring, by arithmetic of the test's own.
func (y *year) invoiced(t *testing.T, s subscribed) (out []granted) {
	t.Helper()
	var whole []granted // periods that were paid for
	var ups []*stripe.InvoiceLineItem
	old := map[string]int64{}
	it := y.api.Invoices.List(&stripe.InvoiceListParams{Subscription: &s.id, Status: stripe.String("paid"), ListParams: stripe.ListParams{Limit: stripe.Int64(100)}})
	for it.Next() {
		in := it.Invoice()
		for _, l := range in.Lines.Data {
			per := y.plans[l.Price.ID]
			switch {
			case !l.Proration && l.Price.Recurring.Interval == "month":
				whole = append(whole, granted{per, at(l.Period.Start), at(l.Period.End)})
			case !l.Proration:
				for m := range 12 {
					whole = append(whole, granted{per, clamped(at(l.Period.Start), m), clamped(at(l.Period.Start), m+1)})
				}
			case l.Amount > 0:
				ups = append(ups, l)
			default:
				old[in.ID+fmt.Sprint(l.Period.Start)] = per
			}
		}
	}
	if it.Err() != nil {
		t.Fatal(it.Err())
	}
	out = slices.Clone(whole)
	for _, l := range ups {
		more := y.plans[l.Price.ID] - old[l.Invoice+fmt.Sprint(l.Period.Start)]
		start, end := at(l.Period.Start), at(l.Period.End)
		i := slices.IndexFunc(whole, func(w granted) bool { return w.end.Equal(end) })
		var length int64
		if i >= 0 {
			length = int64(whole[i].end.Sub(whole[i].start) / time.Second)
		} else { // the period itself was never paid for
			length = int64(end.Sub(periodBefore(whole, end)) / time.Second)
		}
		if credits := more * int64(end.Sub(start)/time.Second) / length; credits > 0 {
			out = append(out, granted{credits, start, end})
		}
	}
	return out
}

func at(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }

// clamped is some months after an anchor, or the month's last day.
func clamped(anchor time.Time, months int) time.Time {
	out := anchor.AddDate(0, months, 0)
	for out.Day() != anchor.Day() && out.Day() < 4 {
		out = out.AddDate(0, 0, -1)
	}
	return out
}

// periodBefore is when the period that ends at end began: a month before, counted from the first period's start.
func periodBefore(whole []granted, end time.Time) time.Time {
	first := slices.MinFunc(whole, byPeriod).start
	for m := range 14 {
		if clamped(first, m+1).Equal(end) {
			return clamped(first, m)
		}
	}
	return time.Time{}
}
