package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/fluxori/ai-credits/shared/identity/identitytest"
)

// clock is a machine's clock that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now()} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// subjects returns a tokens that reads a token's subject only.
func subjects(tb testing.TB, src Source) *tokens[string] {
	tb.Helper()
	t, err := newTokens(src, func(token *oidc.IDToken) (string, error) { return token.Subject, nil })
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// verdict asks who bears raw: the subject, or the error's code.
func verdict(t *testing.T, tokens *tokens[string], raw string) string {
	t.Helper()
	who, err := tokens.bearer(t.Context(), raw)
	if refused, ok := errors.AsType[*Error](err); ok {
		return refused.Is
	}
	if err != nil {
		t.Fatalf("error %v is no *Error", err)
	}
	return who
}

// token signs a token for the subject that lasts a week, so that the clock can be moved.
func token(tb testing.TB, issuer *identitytest.Issuer, subject string) string {
	tb.Helper()
	return issuer.Token(tb, map[string]any{"sub": subject, "aud": "a", "exp": time.Now().Add(7 * 24 * time.Hour).Unix()})
}

func TestAnIssuerThatIsDownMakesTheAnswerUnavailableAndHeals(t *testing.T) {
	t.Parallel()
	issuer, clock := identitytest.New(t), newClock()
	tokens := subjects(t, Source{Issuer: issuer.URL(), Audience: "a", Now: clock.Now})
	good := token(t, issuer, "me")
	issuer.Fail(http.StatusBadGateway)
	for range 3 {
		if got := verdict(t, tokens, good); got != "unavailable" {
			t.Fatalf("issuer down: %s, want unavailable", got)
		}
	}
	issuer.Fail(0)
	clock.advance(failedPause)
	if got := verdict(t, tokens, good); got != "me" {
		t.Errorf("issuer back: %s, want me", got)
	}
}

func TestKeysAreKeptForADayWhileTheIssuerIsDown(t *testing.T) {
	t.Parallel()
	issuer, clock := identitytest.New(t), newClock()
	tokens := subjects(t, Source{Issuer: issuer.URL(), Audience: "a", Now: clock.Now})
	if got := verdict(t, tokens, token(t, issuer, "first")); got != "first" {
		t.Fatal(got)
	}
	issuer.Fail(http.StatusBadGateway)
	clock.advance(keysUsable - time.Second)
	if got := verdict(t, tokens, token(t, issuer, "second")); got != "second" {
		t.Errorf("before a day: %s, want second", got)
	}
	clock.advance(failedPause)
	if got := verdict(t, tokens, token(t, issuer, "third")); got != "unavailable" {
		t.Errorf("after a day: %s, want unavailable", got)
	}
}

func TestANewKeyIsFetchedAndAWithdrawnOneForgotten(t *testing.T) {
	t.Parallel()
	issuer, clock := identitytest.New(t), newClock()
	tokens := subjects(t, Source{Issuer: issuer.URL(), Audience: "a", Now: clock.Now})
	old := token(t, issuer, "old")
	if got := verdict(t, tokens, old); got != "old" {
		t.Fatal(got)
	}
	unseen := token(t, issuer, "unseen")
	issuer.Rotate(t)
	clock.advance(askPause)
	if got := verdict(t, tokens, token(t, issuer, "new")); got != "new" {
		t.Errorf("signed with the new key: %s, want new", got)
	}
	if got := verdict(t, tokens, unseen); got != "unauthenticated" {
		t.Errorf("signed with the withdrawn key: %s, want unauthenticated", got)
	}
}

func TestAWithdrawnKeyIsBelievedForAnHourAtMost(t *testing.T) {
	t.Parallel()
	issuer, clock := identitytest.New(t), newClock()
	tokens := subjects(t, Source{Issuer: issuer.URL(), Audience: "a", Now: clock.Now})
	early, late := token(t, issuer, "early"), token(t, issuer, "late")
	if got := verdict(t, tokens, token(t, issuer, "first")); got != "first" {
		t.Fatal(got)
	}
	issuer.Rotate(t)
	clock.advance(keysFresh - time.Second)
	if got := verdict(t, tokens, early); got != "early" {
		t.Errorf("before an hour: %s, want early", got)
	}
	clock.advance(time.Second)
	if got := verdict(t, tokens, late); got != "unauthenticated" {
		t.Errorf("after an hour: %s, want unauthenticated", got)
	}
}

func TestMadeUpKeyIDsDoNotFloodTheIssuer(t *testing.T) {
	t.Parallel()
	issuer, clock := identitytest.New(t), newClock()
	tokens := subjects(t, Source{Issuer: issuer.URL(), Audience: "a", Now: clock.Now})
	forger := identitytest.New(t)
	forger.Rotate(t) // its key id is not among the issuer's
	var wg sync.WaitGroup
	for i := range 50 {
		raw := forger.Token(t, map[string]any{"iss": issuer.URL(), "sub": fmt.Sprint(i), "aud": "a"})
		wg.Go(func() {
			if got := verdict(t, tokens, raw); got != "unauthenticated" {
				t.Errorf("forged: %s, want unauthenticated", got)
			}
		})
	}
	wg.Wait()
	if n := issuer.Asked(); n != 1 {
		t.Errorf("the issuer was asked %d times, want once", n)
	}
	if got := verdict(t, tokens, token(t, issuer, "me")); got != "me" || issuer.Asked() != 1 {
		t.Errorf("a good token: %s after %d questions, want me after one", got, issuer.Asked())
	}
}

func TestACallerWhoGivesUpDoesNotTakeTheKeysFromOthers(t *testing.T) {
	t.Parallel()
	issuer := identitytest.New(t)
	entered, release := make(chan struct{}), make(chan struct{})
	client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		if strings.HasSuffix(r.URL.Path, "/keys") {
			close(entered)
			<-release
		}
		return http.DefaultTransport.RoundTrip(r)
	})}
	tokens := subjects(t, Source{Issuer: issuer.URL(), Audience: "a", Client: client})
	good := token(t, issuer, "me")
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error)
	go func() {
		_, err := tokens.bearer(ctx, good)
		gaveUp <- err
	}()
	<-entered
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the caller's own", err)
	}
	close(release)
	if got := verdict(t, tokens, good); got != "me" || issuer.Asked() != 1 {
		t.Errorf("the next caller: %s after %d questions, want me after one", got, issuer.Asked())
	}
}

