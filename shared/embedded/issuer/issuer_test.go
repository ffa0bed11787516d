package issuer_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/fluxori/ai-credits/shared/embedded/issuer"
)

const callback = "http://app.example/callback"

// world is an issuer, and an application that signs people in with it through
// the client libraries that the system itself uses.
type world struct {
	*issuer.Issuer
	url      string
	skew     atomic.Int64 // seconds that the issuer's clock is ahead
	provider *oidc.Provider
	config   oauth2.Config
}

func newWorld(t *testing.T, change ...func(*issuer.Options)) *world {
	t.Helper()
	w := &world{}
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { handler.ServeHTTP(rw, r) }))
	t.Cleanup(server.Close)
	w.url = server.URL + "/oidc"
	opts := issuer.Options{
		URL: w.url,
		Now: func() time.Time { return time.Now().Add(time.Duration(w.skew.Load()) * time.Second) },
		Clients: []issuer.Client{
			{ID: "dashboard", Secret: "s3cret&", RedirectURIs: []string{callback}, SignedOutURIs: []string{"http://app.example/bye"}},
			{ID: "cli", RedirectURIs: []string{callback}},
		},
		People: []issuer.Person{
			{Subject: "ann", Name: "Ann Dlamini", Email: "ann@acme.example", Note: "administrator of Acme"},
			{Subject: "ben", Name: "Ben Botha", Email: "ben@acme.example", Unverified: true},
			{Subject: "sue", Name: "Sue", Email: "sue@fluxori.example", Claims: map[string]any{"support": true}},
		},
	}
	for _, f := range change {
		f(&opts)
	}
	var err error
	if w.Issuer, err = issuer.New(opts); err != nil {
		t.Fatal(err)
	}
	handler = http.StripPrefix("/oidc", w.Handler())
	if w.provider, err = oidc.NewProvider(t.Context(), w.url); err != nil {
		t.Fatal(err)
	}
	w.config = oauth2.Config{
		ClientID: "dashboard", ClientSecret: "s3cret&", RedirectURL: callback, Endpoint: w.provider.Endpoint(),
		Scopes: []string{oidc.ScopeOpenID, oidc.ScopeOfflineAccess, "email"},
	}
	return w
}

// browse submits a form, following no redirect.
func browse(ctx context.Context, t *testing.T, method, target string, form url.Values) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// code signs someone in and returns what the client's address was given.
func (w *world) code(t *testing.T, verifier string, who url.Values) url.Values {
	t.Helper()
	target := w.config.AuthCodeURL("state-1", oidc.Nonce("nonce-1"), oauth2.S256ChallengeOption(verifier))
	resp, _ := browse(t.Context(), t, http.MethodPost, target, who)
	if resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("signing in as %v: %s", who, resp.Status)
	}
	to, err := url.Parse(resp.Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	if got := to.Scheme + "://" + to.Host + to.Path; got != callback {
		t.Fatalf("sent to %s", got)
	}
	return to.Query()
}

