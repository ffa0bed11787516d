package identity

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/coreos/go-oidc/v3/oidc"
)

// subjectMax is the longest subject that OpenID Connect allows, in bytes.
const subjectMax = 255

// Person is a person who calls.
type Person struct {
	// Sub identifies the person at the issuer; opaque, never empty, at most 255 printable ASCII characters.
	Sub string
	// Email is the address the issuer has, or empty. EmailVerified says that the issuer has proven it.
	Email         string
	EmailVerified bool
	// Name is what the issuer calls the person, or empty. It is shown, and decides nothing.
	Name string
	// Support and Platform are the claims that the issuer sets for staff.
	Support, Platform bool
}

// People lets in people.
type People struct{ tokens *tokens[Person] }

// NewPeople returns a People that lets in bearers of tokens that src issues. The claims of staff are named claimPrefix
// + "support" and claimPrefix + "platform" and are true or absent: some issuers accept only names that begin with a
// URL; the prefix may be empty.
func NewPeople(src Source, claimPrefix string) (*People, error) {
	tokens, err := newTokens(src, func(token *oidc.IDToken) (Person, error) { return readPerson(token, claimPrefix) })
	if err != nil {
		return nil, err
	}
	return &People{tokens: tokens}, nil
}

// Authenticate returns the person who sends r. Errors are an *Error, `unauthenticated` or `unavailable`.
func (p *People) Authenticate(r *http.Request) (Person, error) {
	raw, err := bearer(r)
	if err != nil {
		return Person{}, err
	}
	return p.tokens.bearer(r.Context(), raw)
}

// readPerson reads the claims of a person's token.
func readPerson(token *oidc.IDToken, claimPrefix string) (Person, error) {
	if len(token.Subject) > subjectMax {
		return Person{}, fmt.Errorf("a subject of %d bytes", len(token.Subject))
	}
	for _, c := range []byte(token.Subject) {
		if c < ' ' || c > '~' {
			return Person{}, fmt.Errorf("a subject with the byte %#x", c)
		}
	}
	if token.Subject == "" {
		return Person{}, errors.New("no subject")
	}
	var claims map[string]json.RawMessage
	if err := token.Claims(&claims); err != nil {
		return Person{}, fmt.Errorf("read claims: %w", err)
	}
	person := Person{
		Sub:           token.Subject,
		EmailVerified: isTrue(claims["email_verified"]),
		Support:       isTrue(claims[claimPrefix+"support"]),
		Platform:      isTrue(claims[claimPrefix+"platform"]),
	}
	for name, target := range map[string]*string{"email": &person.Email, "name": &person.Name} {
		if raw, ok := claims[name]; ok {
			if err := json.Unmarshal(raw, target); err != nil {
				return Person{}, fmt.Errorf("read claim %s: %w", name, err)
			}
		}
	}
	person.EmailVerified = person.EmailVerified && person.Email != ""
	return person, nil
}

// isTrue reports whether a claim is the JSON value true: "true", 1 and everything else is not.
func isTrue(claim json.RawMessage) bool { return string(claim) == "true" }
