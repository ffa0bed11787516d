// Package identity says who calls. A caller is a service account with an ID token signed by Google (or by the local
// issuer), or a person with an ID token of the configured OpenID Connect issuer.
//
// Invariants: nobody is believed without a token whose signature, issuer, audience and expiry have been checked; only
// RS256 and ES256 are accepted, so neither an unsigned token nor one signed with a public key as a shared secret is;
// an issuer that cannot be reached makes the answer `unavailable`, never `unauthenticated`, for the token may be good;
// tokens made up by a caller cannot make this package ask the issuer more than once in ten seconds.
//
// A token is `unauthenticated` if it is missing or not good here, and `forbidden` if it is good but its bearer has no
// business here. A checked token is kept, in a bounded cache, until it expires. Expiry is judged by the machine's
// clock, not by the system's.
//
// It does not own what a person may do in an organisation (memberships), nor sign-in by cookie.
package identity

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/fluxori/ai-credits/shared/coded"
)

// tokenMax bounds a token in bytes. Google's are about 1 KiB.
const tokenMax = 8 << 10

// cacheMaxDefault is how many checked tokens are kept.
const cacheMaxDefault = 10_000

// Source says whose tokens are good, and for whom.
type Source struct {
	// Issuer is the URL of the OpenID Connect issuer, exactly as its tokens name it. It is https, except on loopback.
	Issuer string
	// Audience is what a token's audience must contain.
	Audience string
	// Client asks the issuer. Nil means http.DefaultClient. Each answer has 5 s and 1 MiB.
	Client *http.Client
	// Now is the machine's clock. Nil means time.Now.
	Now func() time.Time
	// CacheMax is how many checked tokens are kept. Zero means 10,000.
	CacheMax int
}

// check returns what is wrong with s.
func (s Source) check() error {
	var wrong []error
	u, err := url.Parse(s.Issuer)
	switch {
	case err != nil:
		wrong = append(wrong, fmt.Errorf("issuer: %w", err))
	case u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		wrong = append(wrong, fmt.Errorf("issuer %q is not the URL of an issuer", s.Issuer))
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		wrong = append(wrong, fmt.Errorf("issuer %q is not https", s.Issuer))
	}
	if s.Audience == "" {
		wrong = append(wrong, errors.New("the audience is missing"))
	}
	if s.CacheMax < 0 {
		wrong = append(wrong, fmt.Errorf("a cache of %d tokens", s.CacheMax))
	}
	return errors.Join(wrong...)
}

// loopback reports whether host is this machine.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// Error says why a caller was not let in. Its code is `unauthenticated`, `forbidden` or `unavailable`.
type Error struct{ coded.Reason }

func unauthenticated(public string, cause error) *Error {
	return &Error{coded.Reason{Is: "unauthenticated", Says: public, From: cause}}
}

func forbidden(public string) *Error { return &Error{coded.Reason{Is: "forbidden", Says: public}} }

func unavailable(cause error) *Error {
	return &Error{coded.Reason{Is: "unavailable", Says: "The token cannot be checked now, because its issuer does not answer.", From: cause}}
}

// bearer returns the one bearer token of r.
func bearer(r *http.Request) (string, error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return "", unauthenticated("Send an ID token in the header Authorization: Bearer TOKEN.", nil)
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	// A token in JWS's JSON form could carry several signatures; the compact form, three parts, has one.
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") || strings.Count(token, ".") != 2 || len(token) > tokenMax {
		return "", unauthenticated("The header Authorization is not one bearer token.", nil)
	}
	return token, nil
}
