package payments

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/fluxori/ai-credits/shared/credit"
)

// noon is when the tests' events are looked at.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const reference = "CR-7F3K-9QX2"

// offered is the purchase of a package of 1,000 credits for R799.
func offered() *Purchase {
	return &Purchase{
		Reference: reference, Org: "acme", Status: Created, CreatedAt: noon.Add(-time.Hour), Session: "cs_1",
		Offer: Offer{Package: "credits-1000", Credits: 1000, Amount: 79900, Currency: "ZAR", PriceVersion: 1},
	}
}

// paidSession is its session once it is paid, with 15 % tax.
func paidSession() Session {
	return Session{
		ID: "cs_1", Mode: "payment", PaymentStatus: "paid", Reference: reference, Org: "acme", Payment: "pi_1", Currency: "zar",
		Total: 91885, Tax: 11985,
	}
}

func sessionEvent(eventType string, change func(*Session)) Event {
	s := paidSession()
	if change != nil {
		change(&s)
	}
	return Event{ID: "evt_" + eventType, Type: eventType, At: noon.Add(-time.Minute), Session: &s}
}

func unpaid(s *Session) { s.PaymentStatus = "unpaid" }

func TestASessionAsksFor(t *testing.T) {
	t.Parallel()
	other := func(change func(*Purchase)) *Purchase { p := offered(); change(p); return p }
	tests := []struct {
		name     string
		event    Event
		purchase *Purchase
		grants   int64 // credits
		payment  string
		status   Status // "" for no fact
		doubt    Reason
	}{
		{"credits when it is paid", sessionEvent(sessionCompleted, nil), offered(), 1000, "pi_1", Paid, ""},
		{"credits when the payment settles later", sessionEvent(sessionAsyncSucceeded, nil), offered(), 1000, "pi_1", Paid, ""},
		{"credits when it settles, though the snapshot is older", sessionEvent(sessionAsyncSucceeded, unpaid), offered(), 1000, "pi_1", Paid, ""},
		{"credits under the session's id when nothing was due", sessionEvent(sessionCompleted, func(s *Session) {
			s.PaymentStatus, s.Payment, s.Total, s.Tax = "no_payment_required", "", 0, 0
		}), other(func(p *Purchase) { p.Amount = 0 }), 1000, "cs_1", Paid, ""},
		{"credits though its checkout is not recorded yet", sessionEvent(sessionCompleted, nil), other(func(p *Purchase) { p.Session = "" }), 1000, "pi_1", Paid, ""},
		{"patience while it is unpaid", sessionEvent(sessionCompleted, unpaid), offered(), 0, "pi_1", Pending, ""},
		{"nothing when the payment fails", sessionEvent(sessionAsyncFailed, unpaid), offered(), 0, "pi_1", Failed, ""},
		{"nothing when it expires", sessionEvent(sessionExpired, func(s *Session) { s.PaymentStatus, s.Payment = "unpaid", "" }), offered(), 0, "", Expired, ""},
		{"nothing when it sells a subscription", sessionEvent(sessionCompleted, func(s *Session) { s.Mode = "subscription" }), nil, 0, "", "", ""},
		{"a person when no purchase has its reference", sessionEvent(sessionCompleted, nil), nil, 0, "", "", UnknownReference},
		{"a person when it names another organisation", sessionEvent(sessionCompleted, func(s *Session) { s.Org = "bravo" }), offered(), 0, "", "", WrongOrg},
		{"a person when it names none", sessionEvent(sessionCompleted, func(s *Session) { s.Org = "" }), offered(), 0, "", "", WrongOrg},
		{"a person when the purchase has another checkout", sessionEvent(sessionCompleted, func(s *Session) { s.ID = "cs_2" }), offered(), 0, "", "", WrongSession},
		{"a person when a cent is missing", sessionEvent(sessionCompleted, func(s *Session) { s.Total-- }), offered(), 0, "", "", WrongAmount},
		{"a person when a cent is too much", sessionEvent(sessionCompleted, func(s *Session) { s.Tax-- }), offered(), 0, "", "", WrongAmount},
		{"a person when it was paid in another currency", sessionEvent(sessionCompleted, func(s *Session) { s.Currency = "usd" }), offered(), 0, "", "", WrongCurrency},
		{"a person when its payment status is new to us", sessionEvent(sessionCompleted, func(s *Session) { s.PaymentStatus = "half" }), offered(), 0, "", "", Malformed},
		{"a person when the record offers nothing", sessionEvent(sessionCompleted, nil), other(func(p *Purchase) { p.Credits = 0 }), 0, "", "", Malformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := Plan(tt.event, Known{Now: noon, Purchase: tt.purchase})
			var want []credit.NewGrant
			if tt.grants > 0 {
				want = []credit.NewGrant{{
					Key:   credit.SystemKey("grant", tt.payment),
					Terms: credit.Terms{Source: credit.Purchase, Granted: tt.grants, EffectiveAt: noon, Payment: tt.payment},
					Actor: "stripe", Reason: "purchase " + reference, Announce: true,
				}}
			}
			if diff := cmp.Diff(want, d.Grants); diff != "" {
				t.Errorf("grants (-want +got):\n%s", diff)
			}
			if tt.grants > 0 && d.Org != "acme" {
				t.Errorf("they are granted to %q", d.Org)
			}
			switch {
			case tt.status == "" && d.Fact != nil:
				t.Errorf("the records learn %+v", d.Fact)
			case tt.status != "" && (d.Fact == nil || d.Fact.Status != tt.status || d.Fact.Payment != tt.payment):
				t.Errorf("the records learn %+v, want that payment %q is %s", d.Fact, tt.payment, tt.status)
			}
			checkDoubt(t, d, tt.doubt)
		})
	}
}

