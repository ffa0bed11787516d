package identity

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/fluxori/ai-credits/shared/lru"
)

// tokens checks ID tokens of one issuer for one audience, and reads each as a T.
type tokens[T any] struct {
	issuer string
	config *oidc.Config
	keys   *keySet
	read   func(*oidc.IDToken) (T, error)
	now    func() time.Time
	cache  *lru.Cache[[sha256.Size]byte, checked[T]]
}

// checked is a token that was found good.
type checked[T any] struct {
	bearer T
	expiry time.Time
}

// newTokens returns a tokens for src whose bearers are what read makes of a good token.
func newTokens[T any](src Source, read func(*oidc.IDToken) (T, error)) (*tokens[T], error) {
	if err := src.check(); err != nil {
		return nil, fmt.Errorf("token source: %w", err)
	}
	if src.Now == nil {
		src.Now = time.Now
	}
	if src.CacheMax == 0 {
		src.CacheMax = cacheMaxDefault
	}
	var names []string
	for _, a := range algorithms() {
		names = append(names, string(a))
	}
	return &tokens[T]{
		issuer: src.Issuer,
		config: &oidc.Config{ClientID: src.Audience, SupportedSigningAlgs: names, Now: src.Now},
		keys:   newKeySet(src.Issuer, src.Client, src.Now),
		read:   read,
		now:    src.Now,
		cache:  lru.New[[sha256.Size]byte, checked[T]](src.CacheMax),
	}, nil
}

// bearer returns who bears raw. Errors are an *Error, `unauthenticated` or `unavailable`.
func (t *tokens[T]) bearer(ctx context.Context, raw string) (T, error) {
	// The hash keeps the tokens themselves out of memory, and the keys short.
	key := sha256.Sum256([]byte(raw))
	if c, ok := t.cache.Get(key); ok && t.now().Before(c.expiry) {
		return c.bearer, nil
	}
	c, err := t.check(ctx, raw)
	if err != nil {
		return c.bearer, err
	}
	t.cache.Put(key, c)
	return c.bearer, nil
}

// check verifies raw, without the cache.
func (t *tokens[T]) check(ctx context.Context, raw string) (checked[T], error) {
	// The verifier reports what the key set says as text only; the look keeps it.
	look := &look{keys: t.keys}
	token, err := oidc.NewVerifier(t.issuer, look, t.config).Verify(ctx, raw)
	if look.unreachable != nil {
		return checked[T]{}, unavailable(look.unreachable)
	}
	if _, expired := errors.AsType[*oidc.TokenExpiredError](err); expired {
		return checked[T]{}, unauthenticated("The token has expired.", err)
	}
	if err != nil {
		return checked[T]{}, unauthenticated("The token is not good here: its form, signature, issuer or audience is wrong.", err)
	}
	who, err := t.read(token)
	if err != nil {
		return checked[T]{}, unauthenticated("The token's claims cannot be read.", err)
	}
	return checked[T]{bearer: who, expiry: token.Expiry}, nil
}

// look is one use of a key set, which remembers whether the keys could be had.
type look struct {
	keys        *keySet
	unreachable error
}

// VerifySignature implements oidc.KeySet.
func (l *look) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	payload, err := l.keys.verify(ctx, raw)
	if unreachable, ok := errors.AsType[*unreachableError](err); ok {
		l.unreachable = unreachable
	}
	return payload, err
}

var _ oidc.KeySet = (*look)(nil)
