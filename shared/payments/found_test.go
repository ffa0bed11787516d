package payments

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

func TestASessionThatIsAskedForTells(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name                         string
		mode, state, payment, intent string
		withoutCharge                bool
		tells                        bool
		status                       Status
		doubt                        Reason
		at                           int64
	}{
		{name: "nothing while it is open", mode: "payment", state: "open", payment: "unpaid"},
		{name: "nothing while it is open, though a card was declined", mode: "payment", state: "open", payment: "unpaid", intent: "requires_payment_method"},
		{name: "nothing of a subscription", mode: "subscription", state: "complete", payment: "paid"},
		{name: "that it was paid, when it was charged", mode: "payment", state: "complete", payment: "paid", intent: "succeeded", tells: true, status: Paid, at: 2000},
		{name: "that it was paid, when it was made, for want of a charge", mode: "payment", state: "complete", payment: "paid", intent: "succeeded", withoutCharge: true, tells: true, status: Paid, at: 1000},
		{name: "that the money is on its way", mode: "payment", state: "complete", payment: "unpaid", intent: "processing", tells: true, status: Pending, at: 2000},
		{name: "that the money did not come", mode: "payment", state: "complete", payment: "unpaid", intent: "requires_payment_method", tells: true, status: Failed, at: 2000},
		{name: "that it was cancelled", mode: "payment", state: "complete", payment: "unpaid", intent: "canceled", tells: true, status: Failed, at: 2000},
		{name: "that it lapsed, when it did", mode: "payment", state: "expired", payment: "unpaid", tells: true, status: Expired, at: 3000},
		{name: "a person what is new to us", mode: "payment", state: "complete", payment: "half", intent: "succeeded", tells: true, doubt: Malformed, at: 2000},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			intent := `null`
			switch {
			case tt.intent != "" && tt.withoutCharge:
				intent = fmt.Sprintf(`{"id":"pi_1","object":"payment_intent","status":%q,"latest_charge":null}`, tt.intent)
			case tt.intent != "":
				intent = fmt.Sprintf(`{"id":"pi_1","object":"payment_intent","status":%q,"latest_charge":{"id":"ch_1","object":"charge","created":2000}}`, tt.intent)
			}
			object := fmt.Sprintf(`{"id":"cs_1","object":"checkout.session","mode":%q,"status":%q,"payment_status":%q,"created":1000,"expires_at":3000,"currency":"zar",`+
				`"amount_total":91885,"total_details":{"amount_tax":11985},"metadata":{"org_id":"acme","reference":%q},"payment_intent":%s}`,
				tt.mode, tt.state, tt.payment, reference, intent)
			n, tells, err := foundSession(t.Context(), nil, json.RawMessage(object))
			if err != nil || tells != tt.tells {
				t.Fatalf("tells %t, %v", tells, err)
			}
			if !tells {
				return
			}
			if want := time.Unix(tt.at, 0).UTC(); !n.At.Equal(want) || !validObjectID(n.ID) || !n.matters() {
				t.Errorf("it tells %s at %v, want %v", n.ID, n.At, want)
			}
			e, err := n.event()
			if err != nil {
				t.Fatal(err)
			}
			d := Plan(e, Known{Now: noon, Purchase: offered()})
			checkDoubt(t, d, tt.doubt)
			if tt.doubt == "" && (d.Fact == nil || d.Fact.Status != tt.status || (len(d.Grants) == 1) != (tt.status == Paid)) {
				t.Errorf("it asks for %+v", d)
			}
		})
	}
}

func TestWhatIsNoObjectOfStripesIsNotBelieved(t *testing.T) {
	t.Parallel()
	for _, src := range append([]source{eventSource}, swept...) {
		for _, object := range []string{`nothing`, `{}`, `{"id":"../x"}`, `{"id":7}`} {
			if n, tells, err := src.notice(t.Context(), nil, json.RawMessage(object)); err == nil || tells {
				t.Errorf("%s %s: %+v, %t, %v", src.name, object, n, tells, err)
			}
		}
	}
}
