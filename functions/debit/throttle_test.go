package debit

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/identity"
	"github.com/fluxori/ai-credits/shared/identity/identitytest"
	"github.com/fluxori/ai-credits/shared/throttle"
)

func TestAServiceThatAsksTooOftenIsToldToWaitOnEveryRoute(t *testing.T) {
	t.Parallel()
	issuer, accounts := identitytest.New(t), map[string]string{"eager": spender, "calm": operator}
	callers, err := identity.NewServices(identity.Source{Issuer: issuer.URL(), Audience: audience}, identity.Callers{
		{Email: spender, Roles: []identity.Role{identity.Spend}}, {Email: operator, Roles: []identity.Role{identity.Spend}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	gate, err := throttle.New(throttle.Options{PerSecond: 1, Burst: 2, Callers: 10, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	h := documented.Handler(t, (&handler{callers: callers, gate: gate}).router()) // with nothing else that a route could ask
	documented.SlowsDown(t, func(who, method, path string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader("{"))
		r.Header.Set("Authorization", "Bearer "+issuer.Service(t, accounts[who], audience))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}, func() { now = now.Add(time.Second) })
}
