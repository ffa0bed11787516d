package account

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
)

// BenchmarkRead reads over HTTP as a member of whom the function knows, and counts what Firestore is asked for.
func BenchmarkRead(b *testing.B) {
	for _, c := range []struct {
		name   string
		grants int
		path   string
	}{
		{"balance of 5 grants", 5, "/orgs/acme/balance"},
		{"balance of 1500 grants", 1500, "/orgs/acme/balance"},
		{"balance at a past moment", 5, "/orgs/acme/balance?at=2026-03-01T08:00:00Z"},
		{"50 entries", 60, "/orgs/acme/entries"},
		{"one entry", 5, "/orgs/acme/entries/" + credit.SystemKey("grant", "g1").Doc()},
		{"notifications, none", 1, "/orgs/acme/notifications"},
		{"alerts", 1, "/orgs/acme/alerts"},
		{"catalogue", 1, "/catalogue?country=ZA"},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := start(b)
			s.register(b, "acme")
			s.advance(time.Hour)
			for i := range c.grants {
				s.grant(b, "acme", fmt.Sprint("g", i), credit.Promotion, 10, s.now().Add(time.Duration(24+i)*time.Hour))
			}
			s.advance(time.Minute)
			token := s.token(b, "acme-member")
			s.must(b, token, http.MethodGet, c.path, "")
			s.Hooks.Reset()
			for b.Loop() {
				s.must(b, token, http.MethodGet, c.path, "")
			}
			counts := s.Hooks.Counts()
			var rpcs int64
			for _, n := range counts.RPCs {
				rpcs += n
			}
			b.ReportMetric(float64(rpcs)/float64(b.N), "RPCs/op")
			b.ReportMetric(float64(counts.Reads)/float64(b.N), "reads/op")
		})
	}
}