// roundTripper is a transport that is a function.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestACheckedTokenIsKeptOnlyUntilItExpires(t *testing.T) {
	t.Parallel()
	issuer, clock := identitytest.New(t), newClock()
	tokens := subjects(t, Source{Issuer: issuer.URL(), Audience: "a", Now: clock.Now, CacheMax: 2})
	raw := issuer.Token(t, map[string]any{"sub": "me", "aud": "a", "exp": clock.Now().Add(time.Minute).Unix()})
	if got := verdict(t, tokens, raw); got != "me" {
		t.Fatal(got)
	}
	issuer.Rotate(t)
	issuer.Fail(http.StatusBadGateway)
	clock.advance(30 * time.Second)
	if got := verdict(t, tokens, raw); got != "me" {
		t.Errorf("from the cache: %s, want me", got)
	}
	clock.advance(31 * time.Second)
	if got := verdict(t, tokens, raw); got != "unauthenticated" {
		t.Errorf("expired: %s, want unauthenticated", got)
	}
}

func TestOddKeySetsAreReadAsFarAsTheyGo(t *testing.T) {
	t.Parallel()
	const rsa = `{"kty":"RSA","kid":"r","use":"%s","n":"` +
		`u1SU1LfVLPHCozMxH2Mo4lgOEePzNm0tRgeLezV6ffAt0gunVTLw7onLRnrq0_IzW7yWR7QkrmBL7jTKEn5u-qKhbwKfBstIs-bMY2Zkp18gnTxKLxoS2tFczGkPLPgizskuemMghRniWaoLcyehkd3qqGElvW_VDL5AaWTg0nLVkjRo9z-40RQzuVaE8AkAFmxZzow3x-VJYKdjykkJ0iT9wCS0DRTXu269V264Vf_3jvredZiKRkgwlL9xNAwxXFg0x_XFw005UWVRIkdgcKWTjpBP2dPwVZ4WWC-9aGVd-Gyn1o0CLelf4rEjGoXbAAEgAqeGUxrcIlbjXfbcmw","e":"AQAB"}`
	for name, c := range map[string]struct {
		data string
		keys int
	}{
		"one":                    {`{"keys":[` + fmt.Sprintf(rsa, "sig") + `]}`, 1},
		"use not said":           {`{"keys":[` + fmt.Sprintf(rsa, "") + `]}`, 1},
		"for encryption":         {`{"keys":[` + fmt.Sprintf(rsa, "enc") + `]}`, 0},
		"beside an unknown kind": {`{"keys":[{"kty":"LATTICE","kid":"x"},` + fmt.Sprintf(rsa, "sig") + `]}`, 1},
		"beside a broken one":    {`{"keys":[{"kty":"RSA","n":"!"},7,` + fmt.Sprintf(rsa, "sig") + `]}`, 1},
		"a shared secret":        {`{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`, 0},
		"none":                   {`{"keys":[]}`, 0},
		"no set":                 {`[]`, 0},
		"no JSON":                {`<html>`, 0},
		"too many":               {`{"keys":[` + strings.Repeat(fmt.Sprintf(rsa, "sig")+",", 200) + fmt.Sprintf(rsa, "sig") + `]}`, keysMax},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys, err := parseKeys([]byte(c.data))
			if len(keys) != c.keys || (err != nil) != (c.keys == 0) {
				t.Errorf("parseKeys = %d keys, %v, want %d", len(keys), err, c.keys)
			}
		})
	}
}

func TestAnEndlessAnswerIsCutOff(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range 3 * answerMax >> 10 {
			if _, err := w.Write(make([]byte, 1<<10)); err != nil {
				return
			}
		}
	}))
	t.Cleanup(server.Close)
	tokens := subjects(t, Source{Issuer: server.URL, Audience: "a"})
	signer := identitytest.New(t)
	_, err := tokens.bearer(t.Context(), signer.Token(t, map[string]any{"iss": server.URL, "sub": "me", "aud": "a"}))
	if refused, ok := errors.AsType[*Error](err); !ok || refused.Is != "unavailable" || !strings.Contains(err.Error(), "too large") {
		t.Errorf("error %v, want unavailable because the answer is too large", err)
	}
}

// BenchmarkBearer compares checking a token at every request with finding it in the cache.
func BenchmarkBearer(b *testing.B) {
	issuer := identitytest.New(b)
	tokens := subjects(b, Source{Issuer: issuer.URL(), Audience: "a"})
	raw := token(b, issuer, "me")
	if _, err := tokens.bearer(b.Context(), raw); err != nil {
		b.Fatal(err)
	}
	b.Run("checked", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := tokens.check(b.Context(), raw); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("cached", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := tokens.bearer(b.Context(), raw); err != nil {
				b.Fatal(err)
			}
		}
	})
}
