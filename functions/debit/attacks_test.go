package debit

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/identity/identitytest"
)

// good are bodies that each route takes, beside what names the organisation.
var good = map[string]string{
	"POST /{$}":                                    `{"event_id":"a","org_id":"acme","feature":"custom-query","credits":10}`,
	"POST /check":                                  `{"org_id":"acme","feature":"custom-query","credits":10}`,
	"POST /reverse":                                `{"event_id":"r","org_id":"acme","debit_event_id":"a","reason":"failed"}`,
	"POST /holds":                                  `{"event_id":"b","org_id":"acme","feature":"custom-query","credits":10}`,
	"POST /holds/{hold_id}/capture":                `{"credits":10}`,
	"POST /holds/{hold_id}/release":                `{}`,
	"POST /holds/{hold_id}/extend":                 `{"ttl_seconds":900}`,
	"PUT /features/{feature}/availability":         `{"available":true}`,
	"PUT /orgs/{org}/features/{feature}/readiness": `{"ready":true}`,
}

// TestNoRouteTakesWhatAnAttackerSends tries every route of the API document, as the caller that it is for: with tokens that are not good, bodies beyond
// the bound, and members that are not the caller's to set. Roles and organisations are in api_test.go.
func TestNoRouteTakesWhatAnAttackerSends(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.fund(t, "acme", 100)
	hold := s.place(t, "h", 20, 600)
	before := s.available(t, "acme")
	for _, c := range documented.Calls(map[string]string{"hold_id": hold, "feature": "bulk-pricing", "org": "acme"}) {
		account := map[string]string{"spend": spender, "operate": operator}[c.Route.Roles[0]]
		claims := func(name string, value any) map[string]any {
			out := map[string]any{"sub": "1", "aud": audience, "email": account, "email_verified": true}
			out[name] = value
			return out
		}
		token := s.issuer.Token(t, claims("iat", time.Now().Unix()))
		encoded := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
		body := fmt.Sprintf(`{"iss":%q,"aud":%q,"sub":"1","email":%q,"email_verified":true,"exp":%d}`, s.issuer.URL(), audience, account, time.Now().Add(time.Hour).Unix())
		signature := token[strings.LastIndex(token, "."):]
		path := strings.TrimSuffix(c.Path, "/")
		for what, bad := range map[string]string{
			"alg none":                      encoded(`{"alg":"none"}`) + "." + encoded(body) + ".",
			"alg none, with a signature":    encoded(`{"alg":"none"}`) + "." + encoded(body) + signature,
			"a shared secret's algorithm":   encoded(`{"alg":"HS256"}`) + "." + encoded(body) + signature,
			"another's key under that name": identitytest.New(t).Token(t, claims("iss", s.issuer.URL())),
			"expired":                       s.issuer.Token(t, claims("exp", time.Now().Add(-time.Hour).Unix())),
			"another issuer":                s.issuer.Token(t, claims("iss", "https://elsewhere.example")),
			"another audience":              s.issuer.Token(t, claims("aud", "https://europe-west4-test.cloudfunctions.net/usage")),
		} {
			if status, got := s.send(t, c.Method, path, "Bearer "+bad, strings.NewReader(good[c.Name])); status != http.StatusUnauthorized || got["code"] != "unauthenticated" {
				t.Errorf("%s, %s: %d %v", c.Name, what, status, got)
			}
		}
		if status, got := s.send(t, c.Method, path, "Bearer "+s.issuer.Token(t, claims("email_verified", false)), strings.NewReader(good[c.Name])); status != http.StatusForbidden {
			t.Errorf("%s, an address that is not verified: %d %v", c.Name, status, got)
		}
		if c.Route.Body == nil {
			continue
		}
		if _, known := good[c.Name]; !known {
			t.Errorf("%s has no good body here", c.Name)
			continue
		}
		if status, got := s.send(t, c.Method, path, "Bearer "+token, strings.NewReader(`{"x":"`+strings.Repeat("x", bodyMaxBytes)+`"}`)); status != http.StatusRequestEntityTooLarge || got["code"] != "too_large" {
			t.Errorf("%s, beyond the bound: %d %v", c.Name, status, got)
		}
		for _, member := range []string{`"actor":"x"`, `"usage":true`, `"balance":{"available":9}`, `"grant_id":"x"`, `"v":2`, `"at":"2020-01-01T00:00:00Z"`, `"role":"operate"`, `"limit":1`} {
			if status, got := s.send(t, c.Method, path, "Bearer "+token, strings.NewReader(strings.Replace("{"+member+","+good[c.Name][1:], ",}", "}", 1))); status != http.StatusBadRequest || got["code"] != "invalid_request" {
				t.Errorf("%s, also %s: %d %v", c.Name, member, status, got)
			}
		}
	}
	if after := s.available(t, "acme"); after != before {
		t.Errorf("%d are left of %d", after, before)
	}
}