func checkDoubt(t *testing.T, d Decision, want Reason) {
	t.Helper()
	var got Reason
	if d.Doubt != nil {
		got = d.Doubt.Reason
	}
	if got != want {
		t.Errorf("doubt %q (%+v), want %q", got, d.Doubt, want)
	}
}

// TestOrderAndRepetitionDoNotChangeTheRecords applies what may be heard of one checkout in any order, any number of times.
func TestOrderAndRepetitionDoNotChangeTheRecords(t *testing.T) {
	t.Parallel()
	histories := map[string][]Event{
		"paid at once":             {sessionEvent(sessionCompleted, nil)},
		"paid later":               {sessionEvent(sessionCompleted, unpaid), sessionEvent(sessionAsyncSucceeded, nil)},
		"failed later":             {sessionEvent(sessionCompleted, unpaid), sessionEvent(sessionAsyncFailed, unpaid)},
		"expired":                  {sessionEvent(sessionExpired, func(s *Session) { unpaid(s); s.Payment = "" })},
		"failed, then paid at all": {sessionEvent(sessionCompleted, unpaid), sessionEvent(sessionAsyncFailed, unpaid), sessionEvent(sessionAsyncSucceeded, nil)},
	}
	want := map[string]Status{"paid at once": Paid, "paid later": Paid, "failed later": Failed, "expired": Expired, "failed, then paid at all": Paid}
	for name, events := range histories {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i := range events {
				events[i].At = noon.Add(time.Duration(i) * time.Second)
			}
			purchase, payment, grants := tell(events)
			if purchase.Status != want[name] || len(purchase.Timeline) != len(events) {
				t.Errorf("the purchase is %s after %d moments, want %s after %d", purchase.Status, len(purchase.Timeline), want[name], len(events))
			}
			if paid := want[name] == Paid; (len(grants) == 1) != paid || purchase.PaidAt.IsZero() == paid || (purchase.Grant != "") != paid {
				t.Errorf("grants %v, paid at %v, recorded as %q", grants, purchase.PaidAt, purchase.Grant)
			}
			rapid.Check(t, func(t *rapid.T) {
				shuffled := rapid.Permutation(append(slices.Clone(events), rapid.SliceOfN(rapid.SampledFrom(events), 0, 5).Draw(t, "again")...)).Draw(t, "order")
				gotPurchase, gotPayment, gotGrants := tell(shuffled)
				if diff := cmp.Diff(purchase, gotPurchase) + cmp.Diff(payment, gotPayment) + cmp.Diff(grants, gotGrants); diff != "" {
					t.Fatalf("another order makes a difference:\n%s", diff)
				}
			})
		})
	}
}