// signIn does the whole flow.
func (w *world) signIn(t *testing.T, who url.Values) *oauth2.Token {
	t.Helper()
	verifier := oauth2.GenerateVerifier()
	token, err := w.config.Exchange(t.Context(), w.code(t, verifier, who).Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

type claims struct {
	Subject  string `json:"sub"`
	Name     string `json:"name"`
	Email    string `json:"email"`
	Verified bool   `json:"email_verified"`
	Support  bool   `json:"support"`
	AuthTime int64  `json:"auth_time"`
	AZP      string `json:"azp"`
}

func (w *world) verify(t *testing.T, raw, audience string) (*oidc.IDToken, claims) {
	t.Helper()
	id, err := w.provider.Verifier(&oidc.Config{ClientID: audience}).Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	var c claims
	if err := id.Claims(&c); err != nil {
		t.Fatal(err)
	}
	return id, c
}

func idToken(t *testing.T, token *oauth2.Token) string {
	t.Helper()
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		t.Fatal("the answer has no ID token")
	}
	return raw
}

func TestSignInWithCodeAndPKCE(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, algorithm string
		who             url.Values
		want            claims
	}{
		{"a listed person", "ES256", url.Values{"sub": {"ann"}},
			claims{Subject: "ann", Name: "Ann Dlamini", Email: "ann@acme.example", Verified: true}},
		{"with RS256", "RS256", url.Values{"sub": {"ann"}},
			claims{Subject: "ann", Name: "Ann Dlamini", Email: "ann@acme.example", Verified: true}},
		{"one whose address is not verified", "ES256", url.Values{"sub": {"ben"}},
			claims{Subject: "ben", Name: "Ben Botha", Email: "ben@acme.example"}},
		{"one with claims of their own", "ES256", url.Values{"sub": {"sue"}},
			claims{Subject: "sue", Name: "Sue", Email: "sue@fluxori.example", Verified: true, Support: true}},
		{"a listed person by address", "ES256", url.Values{"email": {"ANN@acme.example"}},
			claims{Subject: "ann", Name: "Ann Dlamini", Email: "ann@acme.example", Verified: true}},
		{"someone else", "ES256", url.Values{"email": {"zoe@new.example"}, "name": {"Zoe"}},
			claims{Subject: "u-e684f92aad790e77", Name: "Zoe", Email: "zoe@new.example", Verified: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(o *issuer.Options) { o.Algorithm = tt.algorithm })
			token := w.signIn(t, tt.who)
			id, got := w.verify(t, idToken(t, token), "dashboard")
			if id.Nonce != "nonce-1" {
				t.Errorf("nonce = %q", id.Nonce)
			}
			if got.AuthTime == 0 {
				t.Error("auth_time is missing")
			}
			got.AuthTime = 0
			if got != tt.want {
				t.Errorf("claims = %+v, want %+v", got, tt.want)
			}
			info, err := w.provider.UserInfo(t.Context(), oauth2.StaticTokenSource(token))
			if err != nil {
				t.Fatal(err)
			}
			if info.Subject != tt.want.Subject || info.Email != tt.want.Email || info.EmailVerified != tt.want.Verified {
				t.Errorf("user information = %+v", info)
			}
		})
	}
}

func TestCodeIsGoodOnceForWhatItWasMadeFor(t *testing.T) {
	t.Parallel()
	refused := func(t *testing.T, err error, code string) {
		t.Helper()
		var e *oauth2.RetrieveError
		if !errors.As(err, &e) || e.ErrorCode != code {
			t.Errorf("error = %v, want %s", err, code)
		}
	}
	w := newWorld(t)
	ann := url.Values{"sub": {"ann"}}
	verifier := oauth2.GenerateVerifier()
	exchange := func(c oauth2.Config, code, verifier string) error {
		_, err := c.Exchange(t.Context(), code, oauth2.VerifierOption(verifier))
		return err
	}
	answer := w.code(t, verifier, ann)
	if answer.Get("state") != "state-1" || answer.Get("iss") != w.url {
		t.Errorf("answer = %v", answer)
	}
	if err := exchange(w.config, answer.Get("code"), verifier); err != nil {
		t.Fatal(err)
	}
	refused(t, exchange(w.config, answer.Get("code"), verifier), "invalid_grant")
	refused(t, exchange(w.config, w.code(t, verifier, ann).Get("code"), oauth2.GenerateVerifier()), "invalid_grant")

	other := w.config
	other.ClientID, other.ClientSecret = "cli", ""
	refused(t, exchange(other, w.code(t, verifier, ann).Get("code"), verifier), "invalid_grant")
	other = w.config
	other.ClientSecret = "wrong"
	refused(t, exchange(other, w.code(t, verifier, ann).Get("code"), verifier), "invalid_client")
	other = w.config
	other.RedirectURL = "http://evil.example/"
	refused(t, exchange(other, w.code(t, verifier, ann).Get("code"), verifier), "invalid_grant")

	late := w.code(t, verifier, ann).Get("code")
	w.skew.Store(60)
	refused(t, exchange(w.config, late, verifier), "invalid_grant")
}

