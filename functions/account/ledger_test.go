package account

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluxori/ai-credits/shared/credit"
)

func TestABalanceIsToldBySourceAndEnd(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	token := s.token(t, "acme-member")
	zero := func() map[string]any {
		return map[string]any{"subscription": 0.0, "promotion": 0.0, "referral": 0.0, "adjustment": 0.0, "purchase": 0.0}
	}
	want := map[string]any{
		"available": 0.0, "held": 0.0, "debt": 0.0, "frozen": 0.0, "wallet_frozen": false, "by_source": zero(), "expiring": []any{}, "as_of": "2026-03-01T08:00:00Z",
	}
	read := func() map[string]any {
		t.Helper()
		return s.must(t, token, http.MethodGet, "/orgs/acme/balance", "").body
	}
	if diff := cmp.Diff(want, read()); diff != "" {
		t.Errorf("at first: %s", diff)
	}
	s.advance(time.Minute)
	month := s.now().Add(30 * 24 * time.Hour)
	s.grant(t, "acme", "in_1:il_1", credit.Subscription, 500, month)
	s.grant(t, "acme", "pi_1", credit.Purchase, 300, time.Time{})
	s.debit(t, "acme", "d1", 200)
	s.advance(time.Minute)
	sources := zero()
	sources["subscription"], sources["purchase"] = 300.0, 300.0
	want["available"], want["by_source"], want["as_of"] = 600.0, sources, "2026-03-01T08:02:00Z"
	want["expiring"] = []any{map[string]any{"at": "2026-03-31T08:01:00Z", "credits": 300.0}}
	if diff := cmp.Diff(want, read()); diff != "" {
		t.Errorf("with credits: %s", diff)
	}
	// The cycle has ended; no job has run.
	s.advance(30 * 24 * time.Hour)
	sources["subscription"] = 0.0
	want["available"], want["as_of"], want["expiring"] = 300.0, "2026-03-31T08:02:00Z", []any{}
	if diff := cmp.Diff(want, read()); diff != "" {
		t.Errorf("after the cycle: %s", diff)
	}
	past := s.must(t, token, http.MethodGet, "/orgs/acme/balance?at=2026-03-31T10:00:59%2B02:00", "").body
	if diff := cmp.Diff(map[string]any{"available": 600.0, "held": 0.0, "debt": 0.0, "as_of": "2026-03-31T08:00:59Z"}, past); diff != "" {
		t.Errorf("a second before the end: %s", diff)
	}
}

// TestABalanceAtEachEntrysTimeIsItsRunningFigures asks over HTTP along a history of every kind of entry that a wallet can have without holds.
func TestABalanceAtEachEntrysTimeIsItsRunningFigures(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	token := s.token(t, "acme-member")
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 60 {
		s.advance(time.Duration(1+rnd.Int64N(5000)) * time.Second)
		switch id, n := fmt.Sprint("e", i), 1+rnd.Int64N(40); rnd.IntN(6) {
		case 0:
			s.grant(t, "acme", id, credit.Purchase, n, time.Time{})
		case 1:
			s.grant(t, "acme", id, credit.Promotion, 20*n, s.now().Add(2*time.Hour))
		case 2:
			s.do(t, "acme", credit.FreezeWallet{Frozen: rnd.IntN(2) == 0})
		default: // usage takes what there is, and the rest is debt
			s.do(t, "acme", credit.Debit{EventID: id, Credits: n, Usage: true, Work: credit.Work{Feature: "custom-query", PriceVersion: 1}})
		}
	}
	entries := s.walk(t, token, "/orgs/acme/entries", 7)
	if len(entries) < 60 {
		t.Fatalf("%d entries", len(entries))
	}
	kinds := map[any]bool{}
	for i, e := range entries {
		kinds[e["kind"]] = true
		if got := number(e["seq"]); got != int64(len(entries)-i) {
			t.Fatalf("item %d has number %d of %d", i, got, len(entries))
		}
		at, _ := e["at"].(string)
		got := s.must(t, token, http.MethodGet, "/orgs/acme/balance?at="+url.QueryEscape(at), "").body
		want, _ := e["after"].(map[string]any)
		want["as_of"] = at
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("at entry %v: %s", e["seq"], diff)
		}
	}
	for _, kind := range []credit.Kind{credit.KindGrant, credit.KindDebit, credit.KindExpiry, credit.KindRepayment, credit.KindFreeze} {
		if !kinds[string(kind)] {
			t.Errorf("the history has no %s, only %v", kind, kinds)
		}
	}
}

