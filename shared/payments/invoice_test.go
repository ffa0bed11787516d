package payments

import (
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
)

const grace = 2 * time.Hour

var (
	january  = Period{date(2026, 1, 31), date(2026, 2, 28)}
	february = Period{date(2026, 2, 28), date(2026, 3, 31)}
	upgraded = Period{date(2026, 1, 31).AddDate(0, 0, 7), january.End} // three quarters of January's 28 days
	theYear  = Period{date(2026, 1, 31), date(2027, 1, 31)}
)

func date(year int, month time.Month, day int) time.Time {
	return time.Date(year, month, day, 10, 0, 0, 0, time.UTC)
}

func line(id, price string, amount int64, p Period) Line {
	return Line{ID: id, Item: "si_1", Price: price, Currency: "zar", Amount: amount, Quantity: 1, Period: p}
}

func prorated(l Line) Line {
	l.Proration = true
	return l
}

// billed is an invoice that is paid, and its subscription, which goes on.
func billed(p Period, lines ...Line) (Event, Known) {
	prices, err := catalogue.Seed()
	if err != nil {
		panic(err)
	}
	return Event{ID: "evt_1", Type: invoicePaid, At: noon, Invoice: &Invoice{
			ID: "in_1", Subscription: "sub_1", Customer: "cus_1", Org: "acme", Payment: "pi_1", Currency: "zar", Paid: 39900, Period: p, Lines: lines,
		}}, Known{
			Now: noon, Prices: prices, Grace: grace, Subscription: Subscription{ID: "sub_1", Org: "acme", Status: Active, Period: p},
		}
}

// given is a grant as the tests state it.
type given struct {
	key          string
	credits      int64
	from, to     time.Time
	usableBeyond time.Duration
}

