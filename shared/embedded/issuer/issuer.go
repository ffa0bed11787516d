// Package issuer is an OpenID Connect issuer that runs in the process of the
// local runner and of tests: discovery, keys that rotate, the authorisation
// code flow with PKCE behind a page that asks "sign in as whom?", refresh
// tokens, user information and sign-out.
//
// Invariants:
//
//   - A code is used once, within its life, by the client, redirect address and
//     PKCE verifier that it was made for.
//   - A refresh token is used once; each use gives the next one.
//   - A token verifies for its whole life, whatever keys were made since.
//   - Codes, refresh tokens and keys are bounded in number; the oldest go first.
//
// The package knows no passwords: whoever reaches the page may be anyone. It
// must listen on loopback only. It does not own organisations, members or
// roles; what a token says beyond the standard claims is the caller's.
//
// Tokens are dated by the machine's clock, never by the system's.
package issuer

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Default lives.
const (
	DefaultTokenLife   = time.Hour
	DefaultRefreshLife = 30 * 24 * time.Hour
	codeLife           = time.Minute
)

const (
	maxCodes     = 1000
	maxRefreshes = 10_000
)

// Person is someone whom the page offers to sign in as.
type Person struct {
	Subject, Name, Email string
	// Unverified makes email_verified false.
	Unverified bool
	// Note is shown on the page, such as "administrator of Acme".
	Note string
	// Claims are added to the person's ID tokens.
	Claims map[string]any
}

// Client is an application that may ask for tokens.
type Client struct {
	ID string
	// Secret is empty for a public client, which PKCE alone protects.
	Secret string
	// RedirectURIs lists the addresses that codes may be sent to.
	RedirectURIs []string
	// SignedOutURIs lists the addresses to return to after sign-out.
	SignedOutURIs []string
}

// Options configure an Issuer.
type Options struct {
	// URL is the issuer's identifier and where Handler is served, without a
	// slash at the end. Required.
	URL     string
	Clients []Client
	People  []Person
	// Algorithm is ES256 (the default) or RS256.
	Algorithm string
	// TokenLife is the life of ID and access tokens. Default 1 h.
	TokenLife time.Duration
	// RefreshLife is the life of a refresh token. Default 30 days.
	RefreshLife time.Duration
	// Now is the clock of the tokens. Default the machine's.
	Now func() time.Time
}

// Issuer issues tokens. Its methods are safe for concurrent use.
type Issuer struct {
	opts Options

	mu        sync.Mutex
	keys      []key // the newest last; it signs
	codes     pool[grant]
	refreshes pool[grant]
}

// grant is what a code or a refresh token stands for.
type grant struct {
	client, redirect, nonce, challenge, scope string
	person                                    Person
	signedInAt, expires                       time.Time
}

// New makes an issuer with its first key.
func New(opts Options) (*Issuer, error) {
	if opts.URL == "" || strings.HasSuffix(opts.URL, "/") {
		return nil, fmt.Errorf("issuer: the URL %q is empty or ends in a slash", opts.URL)
	}
	if opts.Algorithm == "" {
		opts.Algorithm = "ES256"
	}
	if opts.TokenLife == 0 {
		opts.TokenLife = DefaultTokenLife
	}
	if opts.RefreshLife == 0 {
		opts.RefreshLife = DefaultRefreshLife
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	for _, c := range opts.Clients {
		if c.ID == "" || len(c.RedirectURIs) == 0 {
			return nil, errors.New("issuer: a client needs an id and a redirect address")
		}
	}
	for _, p := range opts.People {
		if p.Subject == "" {
			return nil, errors.New("issuer: a person needs a subject")
		}
	}
	i := &Issuer{
		opts:  opts,
		codes: pool[grant]{limit: maxCodes}, refreshes: pool[grant]{limit: maxRefreshes},
	}
	return i, i.Rotate()
}

// Handler serves the issuer's endpoints. The caller mounts it at the issuer's
// URL, with the URL's path stripped.
func (i *Issuer) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.discovery)
	mux.HandleFunc("GET /jwks", i.jwks)
	mux.HandleFunc("GET /authorize", i.showSignIn)
	mux.HandleFunc("POST /authorize", i.signIn)
	mux.HandleFunc("POST /token", i.token)
	mux.HandleFunc("GET /userinfo", i.userinfo)
	mux.HandleFunc("POST /userinfo", i.userinfo)
	mux.HandleFunc("GET /end_session", i.endSession)
	mux.HandleFunc("POST /end_session", i.endSession)
	return mux
}

func (i *Issuer) discovery(w http.ResponseWriter, _ *http.Request) {
	url := i.opts.URL
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                                url,
		"authorization_endpoint":                url + "/authorize",
		"token_endpoint":                        url + "/token",
		"userinfo_endpoint":                     url + "/userinfo",
		"end_session_endpoint":                  url + "/end_session",
		"jwks_uri":                              url + "/jwks",
		"response_types_supported":              []string{"code"},
		"response_modes_supported":              []string{"query"},
		"grant_types_supported":                 []string{"authorization_code", "refresh_token"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{i.opts.Algorithm},
		"scopes_supported":                      []string{"openid", "profile", "email", "offline_access"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post", "none"},
		"code_challenge_methods_supported":      []string{"S256"},
		"claims_supported": []string{
			"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "name", "email", "email_verified",
		},
		"authorization_response_iss_parameter_supported": true,
	})
}

func (i *Issuer) client(id string) (Client, bool) {
	at := slices.IndexFunc(i.opts.Clients, func(c Client) bool { return c.ID == id })
	if at < 0 {
		return Client{}, false
	}
	return i.opts.Clients[at], true
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(body)
}

// pool keeps values under random names, each taken once, the oldest dropped
// when it is full.
type pool[T any] struct {
	limit int
	byKey map[string]T
	order []string
}

func (p *pool[T]) put(name string, v T) {
	if p.byKey == nil {
		p.byKey = map[string]T{}
	}
	for len(p.order) >= p.limit {
		delete(p.byKey, p.order[0])
		p.order = p.order[1:]
	}
	p.byKey[name] = v
	p.order = append(p.order, name)
}

func (p *pool[T]) take(name string) (T, bool) {
	v, ok := p.byKey[name]
	if ok {
		p.drop(func(n string, _ T) bool { return n == name })
	}
	return v, ok
}

// drop forgets the values that match.
func (p *pool[T]) drop(matches func(name string, v T) bool) {
	p.order = slices.DeleteFunc(p.order, func(name string) bool {
		if !matches(name, p.byKey[name]) {
			return false
		}
		delete(p.byKey, name)
		return true
	})
}
