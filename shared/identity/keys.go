package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"
)

const (
	// keysFresh is how long keys are used without asking again: a key that the issuer withdrew is believed no longer.
	keysFresh = time.Hour
	// keysUsable is how long they are used while the issuer cannot be reached.
	keysUsable = 24 * time.Hour
	// askPause is the least time between two questions to the issuer, so that made-up key ids cause no flood; after an
	// answer that did not come it is failedPause.
	askPause    = 10 * time.Second
	failedPause = time.Second
	// askTimeout bounds one question, discovery and keys together.
	askTimeout = 5 * time.Second
	// answerMax bounds each of the issuer's answers in bytes.
	answerMax = 1 << 20
	// keysMax bounds the keys that are tried.
	keysMax = 100
)

// algorithms are the signatures that are accepted: public-key ones, of which RS256 is Google's.
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.ES256}
}

// keySet holds an issuer's public keys, asked for when they are first needed and again when they are old or a token
// names a key that is not among them.
//
// It stands in for oidc.RemoteKeySet, which asks the issuer anew for every token that it cannot verify, waits without
// a bound on the answer, and does not let its callers tell a bad signature from an issuer that is down.
type keySet struct {
	issuer string
	client *http.Client
	now    func() time.Time
	flight singleflight.Group

	mu   sync.Mutex
	keys []jose.JSONWebKey
	// fetchedAt is when keys came, askedAt when the issuer was last asked; err is what came of that.
	fetchedAt, askedAt time.Time
	err                error
}

func newKeySet(issuer string, client *http.Client, now func() time.Time) *keySet {
	if client == nil {
		client = http.DefaultClient
	}
	bounded := *client
	bounded.Timeout = askTimeout
	bounded.Transport = boundedAnswers{next: client.Transport}
	return &keySet{issuer: issuer, client: &bounded, now: now}
}

// unreachableError says that a token could not be checked because the issuer's keys could not be had.
type unreachableError struct{ cause error }

func (e *unreachableError) Error() string { return e.cause.Error() }

func (e *unreachableError) Unwrap() error { return e.cause }

// verify returns the payload of raw if one of the issuer's keys has signed it. The error is an *unreachableError if
// that cannot be known now.
func (s *keySet) verify(ctx context.Context, raw string) ([]byte, error) {
	signed, err := jose.ParseSigned(raw, algorithms())
	if err != nil {
		return nil, fmt.Errorf("parse token: %w", err)
	}
	keys, err := s.candidates(ctx, signed.Signatures[0].Header.KeyID)
	if err != nil {
		return nil, &unreachableError{cause: err}
	}
	for _, key := range keys {
		if payload, err := signed.Verify(key); err == nil {
			return payload, nil
		}
	}
	return nil, errors.New("no key of the issuer verifies the signature")
}

// candidates returns the keys named id, or all if id is empty. An error means that the issuer could not be asked.
func (s *keySet) candidates(ctx context.Context, id string) ([]jose.JSONWebKey, error) {
	if keys, settled, _ := s.cached(id); settled {
		return keys, nil
	}
	if err := s.ask(ctx); err != nil {
		return nil, err
	}
	keys, _, err := s.cached(id)
	if len(keys) == 0 && err != nil {
		return nil, err
	}
	return keys, nil
}

// cached returns the keys named id that may still be used, whether they settle the matter without asking, and what came
// of asking last.
func (s *keySet) cached(id string) (keys []jose.JSONWebKey, settled bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	age := s.now().Sub(s.fetchedAt)
	if age < keysUsable {
		for _, key := range s.keys {
			if id == "" || key.KeyID == id {
				keys = append(keys, key)
			}
		}
	}
	return keys, len(keys) > 0 && age < keysFresh, s.err
}

// ask fetches the keys, once for all who want them at this time, unless the issuer was asked a moment ago. What comes of
// it is kept for cached to find; the error is that of waiting.
func (s *keySet) ask(ctx context.Context) error {
	if s.askedRecently() {
		return nil
	}
	done := s.flight.DoChan("", func() (any, error) {
		if s.askedRecently() {
			return nil, nil
		}
		// One caller going away must not take the keys from the others.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
		defer cancel()
		keys, err := s.fetch(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.askedAt, s.err = s.now(), err
		if err == nil {
			s.keys, s.fetchedAt = keys, s.askedAt
		}
		return nil, nil
	})
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the keys of %s: %w", s.issuer, ctx.Err())
	}
}

func (s *keySet) askedRecently() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	pause := askPause
	if s.err != nil {
		pause = failedPause
	}
	return !s.askedAt.IsZero() && s.now().Sub(s.askedAt) < pause
}

// fetch asks the issuer where its keys are, and for them.
func (s *keySet) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, s.client), s.issuer)
	if err != nil {
		return nil, fmt.Errorf("discover issuer %s: %w", s.issuer, err)
	}
	var metadata struct {
		KeysURL string `json:"jwks_uri"`
	}
	if err := provider.Claims(&metadata); err != nil {
		return nil, fmt.Errorf("discover issuer %s: %w", s.issuer, err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, metadata.KeysURL, nil)
	if err != nil {
		return nil, fmt.Errorf("keys of issuer %s: %w", s.issuer, err)
	}
	answer, err := s.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("keys of issuer %s: %w", s.issuer, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("keys of issuer %s at %s: status %s", s.issuer, metadata.KeysURL, answer.Status)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("keys of issuer %s at %s: %w", s.issuer, metadata.KeysURL, err)
	}
	keys, err := parseKeys(body)
	if err != nil {
		return nil, fmt.Errorf("keys of issuer %s at %s: %w", s.issuer, metadata.KeysURL, err)
	}
	return keys, nil
}

// parseKeys reads a JSON Web Key Set. Keys of kinds that are not known here, or not for signatures, are passed over, as
// RFC 7517 asks.
func parseKeys(data []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("parse key set: %w", err)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys[:min(len(set.Keys), keysMax)] {
		var key jose.JSONWebKey
		if err := json.Unmarshal(raw, &key); err != nil || !key.Valid() || !key.IsPublic() || key.Use == "enc" {
			continue
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("the key set has no key for signatures")
	}
	return keys, nil
}

// boundedAnswers limits the bodies of a transport's answers.
type boundedAnswers struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b boundedAnswers) RoundTrip(r *http.Request) (*http.Response, error) {
	next := b.next
	if next == nil {
		next = http.DefaultTransport
	}
	answer, err := next.RoundTrip(r)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", r.URL.Host, err)
	}
	answer.Body = http.MaxBytesReader(nil, answer.Body, answerMax)
	return answer, nil
}
