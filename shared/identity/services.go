package identity

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/fluxori/ai-credits/shared/strictjson"
)

// Role is what a service may do.
type Role string

// The roles of services.
const (
	// Spend is to check, hold, debit and reverse.
	Spend Role = "spend"
	// Operate is to say which features are available and which organisations have the data for them.
	Operate Role = "operate"
)

// callersMax bounds the configuration of callers, in bytes.
const callersMax = 64 << 10

// orgPattern is the form of an organisation's id.
var orgPattern = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

// Caller is a service account that is let in.
type Caller struct {
	// Email is the service account's address.
	Email string `json:"email"`
	// Roles are what it may do; at least one.
	Roles []Role `json:"roles"`
	// Orgs are the organisations it is bound to. None means that it is bound to none and may act for all.
	Orgs []string `json:"orgs"`
}

// Callers are the services that are let in, as configured.
type Callers []Caller

// UnmarshalText reads callers from configuration, and says all that is wrong with it:
//
//	{"callers": [{"email": "reports@project.iam.gserviceaccount.com", "roles": ["spend"], "orgs": ["acme"]}]}
func (c *Callers) UnmarshalText(text []byte) error {
	parsed, err := strictjson.Unmarshal[struct {
		Callers []Caller `json:"callers"`
	}](text, callersMax)
	if err != nil {
		return fmt.Errorf("parse callers: %w", err)
	}
	if err := Callers(parsed.Callers).check(); err != nil {
		return err
	}
	*c = parsed.Callers
	return nil
}

// check returns all that is wrong with c.
func (c Callers) check() error {
	var wrong []error
	seen := map[string]bool{}
	for i, caller := range c {
		at := fmt.Sprintf("caller %d (%q)", i+1, caller.Email)
		email := strings.ToLower(caller.Email)
		if at := strings.IndexByte(email, '@'); at <= 0 || at == len(email)-1 {
			wrong = append(wrong, fmt.Errorf("caller %d: %q is no e-mail address", i+1, caller.Email))
		}
		if seen[email] {
			wrong = append(wrong, fmt.Errorf("%s is listed twice", at))
		}
		seen[email] = true
		if len(caller.Roles) == 0 {
			wrong = append(wrong, fmt.Errorf("%s has no role", at))
		}
		for _, role := range caller.Roles {
			if role != Spend && role != Operate {
				wrong = append(wrong, fmt.Errorf("%s: role %q is neither %q nor %q", at, role, Spend, Operate))
			}
		}
		for _, org := range caller.Orgs {
			if !orgPattern.MatchString(org) {
				wrong = append(wrong, fmt.Errorf("%s: %q is no organisation's id", at, org))
			}
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return fmt.Errorf("callers: %w", err)
	}
	return nil
}

// Service is a service that calls.
type Service struct {
	// Actor is its e-mail address in lower case, as entries record it.
	Actor string
	roles []Role
	orgs  []string
}

// Authorise returns nil if the service has the role and may act for the organisation, else an *Error, `forbidden`. An
// empty org stands for all organisations: only a service that is bound to none may act for all.
func (s Service) Authorise(role Role, org string) error {
	if !slices.Contains(s.roles, role) {
		return forbidden(fmt.Sprintf("The caller does not have the role %q.", role))
	}
	if len(s.orgs) > 0 && !slices.Contains(s.orgs, org) {
		return forbidden("The caller may not act for this organisation.")
	}
	return nil
}

// Services lets in the configured callers.
type Services struct {
	tokens  *tokens[account]
	callers map[string]Caller
	people  *People
}

// account is what a service account's token says.
type account struct {
	email    string
	verified bool
}

// NewServices returns a Services that lets in callers whose tokens src issues. If people is not nil, a token of theirs
// is recognised, so that it is `forbidden` and not `unauthenticated`.
func NewServices(src Source, callers Callers, people *People) (*Services, error) {
	if err := callers.check(); err != nil {
		return nil, err
	}
	tokens, err := newTokens(src, readAccount)
	if err != nil {
		return nil, err
	}
	s := &Services{tokens: tokens, callers: map[string]Caller{}, people: people}
	for _, caller := range callers {
		s.callers[strings.ToLower(caller.Email)] = caller
	}
	return s, nil
}

// readAccount reads the claims of a service account's token.
func readAccount(token *oidc.IDToken) (account, error) {
	var claims struct {
		Email    string          `json:"email"`
		Verified json.RawMessage `json:"email_verified"`
	}
	if err := token.Claims(&claims); err != nil {
		return account{}, fmt.Errorf("read claims: %w", err)
	}
	return account{email: strings.ToLower(claims.Email), verified: isTrue(claims.Verified)}, nil
}

// Authenticate returns the service that sends r. Errors are an *Error.
func (s *Services) Authenticate(r *http.Request) (Service, error) {
	raw, err := bearer(r)
	if err != nil {
		return Service{}, err
	}
	account, err := s.tokens.bearer(r.Context(), raw)
	if err != nil {
		return Service{}, s.refuse(r, raw, err)
	}
	caller, ok := s.callers[account.email]
	if !ok || !account.verified {
		return Service{}, forbidden("The caller is not a listed service, or its token does not carry its verified e-mail address.")
	}
	return Service{Actor: account.email, roles: caller.Roles, orgs: caller.Orgs}, nil
}

// refuse returns why a token that is no service's is refused: err, unless it is a person's.
func (s *Services) refuse(r *http.Request, raw string, err error) error {
	refused, ok := errors.AsType[*Error](err)
	if s.people == nil || !ok || refused.Is != "unauthenticated" {
		return err
	}
	if _, personErr := s.people.tokens.bearer(r.Context(), raw); personErr != nil {
		return err
	}
	return forbidden("This is for services, not for people.")
}
