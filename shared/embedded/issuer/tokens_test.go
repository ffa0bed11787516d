package issuer_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/fluxori/ai-credits/shared/embedded/issuer"
)

func TestTokensVerifyAcrossRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old, err := w.PersonToken(issuer.Person{Subject: "ann"}, "account")
	if err != nil {
		t.Fatal(err)
	}
	w.verify(t, old, "account") // the verifier has read the first key alone
	if err := w.Rotate(); err != nil {
		t.Fatal(err)
	}
	fresh, err := w.PersonToken(issuer.Person{Subject: "ann"}, "account")
	if err != nil {
		t.Fatal(err)
	}
	w.verify(t, fresh, "account")
	w.verify(t, old, "account")
}

func TestKeysAreUnpublishedOnceTheirTokensExpired(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	count := func() int {
		_, body := browse(t.Context(), t, http.MethodGet, w.url+"/jwks", nil)
		return strings.Count(body, `"kid"`)
	}
	for step, want := range []int{2, 3} {
		if err := w.Rotate(); err != nil {
			t.Fatal(err)
		}
		if got := count(); got != want {
			t.Errorf("after rotation %d: %d keys, want %d", step+1, got, want)
		}
	}
	w.skew.Store(int64(issuer.DefaultTokenLife/time.Second) + 1)
	if err := w.Rotate(); err != nil {
		t.Fatal(err)
	}
	if got := count(); got != 2 {
		t.Errorf("after a token's life: %d keys, want 2", got)
	}
}

func TestServiceTokenCarriesGooglesClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const email = "pricing@fluxori.iam.gserviceaccount.com"
	raw, err := w.ServiceToken(email, "https://debit.example")
	if err != nil {
		t.Fatal(err)
	}
	_, c := w.verify(t, raw, "https://debit.example")
	if c.Email != email || !c.Verified || c.Subject == "" || c.AZP != c.Subject {
		t.Errorf("claims = %+v", c)
	}
}

func TestMintedClaimsWin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	raw, err := w.Mint(map[string]any{"sub": "x", "aud": "a", "exp": time.Now().Add(-time.Minute).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	var expired *oidc.TokenExpiredError
	if _, err := w.provider.Verifier(&oidc.Config{ClientID: "a"}).Verify(t.Context(), raw); !errors.As(err, &expired) {
		t.Errorf("error = %v, want an expired token", err)
	}
}

func TestAccessTokenAndIDTokenDoNotPassForEachOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.signIn(t, url.Values{"sub": {"ann"}})
	if _, err := w.provider.Verifier(&oidc.Config{ClientID: "dashboard"}).Verify(t.Context(), token.AccessToken); err == nil {
		t.Error("an access token passed for an ID token")
	}
	source := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: idToken(t, token)})
	if _, err := w.provider.UserInfo(t.Context(), source); err == nil {
		t.Error("an ID token passed for an access token")
	}
	w.skew.Store(int64(issuer.DefaultTokenLife / time.Second))
	if _, err := w.provider.UserInfo(t.Context(), oauth2.StaticTokenSource(token)); err == nil {
		t.Error("an expired access token was accepted")
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]issuer.Options{
		"no URL":                  {},
		"a slash at the end":      {URL: "http://x/"},
		"an unknown algorithm":    {URL: "http://x", Algorithm: "HS256"},
		"a client without a way":  {URL: "http://x", Clients: []issuer.Client{{ID: "a"}}},
		"a person without a name": {URL: "http://x", People: []issuer.Person{{Name: "Ann"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := issuer.New(opts); err == nil {
				t.Error("it was made")
			}
		})
	}
}
