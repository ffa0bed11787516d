package dashboard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/fluxori/ai-credits/shared/identity"
	"github.com/fluxori/ai-credits/shared/problem"
	"github.com/fluxori/ai-credits/shared/request"
)

// issuerTimeout bounds what is asked of the issuer for one request.
const issuerTimeout = 8 * time.Second

// paramMaxBytes bounds what the issuer's answer may bring back.
const paramMaxBytes = 2048

// signer is the OpenID Connect issuer. It is asked about itself at the first sign-in, and again until it has answered.
type signer struct {
	client *http.Client
	url    string

	mu       sync.Mutex
	provider *oidc.Provider
	// signOut is where people are signed out, or empty; scopes are what to ask for.
	signOut string
	scopes  []string
}

// about returns what the issuer says of itself.
func (i *signer) about(ctx context.Context) (*oidc.Provider, string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.provider != nil {
		return i.provider, i.signOut, nil
	}
	p, err := oidc.NewProvider(oidc.ClientContext(ctx, i.client), i.url)
	if err != nil {
		return nil, "", fmt.Errorf("ask issuer %s about itself: %w", i.url, err)
	}
	var more struct {
		SignOut string   `json:"end_session_endpoint"`
		Scopes  []string `json:"scopes_supported"`
	}
	if err := p.Claims(&more); err != nil {
		return nil, "", fmt.Errorf("read what issuer %s says of itself: %w", i.url, err)
	}
	i.provider, i.signOut, i.scopes = p, more.SignOut, []string{oidc.ScopeOpenID, "profile", "email"}
	if slices.Contains(more.Scopes, oidc.ScopeOfflineAccess) {
		i.scopes = append(i.scopes, oidc.ScopeOfflineAccess)
	}
	return i.provider, i.signOut, nil
}

// oauth is this dashboard as the issuer's client.
func (d *Dashboard) oauth(p *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{
		ClientID: d.opts.ClientID, ClientSecret: d.opts.ClientSecret, Endpoint: p.Endpoint(), RedirectURL: d.url + "/callback",
		Scopes: d.issuer.scopes,
	}
}

// beginSignIn sends a person to the issuer.
func (d *Dashboard) beginSignIn(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), issuerTimeout)
	defer cancel()
	p, _, err := d.issuer.about(ctx)
	if err != nil {
		d.signInFailed(w, r, err)
		return
	}
	s := signIn{
		State: secretText(), Nonce: secretText(), Verifier: oauth2.GenerateVerifier(), To: d.local(r.URL.Query().Get("to")),
		Ends: d.opts.MachineNow().Add(signInLife).Unix(),
	}
	if err := d.put(w, d.signIns, s, signInLife); err != nil {
		d.signInFailed(w, r, err)
		return
	}
	http.Redirect(w, r, d.oauth(p).AuthCodeURL(s.State, oidc.Nonce(s.Nonce), oauth2.S256ChallengeOption(s.Verifier)), http.StatusSeeOther)
}

// local is an address of these pages, or their first if what is asked for is none.
func (d *Dashboard) local(to string) string {
	if !strings.HasPrefix(to, d.base+"/") || len(to) > paramMaxBytes || strings.ContainsAny(to, "\\\r\n") || strings.Contains(to, "//") {
		return d.base + "/"
	}
	return to
}

// endSignIn takes the issuer's answer, and starts the session.
func (d *Dashboard) endSignIn(w http.ResponseWriter, r *http.Request) {
	var s signIn
	err := d.take(r, d.signIns, &s)
	d.drop(w, d.signIns)
	q := r.URL.Query()
	switch {
	case err != nil:
	case d.opts.MachineNow().Unix() >= s.Ends:
		err = errors.New("the sign-in took too long")
	case q.Get("state") != s.State:
		err = errors.New("the answer is not that of this sign-in")
	case q.Get("error") != "":
		err = fmt.Errorf("the issuer refuses: %q", q.Get("error"))
	case q.Has("iss") && q.Get("iss") != d.issuer.url:
		err = errors.New("the answer is another issuer's")
	case q.Get("code") == "" || len(q.Get("code")) > paramMaxBytes:
		err = errors.New("the answer has no code")
	}
	if err == nil {
		err = d.redeem(w, r, s, q.Get("code"))
	}
	if err != nil {
		d.signInFailed(w, r, err)
		return
	}
	http.Redirect(w, r, s.To, http.StatusSeeOther)
}