func TestPagesStayWholeWhileEntriesAreAdded(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	s.grant(t, "acme", "pi_1", credit.Purchase, 1000, time.Time{})
	for i := range 120 {
		s.debit(t, "acme", fmt.Sprint("d", i), 1)
	}
	token := s.token(t, "acme-member")
	seen := map[int64]bool{}
	page, sizes := "", []int{}
	for range 10 {
		got := s.must(t, token, http.MethodGet, "/orgs/acme/entries?page_token="+page, "").body
		items, _ := got["items"].([]any)
		sizes = append(sizes, len(items))
		for _, item := range items {
			e, _ := item.(map[string]any)
			if seen[number(e["seq"])] {
				t.Errorf("entry %v is told twice", e["seq"])
			}
			if _, ok := e["changes"]; ok {
				t.Error("a list tells changes, of which there may be thousands")
			}
			seen[number(e["seq"])] = true
		}
		s.debit(t, "acme", fmt.Sprint("later", len(sizes)), 1)
		if page, _ = got["next_page_token"].(string); page == "" {
			break
		}
	}
	if diff := cmp.Diff([]int{50, 50, 21}, sizes); diff != "" || len(seen) != 121 {
		t.Errorf("%d entries in pages of %v", len(seen), sizes)
	}
}

func TestAnEntryIsFoundByItsIDOrTheCallersEventID(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	s.register(t, "globex")
	end := s.now().Add(time.Hour)
	s.grant(t, "acme", "promo", credit.Promotion, 30, end)
	s.grant(t, "acme", "pi_1", credit.Purchase, 100, time.Time{})
	ids := []string{"plain", "a/b c?&#%", "é\u2028", "..", credit.CallerKey("plain").Doc() + "x"}
	for _, id := range ids {
		s.debit(t, "acme", id, 11)
	}
	token := s.token(t, "acme-member")
	for _, id := range ids {
		byEvent := s.must(t, token, http.MethodGet, "/orgs/acme/entries/"+escaped(id), "")
		byID := s.must(t, token, http.MethodGet, "/orgs/acme/entries/"+credit.CallerKey(id).Doc(), "")
		if byEvent.raw != byID.raw || byEvent.body["event_id"] != id || byEvent.body["kind"] != "debit" || number(byEvent.body["credits"]) != 11 {
			t.Errorf("%q: %s, by its own id %s", id, byEvent.raw, byID.raw)
		}
	}
	third := s.must(t, token, http.MethodGet, "/orgs/acme/entries/"+escaped(ids[2]), "").body
	want := []any{
		map[string]any{"grant_id": credit.GrantID(credit.SystemKey("grant", "promo")), "source": "promotion", "free": -8.0, "held": 0.0},
		map[string]any{"grant_id": credit.GrantID(credit.SystemKey("grant", "pi_1")), "source": "purchase", "free": -3.0, "held": 0.0},
	}
	if diff := cmp.Diff(want, third["changes"]); diff != "" {
		t.Errorf("a debit across two grants: %s", diff)
	}
	system := s.must(t, token, http.MethodGet, "/orgs/acme/entries/"+credit.SystemKey("grant", "pi_1").Doc(), "").body
	if system["key"] != "grant:pi_1" || system["event_id"] != nil || system["kind"] != "grant" {
		t.Errorf("an entry of the system's own: %v", system)
	}
	// What is another organisation's is not there.
	for _, id := range []string{"plain", credit.CallerKey("plain").Doc()} {
		if got := s.call(t, s.token(t, "globex-admin"), http.MethodGet, "/orgs/globex/entries/"+id, ""); got.code() != "not_found" {
			t.Errorf("%s: %d %s", id, got.status, got.raw)
		}
	}
}

// escaped is an id as one segment of a path.
func escaped(id string) string {
	if id == ".." {
		return "%2E%2E"
	}
	return url.PathEscape(id)
}