func TestAnInvoiceGrants(t *testing.T) {
	t.Parallel()
	year := func(monthly int64) (out []given) {
		ends := []time.Time{
			date(2026, 1, 31), date(2026, 2, 28), date(2026, 3, 31), date(2026, 4, 30), date(2026, 5, 31), date(2026, 6, 30), date(2026, 7, 31),
			date(2026, 8, 31), date(2026, 9, 30), date(2026, 10, 31), date(2026, 11, 30), date(2026, 12, 31), date(2027, 1, 31),
		}
		for n := range 12 {
			key := "grant:in_1:il_1"
			if n > 0 {
				key = fmt.Sprintf("%s:%d", key, n)
			}
			out = append(out, given{key, monthly, ends[n], ends[n+1], 0})
		}
		out[11].usableBeyond = grace
		return out
	}
	midYear := Period{date(2026, 12, 15), theYear.End}
	lastMonths := []given{
		{"grant:in_1:il_2", 1500 * 16 / 31, midYear.Start, date(2026, 12, 31), 0},
		{"grant:in_1:il_2:1", 1500, date(2026, 12, 31), theYear.End, grace},
	}
	plain := given{"grant:in_1:il_1", 500, january.Start, january.End, grace}
	tests := []struct {
		name   string
		lines  []Line
		period Period
		change func(*Event, *Known)
		want   []given
		doubt  Reason
	}{
		{"a plan's credits for the line's period", []Line{line("il_1", "price_starter_month_zar", 39900, january)}, january, nil, []given{plain}, ""},
		{"the free plan's, paid by nothing", []Line{line("il_1", "price_free_month_zar", 0, january)}, january, func(e *Event, _ *Known) {
			e.Invoice.Payment, e.Invoice.Paid = "", 0
		}, []given{{"grant:in_1:il_1", 50, january.Start, january.End, grace}}, ""},
		{"no grace when the subscription ends with its period", []Line{line("il_1", "price_starter_month_zar", 39900, january)}, january,
			func(_ *Event, k *Known) { k.Subscription.CancelAtPeriodEnd = true }, []given{{"grant:in_1:il_1", 500, january.Start, january.End, 0}}, ""},
		{"no grace when it ends before", []Line{line("il_1", "price_starter_month_zar", 39900, january)}, january,
			func(_ *Event, k *Known) { k.Subscription.EndsAt = january.End }, []given{{"grant:in_1:il_1", 500, january.Start, january.End, 0}}, ""},
		{"grace when it ends in a later period", []Line{line("il_1", "price_starter_month_zar", 39900, january)}, january,
			func(_ *Event, k *Known) { k.Subscription.EndsAt = february.End }, []given{plain}, ""},
		{"no grace when Stripe has the subscription no more", []Line{line("il_1", "price_starter_month_zar", 39900, january)}, january,
			func(_ *Event, k *Known) { k.Subscription = Subscription{} }, []given{{"grant:in_1:il_1", 500, january.Start, january.End, 0}}, ""},
		{"each item's, and twice what is paid twice", []Line{
			line("il_1", "price_starter_month_zar", 39900, january),
			{ID: "il_2", Item: "si_2", Price: "price_growth_month_zar", Currency: "zar", Amount: 259800, Quantity: 2, Period: january},
		}, january, nil, []given{plain, {"grant:in_1:il_2", 4000, january.Start, january.End, grace}}, ""},
		{"a year's month by month, and grace at its end", []Line{line("il_1", "price_starter_year_zar", 399000, theYear)}, theYear, nil, year(500), ""},
		{"an upgrade's share of the difference, on its positive line", []Line{
			prorated(line("il_1", "price_starter_month_zar", -29925, upgraded)), prorated(line("il_2", "price_growth_month_zar", 97425, upgraded)),
		}, january, nil, []given{{"grant:in_1:il_2", 1125, upgraded.Start, january.End, grace}}, ""},
		{"an upgrade's when it is billed with the next period", []Line{
			line("il_3", "price_growth_month_zar", 129900, february),
			prorated(line("il_1", "price_starter_month_zar", -29925, upgraded)), prorated(line("il_2", "price_growth_month_zar", 97425, upgraded)),
		}, january, func(_ *Event, k *Known) { k.Subscription.Period = february }, []given{
			{"grant:in_1:il_2", 1125, upgraded.Start, january.End, grace}, {"grant:in_1:il_3", 2000, february.Start, february.End, grace},
		}, ""},
		{"an upgrade's from one item to another", []Line{
			prorated(line("il_1", "price_starter_month_zar", -29925, upgraded)),
			prorated(Line{ID: "il_2", Item: "si_2", Price: "price_growth_month_zar", Currency: "zar", Amount: 97425, Quantity: 1, Period: upgraded}),
		}, january, nil, []given{{"grant:in_1:il_2", 1125, upgraded.Start, january.End, grace}}, ""},
		{"a yearly upgrade's in each month that is left", []Line{
			prorated(line("il_1", "price_starter_year_zar", -50000, midYear)), prorated(line("il_2", "price_growth_year_zar", 160000, midYear)),
		}, theYear, nil, lastMonths, ""},
		{"nothing for a downgrade", []Line{
			prorated(line("il_1", "price_growth_month_zar", -97425, upgraded)), prorated(line("il_2", "price_starter_month_zar", 29925, upgraded)),
		}, january, nil, nil, ""},
		{"nothing for a credit", []Line{prorated(line("il_1", "price_growth_month_zar", -97425, upgraded))}, january, nil, nil, ""},
		{"nothing for what is no plan's item", []Line{{ID: "il_1", Price: "price_setup", Currency: "zar", Amount: 5000, Quantity: 1, Period: january}}, january, nil, nil, ""},
		{"nothing for a quantity of none", []Line{func() Line { l := line("il_1", "price_starter_month_zar", 0, january); l.Quantity = 0; return l }()}, january, nil, nil, ""},
		{"what is known, beside a price that is not", []Line{line("il_1", "price_starter_month_zar", 39900, january), line("il_2", "price_strange", 100, january)},
			january, nil, []given{plain}, UnknownPrice},
		{"nothing for an upgrade from a price that is not known", []Line{
			prorated(line("il_1", "price_strange", -29925, upgraded)), prorated(line("il_2", "price_growth_month_zar", 97425, upgraded)),
		}, january, nil, nil, UnknownPrice},
		{"nothing for a proration whose period is not known", []Line{
			prorated(line("il_1", "price_starter_month_zar", -29925, upgraded)), prorated(line("il_2", "price_growth_month_zar", 97425, upgraded)),
		}, february, nil, nil, UnknownPeriod},
		{"nothing in another currency than the price's", []Line{func() Line { l := line("il_1", "price_starter_month_zar", 2400, january); l.Currency = "usd"; return l }()},
			january, nil, nil, WrongCurrency},
		{"nothing for no time", []Line{line("il_1", "price_starter_month_zar", 39900, Period{january.Start, january.Start})}, january, nil, nil, Malformed},
		{"nothing for a quantity beyond reason", []Line{func() Line { l := line("il_1", "price_starter_month_zar", 1, january); l.Quantity = 1 << 40; return l }()},
			january, nil, nil, Malformed},
		{"nothing when lines are missing", []Line{line("il_1", "price_starter_month_zar", 39900, january)}, january,
			func(e *Event, _ *Known) { e.Invoice.Truncated = true }, nil, Malformed},
		{"nothing when nobody is named", []Line{line("il_1", "price_starter_month_zar", 39900, january)}, january,
			func(e *Event, k *Known) { e.Invoice.Org, k.Subscription.Org = "", "" }, nil, UnknownOrg},
		{"nothing when what is named can be no organisation", []Line{line("il_1", "price_starter_month_zar", 39900, january)}, january,
			func(e *Event, _ *Known) { e.Invoice.Org = "Acme/../bravo" }, nil, UnknownOrg},
		{"nothing when the payment was another organisation's", []Line{line("il_1", "price_starter_month_zar", 39900, january)}, january,
			func(_ *Event, k *Known) { k.Payment = &Payment{Org: "bravo"} }, nil, WrongOrg},
		{"what the subscription's own metadata says", []Line{line("il_1", "price_starter_month_zar", 39900, january)}, january,
			func(e *Event, k *Known) { e.Invoice.Org, k.CustomerOrg = "", "bravo" }, []given{plain}, ""},
		{"what the customer's metadata says, at last", []Line{line("il_1", "price_starter_month_zar", 39900, january)}, january,
			func(e *Event, k *Known) { e.Invoice.Org, k.Subscription.Org, k.CustomerOrg = "", "", "acme" }, []given{plain}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e, k := billed(tt.period, tt.lines...)
			if tt.change != nil {
				tt.change(&e, &k)
			}
			d := Plan(e, k)
			var got []given
			for i, g := range d.Grants {
				terms := g.Terms
				got = append(got, given{g.Key.ID, terms.Granted, terms.EffectiveAt, terms.ExpiresAt, terms.UsableUntil.Sub(terms.ExpiresAt)})
				if terms.Source != credit.Subscription || terms.Item == "" || terms.Payment != e.Invoice.payment() || !g.Key.System || d.Org != "acme" {
					t.Errorf("grant %d to %s: %+v", i, d.Org, g)
				}
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(given{})); diff != "" {
				t.Errorf("grants (-want +got):\n%s", diff)
			}
			checkDoubt(t, d, tt.doubt)
			if settled := d.Fact != nil; settled && (d.Fact.Status != Paid || len(d.Fact.Grants) != len(d.Grants)) {
				t.Errorf("the records learn %+v", d.Fact)
			}
		})
	}
}

