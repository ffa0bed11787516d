package reconcile

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
)

// ask asks Stripe's stand-in for an object.
func (w *world) ask(t testing.TB, path string) (status int, answer map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.stripe.URL+path, http.NoBody)
	check(t, err)
	req.Header.Set("Authorization", "Bearer sk_test_local")
	res, err := http.DefaultClient.Do(req)
	check(t, err)
	defer res.Body.Close()
	check(t, json.NewDecoder(res.Body).Decode(&answer))
	return res.StatusCode, answer
}

// fourDays are purchases, refunds, disputes and renewals within four days. The first purchase and the plans are from before.
func fourDays(t *testing.T, w *world, blocked bool) {
	t.Helper()
	first, old := w.buy(t, "acme")
	w.subscribe(t, "acme")
	w.subscribe(t, "globex")
	w.spend(t, "acme", "before", 120)
	w.wantCredits(t, "acme", 1380)
	w.pass(t, 29*day) // to 30 March, 8:00; the plans renew on 1 April
	if blocked {
		check(t, w.stand.WebhookMode(stripestand.ModeDrop))
	}
	_, second := w.buy(t, "acme")
	w.order(t, "globex") // whose checkout lapses
	later := w.order(t, "globex")
	check(t, w.stand.PayLater(w.sessions[later]))
	never := w.order(t, "globex")
	check(t, w.stand.PayLater(w.sessions[never]))
	w.pass(t, 12*time.Hour)
	_, err := w.stand.RefundPayment(old, 19900)
	check(t, err)
	w.pass(t, 24*time.Hour)
	_, err = w.stand.OpenDispute(second, stripestand.Dispute{})
	check(t, err)
	check(t, w.stand.SettleLater(w.sessions[later], true))
	check(t, w.stand.SettleLater(w.sessions[never], false))
	w.pass(t, 24*time.Hour)
	check(t, w.stand.CloseDispute(second, true))
	_, third := w.buy(t, "globex")
	_, err = w.stand.RefundPayment(third, 79900)
	check(t, err)
	w.pass(t, 36*time.Hour)
	if first != 0 || len(w.bought) != 6 {
		t.Fatalf("%d purchases", len(w.bought))
	}
}

// asOf are the moments of which something is known: of an event that comes in order its own, of one about which Stripe was asked that of the answer.
var asOf = regexp.MustCompile(`"(as_of|refunded_as_of)":"[^"]*",?`)

// state is what must be the same whether webhooks came or not: balances, what each grant was given and has, and the records, but for when we
// learnt of it. References are drawn at random; each stands under its number.
func (w *world) state(t *testing.T) map[string]any {
	t.Helper()
	out := map[string]any{}
	for _, org := range []string{"acme", "globex"} {
		b, err := w.ledger.Balance(t.Context(), org)
		check(t, err)
		out[org] = fmt.Sprint(b.Figures, b.BySource, b.Expiring)
		entries, err := w.ledger.Entries(t.Context(), org, time.Time{}, 200)
		check(t, err)
		for _, e := range entries {
			if e.Kind == credit.KindGrant {
				g := e.Born
				out["grant "+g.ID] = []any{e.Key.ID, g.Source, g.Granted, g.ExpiresAt, g.UsableUntil, g.Payment, g.Item}
			}
			if e.Kind == credit.KindExpiry {
				continue // a cycle's rest goes at the renewal, or at the end of its grace if the renewal is told later
			}
			for _, c := range e.Changes {
				n, _ := out["change of "+c.Grant].(int64)
				out["change of "+c.Grant] = n + c.Free + c.Held
			}
		}
	}
	for _, collection := range []string{"purchases", "payments", "stripeEvents", "quarantine"} {
		for id, d := range w.documents(t, collection) {
			for _, ours := range []string{"seen_at", "expire_at", "created_at"} {
				delete(d, ours)
			}
			out[collection+"/"+id] = d
		}
	}
	text, err := json.Marshal(out)
	check(t, err)
	text = asOf.ReplaceAll(text, nil)
	for i, reference := range w.bought {
		text = []byte(strings.ReplaceAll(string(text), reference, fmt.Sprint("purchase ", i)))
	}
	text = []byte(strings.ReplaceAll(string(text), w.stripe.URL, "stripe"))
	clear(out)
	check(t, json.Unmarshal(text, &out))
	return out
}

func TestFourDaysWithoutWebhooksEndAsIfTheyHadCome(t *testing.T) {
	t.Parallel()
	control, blocked := newWorld(t), newWorld(t)
	fourDays(t, control, false)
	fourDays(t, blocked, true)
	if diff := cmp.Diff(control.state(t), blocked.state(t)); diff == "" {
		t.Fatal("the webhooks made no difference")
	}
	wrote, answer := blocked.run(t)
	t.Logf("the first run wrote %d documents: %v", wrote, answer)
	if diff := cmp.Diff(control.state(t), blocked.state(t)); diff != "" {
		t.Errorf("with webhooks (-), and reconciled without (+):\n%s", diff)
	}
	if wrote, answer := blocked.run(t); wrote != 1 || answer["received"] != 0.0 {
		t.Errorf("the second run wrote %d documents: %v", wrote, answer)
	}
	if wrote, answer := control.run(t); wrote != 1 || answer["received"] != 0.0 {
		t.Errorf("a run that had nothing to find wrote %d documents: %v", wrote, answer)
	}
	for _, w := range []*world{control, blocked} {
		for _, org := range []string{"acme", "globex"} {
			check(t, w.ledger.Audit(t.Context(), org))
		}
	}
}

func TestRunsAtOnceHaveTheEffectOfOne(t *testing.T) {
	t.Parallel()
	control, blocked := newWorld(t), newWorld(t)
	fourDays(t, control, false)
	fourDays(t, blocked, true)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { blocked.Fire(t, "reconcile") })
	}
	all.Wait()
	blocked.run(t)
	if diff := cmp.Diff(control.state(t), blocked.state(t)); diff != "" {
		t.Errorf("with webhooks (-), and reconciled without (+):\n%s", diff)
	}
	if wrote, answer := blocked.run(t); wrote != 1 {
		t.Errorf("after that a run wrote %d documents: %v", wrote, answer)
	}
}
