package issuer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	rsaBits = 2048
	// maxKeys bounds the keys published. Rotating more often than this within a
	// token's life makes its oldest tokens unverifiable.
	maxKeys = 8
)

// key is a signing key. retired is when it stopped signing.
type key struct {
	id      string
	private crypto.Signer
	retired time.Time
}

// Rotate makes a new signing key. The old one stays published until the last
// token that it signed has expired.
func (i *Issuer) Rotate() error {
	private, err := newPrivate(i.opts.Algorithm)
	if err != nil {
		return fmt.Errorf("issuer: making a key: %w", err)
	}
	now := i.opts.Now()
	i.mu.Lock()
	defer i.mu.Unlock()
	if n := len(i.keys); n > 0 {
		i.keys[n-1].retired = now
	}
	i.keys = slices.DeleteFunc(i.keys, func(k key) bool { return now.Sub(k.retired) > i.opts.TokenLife })
	i.keys = append(i.keys, key{id: rand.Text()[:16], private: private})
	if n := len(i.keys); n > maxKeys {
		i.keys = i.keys[n-maxKeys:]
	}
	return nil
}

func newPrivate(algorithm string) (crypto.Signer, error) {
	switch algorithm {
	case "ES256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "RS256":
		return rsa.GenerateKey(rand.Reader, rsaBits)
	default:
		return nil, fmt.Errorf("algorithm %q is neither ES256 nor RS256", algorithm)
	}
}

func (i *Issuer) published() jose.JSONWebKeySet {
	i.mu.Lock()
	defer i.mu.Unlock()
	var set jose.JSONWebKeySet
	for _, k := range i.keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{
			Key: k.private.Public(), KeyID: k.id, Algorithm: i.opts.Algorithm, Use: "sig",
		})
	}
	return set
}

func (i *Issuer) jwks(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, i.published())
}

// sign makes a token of a type ("JWT", "at+jwt") with the newest key.
func (i *Issuer) sign(kind string, claims map[string]any) (string, error) {
	i.mu.Lock()
	k := i.keys[len(i.keys)-1]
	i.mu.Unlock()
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.SignatureAlgorithm(i.opts.Algorithm), Key: jose.JSONWebKey{Key: k.private, KeyID: k.id}},
		(&jose.SignerOptions{}).WithType(jose.ContentType(kind)),
	)
	if err != nil {
		return "", fmt.Errorf("issuer: preparing to sign: %w", err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("issuer: encoding claims: %w", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("issuer: signing: %w", err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		return "", fmt.Errorf("issuer: serialising a token: %w", err)
	}
	return token, nil
}

// Mint signs an ID token with any claims. The issuer, the time of issue and
// the expiry are filled in where they are absent.
func (i *Issuer) Mint(claims map[string]any) (string, error) {
	now := i.opts.Now()
	all := map[string]any{"iss": i.opts.URL, "iat": now.Unix(), "exp": now.Add(i.opts.TokenLife).Unix()}
	maps.Copy(all, claims)
	return i.sign("JWT", all)
}

// PersonToken signs an ID token of a person for an audience.
func (i *Issuer) PersonToken(p Person, audience string) (string, error) {
	claims := p.claims()
	claims["aud"] = audience
	return i.Mint(claims)
}

// ServiceToken signs an ID token of a service account for an audience, with
// the claims that Google's tokens of service accounts carry.
func (i *Issuer) ServiceToken(email, audience string) (string, error) {
	id := subjectOf(email)
	return i.Mint(map[string]any{"aud": audience, "azp": id, "sub": id, "email": email, "email_verified": true})
}

func (p Person) claims() map[string]any {
	claims := map[string]any{"sub": p.Subject}
	if p.Name != "" {
		claims["name"] = p.Name
	}
	if p.Email != "" {
		claims["email"], claims["email_verified"] = p.Email, !p.Unverified
	}
	maps.Copy(claims, p.Claims)
	return claims
}

var errNotOurs = errors.New("the token is not one of this issuer's")

// open verifies a token of ours of a type and returns its claims. Expiry is
// the caller's to check.
func (i *Issuer) open(token, kind string) (map[string]any, jwt.Claims, error) {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(i.opts.Algorithm)})
	if err != nil {
		return nil, jwt.Claims{}, fmt.Errorf("%w: %w", errNotOurs, err)
	}
	if len(parsed.Headers) != 1 || parsed.Headers[0].ExtraHeaders[jose.HeaderType] != kind {
		return nil, jwt.Claims{}, fmt.Errorf("%w: it is not of type %s", errNotOurs, kind)
	}
	all, known := map[string]any{}, jwt.Claims{}
	set := i.published()
	if err := parsed.Claims(&set, &all, &known); err != nil {
		return nil, jwt.Claims{}, fmt.Errorf("%w: %w", errNotOurs, err)
	}
	if known.Issuer != i.opts.URL {
		return nil, jwt.Claims{}, fmt.Errorf("%w: its issuer is %q", errNotOurs, known.Issuer)
	}
	return all, known, nil
}