// tell applies events one after the other, as the receiver does.
func tell(events []Event) (Purchase, Payment, map[string]int64) {
	purchase, payment, grants := *offered(), Payment{}, map[string]int64{}
	for _, e := range events {
		d := Plan(e, Known{Now: noon, Purchase: &purchase})
		for _, g := range d.Grants {
			grants[g.Key.ID] = g.Terms.Granted
		}
		purchase = purchase.with(*d.Fact)
		if d.Fact.Payment != "" {
			payment = payment.with(*d.Fact)
		}
	}
	return purchase, payment, grants
}

func TestATimelineIsBoundedAndKeepsItsBeginning(t *testing.T) {
	t.Parallel()
	var p Purchase
	for n := range 3 * maxTimeline {
		p = p.with(Fact{Moment: Moment{At: noon.Add(-time.Duration(n) * time.Second), What: "seen"}})
	}
	if len(p.Timeline) != maxTimeline || !p.Timeline[0].At.Equal(noon.Add(-(3*maxTimeline-1)*time.Second)) {
		t.Errorf("%d moments from %v", len(p.Timeline), p.Timeline[0].At)
	}
}

func TestReferencesAreUnambiguousAndValid(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 2000 {
		r := NewReference()
		if !ValidReference(r) || seen[r] {
			t.Fatalf("reference %q, drawn before: %v", r, seen[r])
		}
		seen[r] = true
	}
	for _, s := range []string{"", "CR-7F3K9QX2", "CR-7F3K-9QX", "CR-7F3K-9QX22", "CR-7F3K-9QXO", "CR-7F3K-9QX1", "cr-7f3k-9qx2", "CR-7F3K/9QX2", "CR-7F/K-9QX2", "XX-7F3K-9QX2"} {
		if ValidReference(s) {
			t.Errorf("%q is taken for a reference", s)
		}
	}
}

// TestAPaymentOfAnotherPurchaseIsDoubted: one payment is granted once, so a second purchase with it would be taken for paid and get nothing.
func TestAPaymentOfAnotherPurchaseIsDoubted(t *testing.T) {
	t.Parallel()
	p := offered()
	for want, payment := range map[Reason]*Payment{
		"":           {ID: "pi_1", Org: p.Org, Reference: p.Reference, Amount: 91885},
		WrongPayment: {ID: "pi_1", Org: p.Org, Reference: "CR-2222-2222"},
	} {
		d := Plan(sessionEvent(sessionCompleted, nil), Known{Purchase: p, Payment: payment})
		if got := d.Doubt; (got == nil) != (want == "") || got != nil && (got.Reason != want || len(d.Grants) > 0 || d.Fact != nil) {
			t.Errorf("payment of %s: %+v, want %q", payment.Reference, d, want)
		}
	}
}

func TestOnlyDisputesInTheChargesCurrencyCount(t *testing.T) {
	t.Parallel()
	charge := Charge{ID: "ch_1", Payment: "pi_1", Currency: "zar", Amount: 79900}
	lost := func(id, currency string) Dispute {
		return Dispute{ID: id, Amount: 5000, Status: "lost", Currency: currency}
	}
	got := Returns{}.asked(reference, Account{Charge: charge, Disputes: []Dispute{lost("dp_1", "usd"), lost("dp_2", "zar")}}, noon)
	if len(got.Disputes) != 1 || got.Disputes[0].ID != "dp_2" || got.returned() != 5000 {
		t.Errorf("%+v", got)
	}
}