func TestAuthorisationRequestsWithDefects(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := func() url.Values {
		return url.Values{
			"client_id": {"dashboard"}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid"},
			"code_challenge": {"x"}, "code_challenge_method": {"S256"}, "state": {"s"},
		}
	}
	tests := []struct {
		name, param, value string
		want               string // the error that the client hears; none if it may not be trusted
	}{
		{"unknown client", "client_id", "nobody", ""},
		{"foreign address", "redirect_uri", "http://evil.example/", ""},
		{"implicit flow", "response_type", "token", "unsupported_response_type"},
		{"no openid", "scope", "email", "invalid_scope"},
		{"no PKCE", "code_challenge", "", "invalid_request"},
		{"plain PKCE", "code_challenge_method", "plain", "invalid_request"},
		{"without asking", "prompt", "none", "login_required"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			q := good()
			q.Set(tt.param, tt.value)
			resp, _ := browse(t.Context(), t, http.MethodGet, w.url+"/authorize?"+q.Encode(), nil)
			if tt.want == "" {
				if resp.StatusCode != http.StatusBadRequest {
					t.Errorf("status = %s", resp.Status)
				}
				return
			}
			to, err := url.Parse(resp.Header.Get("Location"))
			if err != nil {
				t.Fatal(err)
			}
			if to.Query().Get("error") != tt.want || to.Query().Get("state") != "s" {
				t.Errorf("sent to %s, want error %s", to, tt.want)
			}
		})
	}
}

func TestPageListsPeopleTheHintedFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	target := w.config.AuthCodeURL("s", oauth2.S256ChallengeOption("v"), oauth2.SetAuthURLParam("login_hint", "ben@acme.example"))
	_, body := browse(t.Context(), t, http.MethodGet, target, nil)
	ann, ben := strings.Index(body, "Ann Dlamini"), strings.Index(body, "Ben Botha")
	if ann < 0 || ben < 0 || ben > ann {
		t.Errorf("Ann at %d, Ben at %d", ann, ben)
	}
	resp, body := browse(t.Context(), t, http.MethodPost, target, url.Values{"email": {"not an address"}})
	if resp.StatusCode != http.StatusBadRequest || !strings.Contains(body, "is not an e-mail address") {
		t.Errorf("%s: %s", resp.Status, body)
	}
}

func TestRefreshTokenIsUsedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.signIn(t, url.Values{"sub": {"ann"}})
	refresh := func(token string) (*oauth2.Token, error) {
		return w.config.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token}).Token()
	}
	second, err := refresh(first.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	if id, c := w.verify(t, idToken(t, second), "dashboard"); c.Subject != "ann" || id.Nonce != "" {
		t.Errorf("renewed for %q with nonce %q", c.Subject, id.Nonce)
	}
	if _, err := refresh(first.RefreshToken); err == nil {
		t.Error("a refresh token was used twice")
	}
	w.skew.Store(int64(issuer.DefaultRefreshLife / time.Second))
	if _, err := refresh(second.RefreshToken); err == nil {
		t.Error("an expired refresh token was used")
	}
}

func TestWithoutOfflineAccessThereIsNoRefreshToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Scopes = []string{oidc.ScopeOpenID}
	if token := w.signIn(t, url.Values{"sub": {"ann"}}); token.RefreshToken != "" {
		t.Error("a refresh token was given")
	}
}

func TestSignOutEndsRefreshTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.signIn(t, url.Values{"sub": {"ann"}})
	q := url.Values{"id_token_hint": {idToken(t, token)}, "post_logout_redirect_uri": {"http://app.example/bye"}, "state": {"s"}}
	resp, _ := browse(t.Context(), t, http.MethodGet, w.url+"/end_session?"+q.Encode(), nil)
	if to := resp.Header.Get("Location"); !strings.HasPrefix(to, "http://app.example/bye?") || !strings.Contains(to, "state=s") {
		t.Errorf("sent to %q", to)
	}
	if _, err := w.config.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token(); err == nil {
		t.Error("a refresh token outlived the sign-out")
	}
	q.Set("post_logout_redirect_uri", "http://evil.example/")
	if resp, _ = browse(t.Context(), t, http.MethodGet, w.url+"/end_session?"+q.Encode(), nil); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("a foreign address: %s", resp.Status)
	}
}
