package account

import (
	"net/http"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
)

// TestWhatHasNotChangedIsNotSentAgain asks for each conditional answer again with the tag that it had, before and after what changes it.
func TestWhatHasNotChangedIsNotSentAgain(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	s.grant(t, "acme", "pi_1", credit.Purchase, 500, time.Time{})
	s.grant(t, "acme", "in_1:il_1", credit.Subscription, 50, s.now().Add(time.Hour))
	s.debit(t, "acme", "d1", 10)
	token := s.token(t, "acme-member")
	tags := map[string]string{}
	get := func(path string) int {
		t.Helper()
		status, header, body := s.conditional(t, token, path, tags[path])
		tags[path] = header.Get("ETag")
		if (status == http.StatusNotModified) != (body == "") || tags[path] == "" || header.Get("Cache-Control") != "private, no-cache" || header.Get("Vary") != "Authorization" {
			t.Errorf("%s: %d %q %v", path, status, body, header)
		}
		return status
	}
	const now, past, entry, prices = "/orgs/acme/balance", "/orgs/acme/balance?at=2026-03-01T08:00:00Z", "/orgs/acme/entries/d1", "/catalogue"
	step := func(what string, do func(), changed ...string) {
		t.Helper()
		do()
		other := map[string]bool{}
		for _, path := range changed {
			other[path] = true
		}
		for _, path := range []string{now, past, entry, prices} {
			want := http.StatusNotModified
			if other[path] {
				want = http.StatusOK
			}
			if got := get(path); got != want {
				t.Errorf("%s: %s answers %d, want %d", what, path, got, want)
			}
		}
	}
	step("the first time", func() {}, now, past, entry, prices)
	step("at once", func() {})
	step("later", func() { s.advance(time.Minute) })
	step("after a debit", func() { s.debit(t, "acme", "d2", 10) }, now)
	step("after the subscription's end, by the clock alone", func() { s.advance(2 * time.Hour) }, now)
	step("after a freeze", func() { s.do(t, "acme", credit.FreezeWallet{Frozen: true, EventID: "f", Reason: "r"}) }, now)
	step("after a reversal whose credits expire at once", func() {
		s.do(t, "acme", credit.Reverse{EventID: "r1", Debit: "d1", Reason: "it failed"})
	}, entry)
	if status, _, _ := s.conditional(t, s.token(t, "stranger"), now, tags[now]); status != http.StatusNotFound {
		t.Errorf("a stranger with the right tag: %d", status)
	}
	if status, _, _ := s.conditional(t, token, prices+"?country=US", tags[prices]); status != http.StatusOK {
		t.Errorf("other prices under the tag of these: %d", status)
	}
	_, header, _ := s.conditional(t, "", "/openapi.json", "")
	if status, again, _ := s.conditional(t, "", "/openapi.json", header.Get("ETag")); status != http.StatusNotModified || again.Get("Cache-Control") != "public, max-age=300" {
		t.Errorf("the API document: %d %v", status, again)
	}
}

// conditional asks with a tag.
func (s *system) conditional(t *testing.T, token, path, tag string) (status int, header http.Header, body string) {
	t.Helper()
	return s.open(t, http.MethodGet, path, "", "Authorization", "Bearer "+token, "If-None-Match", tag)
}
