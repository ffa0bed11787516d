package account

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/payments"
)

func TestCyclesAreListedWithTheirStatements(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	s.register(t, "globex")
	id := s.subscribe(t, "acme", "price_starter_year_zar", stripestand.CardVisa, 0)
	other := s.subscribe(t, "globex", "price_starter_month_zar", stripestand.CardVisa, 0)
	if id == other {
		t.Fatal(id)
	}
	token := s.token(t, "acme-member")
	cycles := func(query string) []any {
		t.Helper()
		items, ok := s.must(t, token, http.MethodGet, "/orgs/acme/cycles"+query, "").body["items"].([]any)
		if !ok {
			t.Fatal("no items")
		}
		return items
	}
	if got := cycles(""); len(got) != 1 { // the other eleven of the year are still to begin
		t.Errorf("%v", got)
	}
	s.debit(t, "acme", "work", 120)
	s.advance(65 * 24 * time.Hour)
	closer, err := payments.NewCloser(s.receiver, s.ledger, unheard{})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{cycles("")[2].(map[string]any)["cycle_id"].(string), cycles("")[1].(map[string]any)["cycle_id"].(string)} { //nolint:forcetypeassert // the contract says so
		if err := closer.Close(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	statement := func(used float64) map[string]any {
		return map[string]any{"granted": 500.0, "used": used, "expired": 500 - used, "returned": 0.0, "held": 0.0, "bought": 0.0}
	}
	var want []any
	for m := 2; m >= 0; m-- {
		from := start.AddDate(0, m, 0)
		c := map[string]any{
			"cycle_id": fmt.Sprintf("%s_%d", id, from.Unix()), "subscription_id": id, "plan": "starter", "name": "Starter",
			"period": map[string]any{"start": from.Format(time.RFC3339), "end": from.AddDate(0, 1, 0).Format(time.RFC3339)},
		}
		if m < 2 {
			c["closed_at"], c["statement"] = s.now().Format(time.RFC3339), statement([]float64{120, 0}[m])
		}
		want = append(want, c)
	}
	var got []any
	for after, pages := "", 0; pages == 0 || after != ""; pages++ {
		page := s.must(t, token, http.MethodGet, "/orgs/acme/cycles?page_size=2&page_token="+after, "")
		got = append(got, page.body["items"].([]any)...)
		after = page.body["next_page_token"].(string)
	}
	if diff := cmp.Diff(want, floats(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// unheard takes what is published, and leads it nowhere.
type unheard struct{}

func (unheard) Publish(context.Context, []events.Message) error { return nil }
