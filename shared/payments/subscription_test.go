package payments

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// life is a subscription's true history: what it was after each change, and when that was told. Several changes may fall in one second.
type life struct {
	states []Subscription
	at     []time.Time
}

func drawLife(t *rapid.T) life {
	s := Subscription{
		ID: "sub_1", Org: "acme", Customer: "cus_1", Status: Active, Items: []Item{{ID: "si_0", Price: "price_starter_month_zar", Quantity: 1}},
		Period: january, Anchor: january.Start, CreatedAt: january.Start,
	}
	l := life{states: []Subscription{s}, at: []time.Time{january.Start}}
	for i := range rapid.IntRange(0, 8).Draw(t, "changes") {
		switch rapid.IntRange(0, 6).Draw(t, "what") {
		case 0:
			s.CancelAtPeriodEnd = !s.CancelAtPeriodEnd
		case 1:
			s.Status = rapid.SampledFrom([]SubscriptionStatus{Trialing, Active, PastDue, Paused, Canceled}).Draw(t, "status")
		case 2:
			s.Items = []Item{{ID: fmt.Sprint("si_", i), Price: "price_growth_month_zar", Quantity: 1}}
		case 3:
			s.Period = Period{s.Period.End, s.Period.End.AddDate(0, 1, 0)}
		case 4:
			s.Unbilled = !s.Unbilled
		case 5:
			s.Schedule, s.Change = fmt.Sprint("sub_sched_", i), &Change{At: s.Period.End, Items: []Item{{Price: "price_free_month_zar", Quantity: 1}}}
		case 6:
			s.Schedule, s.Change = "", nil
		}
		l.states = append(l.states, s)
		l.at = append(l.at, l.at[len(l.at)-1].Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "seconds"))*time.Second))
	}
	return l
}

// TestASubscriptionsEventsInAnyOrderComeToWhatStripeHas delivers the events of a history in any order, some more than once, and some before later
// things have happened. When all have come, what is known is what Stripe has.
func TestASubscriptionsEventsInAnyOrderComeToWhatStripeHas(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := drawLife(t)
		var order []int
		for i := range l.states {
			for range rapid.IntRange(1, 3).Draw(t, "times") {
				order = append(order, i)
			}
		}
		order = rapid.Permutation(order).Draw(t, "order")
		var known Subscription
		happened := 0 // what Stripe has come to when an event arrives
		for n, i := range order {
			happened = max(happened, i, rapid.IntRange(0, len(l.states)-1).Draw(t, "happened"))
			if n == len(order)-1 {
				happened = len(l.states) - 1
			}
			told := l.states[i]
			told.Change = nil // events name a schedule, and not its plans
			next, ask := known.merge(told, l.at[i])
			if ask {
				next = known.become(l.states[happened], l.at[happened])
			}
			if next.ID == "" {
				t.Fatalf("event %d made %+v", i, next)
			}
			known = next
		}
		last := len(l.states) - 1
		want := l.states[last]
		if !known.says(want) || want.Schedule != "" && !reflect.DeepEqual(known.Change, want.Change) || want.Schedule == "" && known.Change != nil {
			t.Fatalf("known  %+v\nstands %+v", known, want)
		}
		for _, i := range known.Items {
			if slices.Contains(known.Former, i.ID) {
				t.Fatalf("%s is and was an item: %+v", i.ID, known)
			}
		}
	})
}

func TestOlderNewsThatSayNothingNewChangeNothing(t *testing.T) {
	t.Parallel()
	s, ask := Subscription{}.merge(Subscription{ID: "sub_1", Status: Active, Period: january}, noon)
	if ask || s.AsOf != noon {
		t.Fatalf("%+v, %t", s, ask)
	}
	for _, at := range []time.Time{noon.Add(-time.Hour), noon, noon.Add(time.Hour)} {
		if next, ask := s.merge(Subscription{ID: "sub_1", Status: Active, Period: january}, at); ask || !reflect.DeepEqual(next, s) {
			t.Errorf("at %v: %+v, %t", at, next, ask)
		}
	}
	if next, ask := s.merge(Subscription{ID: "sub_1", Status: Canceled, Period: january}, noon); !ask || next.Status != Active {
		t.Errorf("of two of one second, the other is believed: %+v, %t", next, ask)
	}
}

func TestItemsThatAreGoneAreRememberedTheLatestOnes(t *testing.T) {
	t.Parallel()
	s := Subscription{ID: "sub_1"}
	for i := range maxFormer + 10 {
		s = s.become(Subscription{ID: "sub_1", Items: []Item{{ID: fmt.Sprint("si_", i)}}}, noon)
	}
	if len(s.Former) != maxFormer || s.Former[maxFormer-1] != fmt.Sprint("si_", maxFormer+8) || slices.Contains(s.Former, s.Items[0].ID) {
		t.Errorf("%v", s.Former)
	}
	if s = s.become(Subscription{ID: "sub_1", Items: []Item{{ID: "si_50"}}}, noon); slices.Contains(s.Former, "si_50") {
		t.Errorf("an item that is back is among those that are gone: %v", s.Former)
	}
}