// redeem makes a code a session.
func (d *Dashboard) redeem(w http.ResponseWriter, r *http.Request, s signIn, code string) error {
	ctx, cancel := context.WithTimeout(oidc.ClientContext(r.Context(), d.issuer.client), issuerTimeout)
	defer cancel()
	p, _, err := d.issuer.about(ctx)
	if err != nil {
		return err
	}
	token, err := d.oauth(p).Exchange(ctx, code, oauth2.VerifierOption(s.Verifier))
	if err != nil {
		return fmt.Errorf("redeem the code: %w", err)
	}
	raw, _ := token.Extra("id_token").(string)
	who, verified, err := d.check(ctx, p, raw)
	if err != nil {
		return err
	}
	if verified.Nonce != s.Nonce {
		return errors.New("the ID token is not of this sign-in")
	}
	opened := session{Form: secretText(), Ends: d.opts.MachineNow().Add(sessionLife).Unix()}
	opened.take(who, verified, raw, token.RefreshToken)
	return d.keep(w, &opened)
}

// check is whom an ID token is of, as the API will know the person, and what the token says.
func (d *Dashboard) check(ctx context.Context, p *oidc.Provider, raw string) (identity.Person, *oidc.IDToken, error) {
	asked, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url, http.NoBody)
	if err != nil {
		return identity.Person{}, nil, fmt.Errorf("ask who signs in: %w", err)
	}
	asked.Header.Set("Authorization", "Bearer "+raw)
	who, err := d.opts.People.Authenticate(asked)
	if err != nil {
		return identity.Person{}, nil, fmt.Errorf("check who signs in: %w", err)
	}
	token, err := p.VerifierContext(ctx, &oidc.Config{ClientID: d.opts.ClientID, Now: d.opts.MachineNow}).Verify(ctx, raw)
	if err != nil {
		return identity.Person{}, nil, fmt.Errorf("check the ID token: %w", err)
	}
	return who, token, nil
}

// take makes a session that of a person with a token.
func (s *session) take(who identity.Person, token *oidc.IDToken, raw, refresh string) {
	s.IDToken, s.Refresh, s.Expires = raw, refresh, token.Expiry.Unix()
	s.Sub, s.Name, s.Support, s.Platform = who.Sub, cmp.Or(who.Name, who.Email, who.Sub), who.Support, who.Platform
}

// keep puts a session into its cookie. What may not fit is the refresh token: the session then ends sooner.
func (d *Dashboard) keep(w http.ResponseWriter, s *session) error {
	if err := d.put(w, d.sessions, s, sessionLife); err == nil {
		return nil
	}
	s.Refresh = ""
	return d.put(w, d.sessions, s, sessionLife)
}

// renew renews an ID token that ends soon. Whoever cannot be renewed stays signed in until the token's end.
func (d *Dashboard) renew(w http.ResponseWriter, r *http.Request, s *session) bool {
	now := d.opts.MachineNow()
	if s.Refresh == "" || now.Add(renewBefore).Unix() < s.Expires {
		return now.Unix() < s.Expires
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(r.Context(), d.issuer.client), issuerTimeout)
	defer cancel()
	err := d.renewWith(ctx, w, s)
	if err != nil {
		request.Logger(ctx).WarnContext(ctx, "a session was not renewed", slog.Any("error", err))
	}
	return err == nil || now.Unix() < s.Expires
}

func (d *Dashboard) renewWith(ctx context.Context, w http.ResponseWriter, s *session) error {
	p, _, err := d.issuer.about(ctx)
	if err != nil {
		return err
	}
	token, err := d.oauth(p).TokenSource(ctx, &oauth2.Token{RefreshToken: s.Refresh}).Token()
	if err != nil {
		return fmt.Errorf("renew the ID token: %w", err)
	}
	raw, _ := token.Extra("id_token").(string)
	who, checked, err := d.check(ctx, p, raw)
	if err != nil {
		return err
	}
	if who.Sub != s.Sub {
		return errors.New("the renewed token is somebody else's")
	}
	s.take(who, checked, raw, token.RefreshToken)
	return d.keep(w, s)
}

// signOut ends the session here, and at the issuer if it has a page for that.
func (d *Dashboard) signOut(w http.ResponseWriter, r *http.Request, v *visit) error {
	d.drop(w, d.sessions)
	ctx, cancel := context.WithTimeout(r.Context(), issuerTimeout)
	defer cancel()
	_, there, err := d.issuer.about(ctx)
	if err != nil {
		request.Logger(ctx).WarnContext(ctx, "a person was not signed out at the issuer", slog.Any("error", err))
	}
	if there == "" {
		http.Redirect(w, r, d.base+"/signedout", http.StatusSeeOther)
		return nil
	}
	q := url.Values{"id_token_hint": {v.session.IDToken}, "client_id": {d.opts.ClientID}, "post_logout_redirect_uri": {d.url + "/"}}
	http.Redirect(w, r, there+"?"+q.Encode(), http.StatusSeeOther)
	return nil
}

func (d *Dashboard) signInFailed(w http.ResponseWriter, r *http.Request, err error) {
	request.Logger(r.Context()).WarnContext(r.Context(), "a sign-in failed", slog.Any("error", err))
	d.Notice(w, r, statusOf(problem.InvalidRequest), Notice{Title: "You are not signed in", Text: "The sign-in did not work. Please try again.", Link: d.base + "/signin", LinkText: "Sign in"})
}
