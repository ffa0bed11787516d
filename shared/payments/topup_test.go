package payments

import (
	"encoding/json"
	"testing"
	"time"
)

// taxed is a charge with tax.
func taxed(amount int64, tax string) map[string]any {
	return map[string]any{
		"amount": amount, "metadata": map[string]any{"org_id": "acme", "reference": "CR-7F3K-9QX2", "top_up": "topup:acme:1", "tax": tax},
	}
}

// TestOnlyOurOwnTopUpsAreGrantedByTheirPayment: a checkout's and an invoice's payments succeed too, and other events tell of those.
func TestOnlyOurOwnTopUpsAreGrantedByTheirPayment(t *testing.T) {
	t.Parallel()
	purchase := Purchase{
		Reference: "CR-7F3K-9QX2", Org: "acme", Status: Created, TopUp: "topup:acme:1",
		Offer: Offer{Package: "credits-100", Credits: 100, Amount: 9900, Currency: "ZAR"},
	}
	ours := map[string]any{"org_id": "acme", "reference": "CR-7F3K-9QX2", "top_up": "topup:acme:1"}
	tests := []struct {
		name     string
		kind     string
		change   map[string]any
		purchase func(*Purchase)
		granted  int64
		doubt    Reason
		nothing  bool
	}{
		{name: "a top-up", kind: "payment_intent.succeeded", granted: 100},
		{name: "a top-up that failed", kind: "payment_intent.payment_failed"},
		{name: "a checkout's payment", kind: "payment_intent.succeeded", change: map[string]any{"metadata": map[string]any{"org_id": "acme", "reference": "CR-7F3K-9QX2"}}, nothing: true},
		{name: "an invoice's payment", kind: "payment_intent.succeeded", change: map[string]any{"invoice": "in_1"}, nothing: true},
		{name: "a top-up with tax", kind: "payment_intent.succeeded", change: taxed(11385, "1485"), purchase: func(p *Purchase) { p.Tax.Amount = 1485 }, granted: 100},
		{name: "less tax than was charged", kind: "payment_intent.succeeded", change: taxed(10900, "1000"), purchase: func(p *Purchase) { p.Tax.Amount = 1485 }, doubt: WrongAmount},
		{name: "a price that is called tax", kind: "payment_intent.succeeded", change: taxed(9900, "1485"), purchase: func(p *Purchase) { p.Tax.Amount = 1485 }, doubt: WrongAmount},
		{name: "another amount", kind: "payment_intent.succeeded", change: map[string]any{"amount": 9800}, doubt: WrongAmount},
		{name: "another currency", kind: "payment_intent.succeeded", change: map[string]any{"currency": "usd"}, doubt: WrongCurrency},
		{name: "another top-up's purchase", kind: "payment_intent.succeeded", purchase: func(p *Purchase) { p.TopUp = "topup:acme:2" }, doubt: WrongSession},
		{name: "a purchase with a checkout", kind: "payment_intent.succeeded", purchase: func(p *Purchase) { p.TopUp, p.Session = "", "cs_1" }, doubt: WrongSession},
		{name: "another organisation's purchase", kind: "payment_intent.succeeded", purchase: func(p *Purchase) { p.Org = "globex" }, doubt: WrongOrg},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			object := map[string]any{"id": "pi_1", "object": "payment_intent", "amount": 9900, "currency": "zar", "metadata": ours}
			for k, v := range tt.change {
				object[k] = v
			}
			data, err := json.Marshal(object)
			if err != nil {
				t.Fatal(err)
			}
			p := purchase
			if tt.purchase != nil {
				tt.purchase(&p)
			}
			e, err := Notice{ID: "evt_1", Type: tt.kind, At: time.Unix(1_772_000_000, 0), Object: data}.event()
			if err != nil {
				t.Fatal(err)
			}
			if tt.nothing != (e.Session == nil) {
				t.Fatalf("%+v", e)
			}
			d := Plan(e, Known{Now: time.Unix(1_772_000_000, 0).UTC(), Purchase: &p})
			var granted int64
			for _, g := range d.Grants {
				granted += g.Terms.Granted
				if g.Key.ID != "grant:pi_1" {
					t.Errorf("under %+v", g.Key)
				}
			}
			if granted != tt.granted || (d.Doubt == nil) != (tt.doubt == "") || d.Doubt != nil && d.Doubt.Reason != tt.doubt {
				t.Errorf("%+v, %+v", d, d.Doubt)
			}
			if tt.nothing != (d.Fact == nil && d.Doubt == nil) {
				t.Errorf("learnt %+v", d.Fact)
			}
		})
	}
}
