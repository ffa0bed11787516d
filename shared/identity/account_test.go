package identity_test

import (
	"testing"

	"github.com/fluxori/ai-credits/shared/identity"
	"github.com/fluxori/ai-credits/shared/identity/identitytest"
)

func TestAnAccountLetsInItselfOnly(t *testing.T) {
	t.Parallel()
	issuer, other := identitytest.New(t), identitytest.New(t)
	a, err := identity.NewAccount(identity.Source{Issuer: issuer.URL(), Audience: debitAudience}, "Push@project.iam.gserviceaccount.com")
	if err != nil {
		t.Fatal(err)
	}
	const push = "push@project.iam.gserviceaccount.com"
	tests := []struct {
		name, header, code string
	}{
		{"the account", "Bearer " + issuer.Service(t, push, debitAudience), ""},
		{"another account", "Bearer " + issuer.Service(t, reports, debitAudience), "forbidden"},
		{"an address that is not verified", "Bearer " + issuer.Token(t, map[string]any{"sub": "1", "aud": debitAudience, "email": push, "email_verified": false}), "forbidden"},
		{"another audience", "Bearer " + issuer.Service(t, push, accountAudience), "unauthenticated"},
		{"another issuer", "Bearer " + other.Service(t, push, debitAudience), "unauthenticated"},
		{"no token", "", "unauthenticated"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var headers []string
			if tt.header != "" {
				headers = append(headers, tt.header)
			}
			if got := code(t, a.Authenticate(with(t, headers...))); got != tt.code {
				t.Errorf("%q, want %q", got, tt.code)
			}
		})
	}
}

func TestAnAccountNeedsAnAddress(t *testing.T) {
	t.Parallel()
	src := identity.Source{Issuer: "https://accounts.google.com", Audience: debitAudience}
	for _, email := range []string{"", "push", "@project", "push@"} {
		if _, err := identity.NewAccount(src, email); err == nil {
			t.Errorf("%q is taken", email)
		}
	}
}