func TestWhetherASubscriptionRenews(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		s    Subscription
		want bool
	}{
		{"active", Subscription{Status: Active}, true},
		{"trialing", Subscription{Status: Trialing}, true},
		{"past due", Subscription{Status: PastDue}, true},
		{"canceled", Subscription{Status: Canceled}, false},
		{"ends with its period", Subscription{Status: Active, CancelAtPeriodEnd: true}, false},
		{"ends with the next period", Subscription{Status: Active, CancelAtPeriodEnd: true, Period: february}, true},
		{"ends then", Subscription{Status: Active, EndsAt: january.End}, false},
		{"ends later", Subscription{Status: Active, EndsAt: february.End}, true},
		{"not billed", Subscription{Status: Active, Unbilled: true}, false},
		{"not billed until then", Subscription{Status: Active, Unbilled: true, ResumesAt: january.End}, true},
		{"not billed until later", Subscription{Status: Active, Unbilled: true, ResumesAt: february.End}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.s.ID = "sub_1"
			if tt.s.Period.End.IsZero() {
				tt.s.Period = january
			}
			if got := tt.s.renews(january.End); got != tt.want {
				t.Errorf("%t, want %t", got, tt.want)
			}
		})
	}
	if (Subscription{}).renews(january.End) {
		t.Error("a subscription that Stripe does not have renews")
	}
}

func TestTheWholePeriodOfAPart(t *testing.T) {
	t.Parallel()
	s := Subscription{Period: Period{date(2026, 3, 31), date(2026, 4, 30)}, Anchor: january.Start}
	leap := Subscription{Period: Period{date(2028, 3, 31), date(2028, 4, 30)}, Anchor: january.Start}
	tests := []struct {
		name   string
		of     Subscription
		part   Period
		months int
		stated []Period
		want   Period
		known  bool
	}{
		{"of the current one", s, Period{date(2026, 4, 3), date(2026, 4, 30)}, 1, nil, s.Period, true},
		{"of one that is stated", Subscription{}, upgraded, 1, []Period{february, january}, january, true},
		{"of one that ended, from the anchor", s, upgraded, 1, nil, january, true},
		{"of one between clamped days", s, Period{date(2026, 3, 1), date(2026, 3, 31)}, 1, nil, february, true},
		{"of a leap year's February", leap, Period{date(2028, 2, 3), date(2028, 2, 29)}, 1, nil, Period{date(2028, 1, 31), date(2028, 2, 29)}, true},
		{"of a year", s, Period{date(2026, 12, 15), theYear.End}, 12, nil, theYear, true},
		{"of no turn of the anchor", s, Period{date(2026, 2, 3), date(2026, 2, 27)}, 1, nil, Period{}, false},
		{"of no year from the anchor", s, Period{date(2026, 2, 3), date(2026, 3, 31)}, 12, nil, Period{}, false},
		{"of nothing that is known", Subscription{}, upgraded, 1, nil, Period{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, known := tt.of.periodEnding(tt.part, tt.months, tt.stated...)
			if known != tt.known || known && got != tt.want {
				t.Errorf("%v, %t", got, known)
			}
		})
	}
}

// TestAnInvoiceOpensItsCycles looks at what an invoice pays for beside the grants.
func TestAnInvoiceOpensItsCycles(t *testing.T) {
	t.Parallel()
	second := Line{ID: "il_2", Item: "si_2", Price: "price_growth_month_zar", Currency: "zar", Amount: 129900, Quantity: 1, Period: january}
	e, k := billed(january, line("il_1", "price_starter_month_zar", 39900, january), second)
	d := Plan(e, k)
	if len(d.Cycles) != 1 || d.Cycles[0].Plan != "starter" || !slices.Equal(d.Cycles[0].Items, []string{"si_1", "si_2"}) ||
		d.Cycles[0].Period != january || !d.Cycles[0].CloseAt.Equal(january.End.Add(grace)) || !d.PaidUntil.Equal(january.End) {
		t.Errorf("a month: %+v, paid until %v", d.Cycles, d.PaidUntil)
	}
	e, k = billed(theYear, line("il_1", "price_starter_year_zar", 399000, theYear))
	if d = Plan(e, k); len(d.Cycles) != 12 || d.Cycles[0].ID() == d.Cycles[1].ID() || !d.PaidUntil.Equal(theYear.End) {
		t.Errorf("a year: %d cycles, paid until %v", len(d.Cycles), d.PaidUntil)
	}
	e, k = billed(january, prorated(line("il_1", "price_starter_month_zar", -29925, upgraded)), prorated(line("il_2", "price_growth_month_zar", 97425, upgraded)))
	if d = Plan(e, k); len(d.Cycles) != 0 || !d.PaidUntil.IsZero() || !d.Grants[0].Prorated {
		t.Errorf("an upgrade: %+v", d)
	}
}