func TestAReceiptAsksForNothing(t *testing.T) {
	t.Parallel()
	e, k := billed(january, line("il_1", "price_starter_month_zar", 39900, january))
	e.Invoice.Subscription = ""
	if diff := cmp.Diff(Decision{}, Plan(e, k)); diff != "" {
		t.Error(diff)
	}
}

// TestMonthsDivideAnyPeriod checks what the grants of a line rest on: its months follow each other from its start to its end.
func TestMonthsDivideAnyPeriod(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		start := time.Unix(rapid.Int64Range(1_700_000_000, 2_000_000_000).Draw(t, "start"), 0).UTC()
		end := addMonths(start, 12)
		if rapid.Bool().Draw(t, "odd") {
			end = start.Add(time.Duration(rapid.Int64Range(1, 400*24*3600).Draw(t, "seconds")) * time.Second)
		}
		interval := rapid.SampledFrom([]catalogue.Interval{catalogue.Month, catalogue.Year}).Draw(t, "interval")
		got := months(Period{start, end}, interval)
		if len(got) > 12 || (interval == catalogue.Month && len(got) != 1) || (interval == catalogue.Year && end.Equal(addMonths(start, 12)) && len(got) != 12) {
			t.Fatalf("%d months", len(got))
		}
		next := start
		for n, m := range got {
			if !m.Start.Equal(next) || !m.Start.Before(m.End) {
				t.Fatalf("month %d from %v to %v, want it from %v", n, m.Start, m.End, next)
			}
			next = m.End
			if want := start.Day(); n > 0 && m.Start.Day() != want && m.Start.AddDate(0, 0, 1).Day() != 1 {
				t.Fatalf("month %d begins on %v, the first on day %d", n, m.Start, want)
			}
		}
		if !next.Equal(end) {
			t.Fatalf("they end at %v, want %v", next, end)
		}
	})
}

// TestAShareIsRoundedDown compares it with arithmetic that cannot overflow.
func TestAShareIsRoundedDown(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		credits := rapid.Int64Range(0, credit.MaxCredits).Draw(t, "credits")
		whole := rapid.Int64Range(1, 400*24*3600).Draw(t, "whole")
		part := rapid.Int64Range(0, whole).Draw(t, "part")
		want := new(big.Int).Mul(big.NewInt(credits), big.NewInt(part))
		want.Div(want, big.NewInt(whole))
		if got := share(credits, part, whole); got != want.Int64() {
			t.Fatalf("%d × %d ÷ %d = %d, want %d", credits, part, whole, got, want)
		}
	})
}
