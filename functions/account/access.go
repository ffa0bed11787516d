package account

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/identity"
	"github.com/fluxori/ai-credits/shared/orgs"
	"github.com/fluxori/ai-credits/shared/problem"
)

// call is a request that was let in.
type call struct {
	person identity.Person
	// org is the organisation that the path names, if it names one.
	org string
	// have are the roles that the person has there.
	have []role
	// profile is the organisation, on routes that tell it.
	profile orgs.Org
	query   url.Values
	// key is the caller's Idempotency-Key, on routes that move credits or money.
	key string
}

var errForbidden = problem.New(problem.Forbidden, "Your role does not allow this.", nil)

// admit lets a request in: first who it is, and whether that person asks too often; then whether they may see the organisation, then whether the
// role allows it, and only then what was sent. So nothing that is sent can tell a stranger whether an organisation exists.
func (h *handler) admit(r *http.Request, rt route) (call, error) {
	who, err := h.people.Authenticate(r)
	if err != nil {
		return call{}, err
	}
	if err := h.gate.Pass(who.Sub); err != nil {
		return call{}, err
	}
	c := call{person: who, org: r.PathValue("org")}
	if c.have, c.profile, err = h.roles(r, rt, who); err != nil {
		return call{}, err
	}
	if !rt.passes(c.have) {
		return call{}, errForbidden
	}
	if c.query, err = query(r, rt.Query); err != nil {
		return call{}, err
	}
	if rt.Moves {
		c.key, err = idempotencyKey(r)
	}
	return c, err
}

// roles are what a person is where the route leads, with the organisation if the route tells it. Reads may go by what a membership was up to five
// seconds ago, changes may not.
func (h *handler) roles(r *http.Request, rt route, who identity.Person) (have []role, profile orgs.Org, err error) {
	have = []role{person}
	if who.Support {
		have = append(have, support)
	}
	if who.Platform {
		have = append(have, platform)
	}
	if !rt.ofOrg() || (rt.Creates && rt.passes(have)) {
		return have, profile, nil
	}
	var found orgs.Role
	switch v, org := visitor(who), r.PathValue("org"); {
	case rt.Profile:
		profile, found, err = h.store.RecentVisit(r.Context(), org, v)
	case r.Method == http.MethodGet:
		found, err = h.store.RecentRole(r.Context(), org, v)
	default:
		found, err = h.store.Role(r.Context(), org, v)
	}
	switch {
	case err != nil:
		return nil, orgs.Org{}, err
	case found == orgs.RoleAdmin:
		have = append(have, admin)
	case found == orgs.RoleMember:
		have = append(have, member)
	case !who.Support && !who.Platform:
		return nil, orgs.Org{}, orgs.UnknownOrg()
	}
	return have, profile, nil
}

// visitor is a person as organisations know people.
func visitor(who identity.Person) orgs.Visitor {
	v := orgs.Visitor{Sub: who.Sub, Name: who.Name}
	if who.EmailVerified {
		v.VerifiedEmail = who.Email
	}
	return v
}

// idempotencyKey is the caller's key, by which the same request again is known.
func idempotencyKey(r *http.Request) (string, error) {
	values := r.Header.Values("Idempotency-Key")
	if len(values) != 1 {
		return "", problem.New(problem.InvalidRequest, "Send one header Idempotency-Key with a key of your choice, and the same key again when you repeat.",
			map[string]any{"field": "Idempotency-Key"})
	}
	return values[0], credit.CheckID("Idempotency-Key", values[0])
}

// query are the request's parameters, none but those that are known, and each at most once.
func query(r *http.Request, known []string) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, invalid("query", "The query is not well formed.")
	}
	left := len(values)
	for _, name := range known {
		if given, ok := values[name]; ok {
			left--
			if len(given) > 1 {
				return nil, invalid(name, "The parameter "+name+" is given twice.")
			}
		}
	}
	if left > 0 {
		return nil, problem.New(problem.InvalidRequest, "A parameter of the query is not known here.", map[string]any{"field": "query", "known": append([]string{}, known...)})
	}
	return values, nil
}

// The sizes of pages.
const (
	pageSizeDefault = 50
	pageSizeMax     = 200
)

// pageSize is how many items a list is to have.
func (c call) pageSize() (int, error) {
	if !c.query.Has("page_size") {
		return pageSizeDefault, nil
	}
	n, err := strconv.Atoi(c.query.Get("page_size"))
	if err != nil || n < 1 || n > pageSizeMax {
		return 0, invalid("page_size", "page_size must be a whole number from 1 to "+strconv.Itoa(pageSizeMax)+".")
	}
	return n, nil
}

func invalid(field, public string) error {
	return problem.New(problem.InvalidRequest, public, map[string]any{"field": field})
}
