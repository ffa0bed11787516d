package identity_test

import (
	"strings"
	"testing"

	"github.com/fluxori/ai-credits/shared/identity"
	"github.com/fluxori/ai-credits/shared/identity/identitytest"
)

func TestPeopleAreWhoTheirTokenSays(t *testing.T) {
	t.Parallel()
	issuer := identitytest.New(t)
	const prefix = "https://fluxori.example/"
	people, err := identity.NewPeople(identity.Source{Issuer: issuer.URL(), Audience: accountAudience}, prefix)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		claims map[string]any
		want   identity.Person
		code   string
	}{
		"member": {
			map[string]any{"sub": "auth0|7", "email": "thandi@example.com", "email_verified": true},
			identity.Person{Sub: "auth0|7", Email: "thandi@example.com", EmailVerified: true}, "",
		},
		"name":                      {map[string]any{"sub": "s", "name": "Thandi M."}, identity.Person{Sub: "s", Name: "Thandi M."}, ""},
		"name of another form":      {map[string]any{"sub": "s", "name": 7}, identity.Person{}, "unauthenticated"},
		"support":                   {map[string]any{"sub": "s", prefix + "support": true}, identity.Person{Sub: "s", Support: true}, ""},
		"platform":                  {map[string]any{"sub": "s", prefix + "platform": true}, identity.Person{Sub: "s", Platform: true}, ""},
		"claims of another prefix":  {map[string]any{"sub": "s", "support": true, "platform": true}, identity.Person{Sub: "s"}, ""},
		"claims that are not true":  {map[string]any{"sub": "s", prefix + "support": "true", prefix + "platform": 1}, identity.Person{Sub: "s"}, ""},
		"unverified address":        {map[string]any{"sub": "s", "email": "a@b", "email_verified": false}, identity.Person{Sub: "s", Email: "a@b"}, ""},
		"verified without address":  {map[string]any{"sub": "s", "email_verified": true}, identity.Person{Sub: "s"}, ""},
		"verified by text":          {map[string]any{"sub": "s", "email": "a@b", "email_verified": "true"}, identity.Person{Sub: "s", Email: "a@b"}, ""},
		"longest subject":           {map[string]any{"sub": strings.Repeat("s", 255)}, identity.Person{Sub: strings.Repeat("s", 255)}, ""},
		"no subject":                {map[string]any{}, identity.Person{}, "unauthenticated"},
		"subject too long":          {map[string]any{"sub": strings.Repeat("s", 256)}, identity.Person{}, "unauthenticated"},
		"subject with a line break": {map[string]any{"sub": "a\nb"}, identity.Person{}, "unauthenticated"},
		"subject beyond ASCII":      {map[string]any{"sub": "é"}, identity.Person{}, "unauthenticated"},
		"address of another form":   {map[string]any{"sub": "s", "email": 7}, identity.Person{}, "unauthenticated"},
		"another's audience":        {map[string]any{"sub": "s", "aud": debitAudience}, identity.Person{}, "unauthenticated"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, ok := c.claims["aud"]; !ok {
				c.claims["aud"] = accountAudience
			}
			token := issuer.Token(t, c.claims)
			for range 2 {
				got, err := people.Authenticate(with(t, "Bearer "+token))
				if got != c.want || code(t, err) != c.code {
					t.Errorf("Authenticate = %+v, %v, want %+v and code %q", got, err, c.want, c.code)
				}
			}
		})
	}
	if _, err := people.Authenticate(with(t)); code(t, err) != "unauthenticated" {
		t.Errorf("without a token: %v, want unauthenticated", err)
	}
}
