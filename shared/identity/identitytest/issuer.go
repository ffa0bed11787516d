// Package identitytest is an OpenID Connect issuer for tests: it serves discovery and keys on loopback and signs
// whatever claims it is given. It holds no users and has no sign-in.
package identitytest

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Issuer is an issuer that lives as long as the test that made it. Every Issuer's first key has the id "key-1", so that
// one can forge another's tokens.
type Issuer struct {
	server *httptest.Server

	mu     sync.Mutex
	keys   []jose.JSONWebKey
	status int
	asked  int
}

// New starts an Issuer.
func New(tb testing.TB) *Issuer {
	tb.Helper()
	i := &Issuer{}
	i.Rotate(tb)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		i.answer(w, map[string]string{"issuer": i.URL(), "jwks_uri": i.URL() + "/keys"})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		i.mu.Lock()
		i.asked++
		set := jose.JSONWebKeySet{}
		for _, key := range i.keys {
			set.Keys = append(set.Keys, key.Public())
		}
		i.mu.Unlock()
		i.answer(w, set)
	})
	i.server = httptest.NewServer(mux)
	tb.Cleanup(i.server.Close)
	return i
}

// answer writes v, or the status that the issuer is to fail with.
func (i *Issuer) answer(w http.ResponseWriter, v any) {
	i.mu.Lock()
	status := i.status
	i.mu.Unlock()
	if status != 0 {
		http.Error(w, "told to fail", status)
		return
	}
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(body)
}

// URL is the issuer, as its tokens name it.
func (i *Issuer) URL() string { return i.server.URL }

// Fail makes the issuer answer everything with an HTTP status, until it is told 0.
func (i *Issuer) Fail(status int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.status = status
}

// Asked returns how often the keys were asked for.
func (i *Issuer) Asked() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked
}

// Rotate makes a new key, with which tokens are signed from now on; the keys before it are withdrawn.
func (i *Issuer) Rotate(tb testing.TB) {
	tb.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		tb.Fatalf("generate key: %v", err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	n := 1
	if len(i.keys) > 0 {
		if _, err := fmt.Sscanf(i.keys[0].KeyID, "key-%d", &n); err != nil {
			tb.Fatalf("key id %q: %v", i.keys[0].KeyID, err)
		}
		n++
	}
	i.keys = []jose.JSONWebKey{{Key: private, KeyID: fmt.Sprintf("key-%d", n), Algorithm: string(jose.RS256), Use: "sig"}}
}

// Token signs claims. To them are added the issuer, the time of issue and an expiry an hour away, unless claims has
// them; a claim of nil is left out.
func (i *Issuer) Token(tb testing.TB, claims map[string]any) string {
	tb.Helper()
	now := time.Now()
	all := map[string]any{"iss": i.URL(), "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	payload, err := json.Marshal(all)
	if err != nil {
		tb.Fatalf("encode claims %v: %v", claims, err)
	}
	i.mu.Lock()
	key := i.keys[0]
	i.mu.Unlock()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		tb.Fatalf("make signer: %v", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		tb.Fatalf("sign claims: %v", err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		tb.Fatalf("serialise token: %v", err)
	}
	return token
}

// Service returns a service account's token for an audience.
func (i *Issuer) Service(tb testing.TB, email, audience string) string {
	tb.Helper()
	return i.Token(tb, map[string]any{"sub": "account-" + email, "aud": audience, "email": email, "email_verified": true})
}
