package account

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/identity"
	"github.com/fluxori/ai-credits/shared/identity/identitytest"
	"github.com/fluxori/ai-credits/shared/throttle"
)

func TestWhoAsksTooOftenIsToldToWaitOnEveryRoute(t *testing.T) {
	t.Parallel()
	issuer := identitytest.New(t)
	people, err := identity.NewPeople(identity.Source{Issuer: issuer.URL(), Audience: audience}, "")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	gate, err := throttle.New(throttle.Options{PerSecond: 1, Burst: 2, Callers: 10, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	h := documented.Handler(t, (&handler{people: people, gate: gate}).router()) // with nothing else that a route could ask
	documented.SlowsDown(t, func(who, method, path string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, path+"?unknown=1", strings.NewReader("{}"))
		r.Header.Set("Authorization", "Bearer "+issuer.Token(t, map[string]any{"sub": who, "aud": audience}))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}, func() { now = now.Add(time.Second) })
}
