package account

import (
	_ "embed"
	"net/http"
	"slices"
	"strings"

	"github.com/fluxori/ai-credits/shared/apidoc"
	"github.com/fluxori/ai-credits/shared/serve"
)

// contract is the API document. Tests hold it against the table below, and each exchange against it.
//
//go:embed api.yaml
var contract []byte

// role is what somebody who calls may be.
type role string

// The roles. A membership makes a member or an administrator of one organisation; claims make support and platform staff, everywhere;
// everybody with a good token is a person.
const (
	member   role = "member"
	admin    role = "admin"
	support  role = "support"
	platform role = "platform"
	person   role = "person"
)

// route is one line of the contract: what may be asked, and by whom.
type route struct {
	Method string
	// Path begins after the function's name. A path with {org} concerns that organisation.
	Path string
	// May are the roles that pass. Who may not even see the organisation gets 404, everybody else 403.
	May []role
	// Query are the parameters that are known; any other is refused.
	Query []string
	// Creates says that the organisation need not exist.
	Creates bool
	// Profile says that the answer tells the organisation itself, which is read with the caller's membership.
	Profile bool
	// Moves says that credits or money move: the header Idempotency-Key is required.
	Moves bool
	serve func(h *handler, w http.ResponseWriter, r *http.Request, c call) error
}

// paging are the parameters of lists.
func paging() []string { return []string{"page_size", "page_token"} }

// routes is the contract for people, from which the router is built. Nothing else says who may do what: the pages of the dashboard are a client of
// it. Two pages are open: to whoever comes back from a checkout, and to whoever has a mail whose signed link leaves its topic.
func routes() []route {
	readers := []role{member, admin, support, platform}
	return []route{
		{Method: http.MethodGet, Path: "/catalogue", May: []role{person}, Query: []string{"country"}, serve: (*handler).catalogue},

		{Method: http.MethodGet, Path: "/orgs", May: []role{person}, serve: (*handler).myOrgs},
		{Method: http.MethodPut, Path: "/orgs/{org}", May: []role{platform}, Creates: true, serve: (*handler).putOrg},
		{Method: http.MethodGet, Path: "/orgs/{org}", May: readers, Profile: true, serve: (*handler).getOrg},
		{Method: http.MethodGet, Path: "/orgs/{org}/alerts", May: readers, serve: (*handler).getAlerts},
		{Method: http.MethodPut, Path: "/orgs/{org}/alerts", May: []role{admin}, serve: (*handler).putAlerts},

		{Method: http.MethodGet, Path: "/orgs/{org}/overview", May: readers, serve: (*handler).overview},
		{Method: http.MethodGet, Path: "/orgs/{org}/balance", May: readers, Query: []string{"at"}, serve: (*handler).balance},
		{Method: http.MethodGet, Path: "/orgs/{org}/entries", May: readers, Query: append([]string{"from", "to", "format"}, paging()...), serve: (*handler).entries},
		{Method: http.MethodGet, Path: "/orgs/{org}/entries/{id}", May: readers, serve: (*handler).entry},
		{Method: http.MethodGet, Path: "/orgs/{org}/statements/{month}", May: readers, Query: []string{"format"}, serve: (*handler).statement},
		{
			Method: http.MethodGet, Path: "/orgs/{org}/usage", May: readers,
			Query: []string{"from", "to", "group_by", "feature", "team", "user", "format"}, serve: (*handler).usage,
		},
		{Method: http.MethodGet, Path: "/orgs/{org}/refusals", May: readers, Query: append([]string{"user"}, paging()...), serve: (*handler).refused},

		{Method: http.MethodPost, Path: "/orgs/{org}/adjustments", May: []role{support}, Moves: true, serve: (*handler).adjust},
		{Method: http.MethodPost, Path: "/orgs/{org}/freeze", May: []role{support}, Moves: true, serve: (*handler).freeze},
		{Method: http.MethodPost, Path: "/orgs/{org}/thaw", May: []role{support}, Moves: true, serve: (*handler).thaw},

		{Method: http.MethodGet, Path: "/orgs/{org}/notifications", May: readers, Query: paging(), serve: (*handler).notifications},
		{Method: http.MethodPost, Path: "/orgs/{org}/notifications/{id}/read", May: []role{member, admin}, serve: (*handler).markRead},

		{Method: http.MethodPost, Path: "/orgs/{org}/purchases", May: []role{admin}, Moves: true, serve: (*handler).buy},
		{Method: http.MethodGet, Path: "/orgs/{org}/purchases", May: []role{admin, support, platform}, Query: paging(), serve: (*handler).history},
		{Method: http.MethodPost, Path: "/orgs/{org}/purchases/{reference}/recover", May: []role{member, admin, support}, serve: (*handler).recoverPurchase},
		{Method: http.MethodGet, Path: "/organisations", May: []role{support, platform}, Query: append([]string{"name"}, paging()...), serve: (*handler).findOrgs},
		{Method: http.MethodGet, Path: "/purchases/{reference}", May: []role{support, platform}, serve: (*handler).findPurchase},
		{Method: http.MethodGet, Path: "/people", May: []role{support, platform}, Query: []string{"email"}, serve: (*handler).findPeople},
		{Method: http.MethodGet, Path: "/operations/reconciliation", May: []role{platform}, serve: (*handler).reconciliation},
		{Method: http.MethodGet, Path: "/orgs/{org}/purchases/{reference}", May: []role{admin, support, platform}, serve: (*handler).purchase},
		{Method: http.MethodGet, Path: "/orgs/{org}/purchases/{reference}/receipt", May: []role{admin, support, platform}, serve: (*handler).receipt},
		{Method: http.MethodGet, Path: "/orgs/{org}/purchases/{reference}/refund", May: []role{admin, support, platform}, serve: (*handler).refundQuote},
		{Method: http.MethodPost, Path: "/orgs/{org}/purchases/{reference}/refund", May: []role{support}, Moves: true, serve: (*handler).refund},
		{Method: http.MethodGet, Path: "/orgs/{org}/auto-top-up", May: []role{admin, support, platform}, serve: (*handler).autoTopUp},
		{Method: http.MethodPut, Path: "/orgs/{org}/auto-top-up", May: []role{admin}, serve: (*handler).putAutoTopUp},
		{Method: http.MethodGet, Path: "/orgs/{org}/subscription", May: readers, serve: (*handler).subscription},
		{
			Method: http.MethodGet, Path: "/orgs/{org}/subscription/preview", May: []role{admin, support, platform}, Query: []string{"plan"},
			serve: (*handler).previewPlan,
		},
		{Method: http.MethodGet, Path: "/orgs/{org}/cycles", May: readers, Query: paging(), serve: (*handler).cycles},
		{Method: http.MethodPost, Path: "/orgs/{org}/subscription/change", May: []role{admin}, Moves: true, serve: (*handler).changePlan},
		{Method: http.MethodPost, Path: "/orgs/{org}/billing-portal", May: []role{admin}, serve: (*handler).billingPortal},

		{Method: http.MethodPost, Path: "/orgs/{org}/promotions/redeem", May: []role{admin}, Moves: true, serve: (*handler).redeem},
		{Method: http.MethodGet, Path: "/orgs/{org}/referral", May: []role{member, admin, support}, serve: (*handler).referral},
		{Method: http.MethodPost, Path: "/orgs/{org}/referral/claim", May: []role{admin}, Moves: true, serve: (*handler).claim},
		{Method: http.MethodGet, Path: "/operations/catalogue", May: []role{platform}, Query: []string{"version"}, serve: (*handler).getCatalogue},
		{Method: http.MethodPost, Path: "/operations/catalogue/proposals", May: []role{platform}, serve: (*handler).proposeCatalogue},
		{Method: http.MethodPost, Path: "/operations/catalogue", May: []role{platform}, serve: (*handler).publishCatalogue},
		{Method: http.MethodGet, Path: "/operations/promotions/{code}", May: []role{platform}, serve: (*handler).getPromotion},
		{Method: http.MethodPut, Path: "/operations/promotions/{code}", May: []role{platform}, serve: (*handler).putPromotion},

		{Method: http.MethodGet, Path: "/orgs/{org}/members", May: []role{admin, support, platform}, Query: append([]string{"team"}, paging()...), serve: (*handler).members},
		{Method: http.MethodGet, Path: "/orgs/{org}/members/{user}", May: readers, serve: (*handler).member},
		{Method: http.MethodPut, Path: "/orgs/{org}/members/{user}", May: []role{admin}, serve: (*handler).putMember},
		{Method: http.MethodDelete, Path: "/orgs/{org}/members/{user}", May: []role{admin}, serve: (*handler).removeMember},
		{
			Method: http.MethodPost, Path: "/orgs/{org}/members/{user}/erasure", May: []role{admin, support, platform}, Query: []string{"page_token"},
			serve: (*handler).erase,
		},
		{Method: http.MethodGet, Path: "/orgs/{org}/teams", May: readers, Query: append([]string{"archived"}, paging()...), serve: (*handler).teams},
		{Method: http.MethodGet, Path: "/orgs/{org}/teams/{team}", May: readers, serve: (*handler).team},
		{Method: http.MethodPut, Path: "/orgs/{org}/teams/{team}", May: []role{admin}, serve: (*handler).putTeam},
		{Method: http.MethodDelete, Path: "/orgs/{org}/teams/{team}", May: []role{admin}, serve: (*handler).archiveTeam},
		{Method: http.MethodPut, Path: "/orgs/{org}/teams/{team}/members/{user}", May: []role{admin}, serve: (*handler).joinTeam},
		{Method: http.MethodDelete, Path: "/orgs/{org}/teams/{team}/members/{user}", May: []role{admin}, serve: (*handler).leaveTeam},

		{Method: http.MethodGet, Path: "/orgs/{org}/limits", May: readers, serve: (*handler).limits},
		{Method: http.MethodPut, Path: "/orgs/{org}/limits", May: []role{admin}, serve: (*handler).putLimits},
		{Method: http.MethodGet, Path: "/orgs/{org}/limits/teams/{team}", May: readers, serve: (*handler).teamLimit},
		{Method: http.MethodPut, Path: "/orgs/{org}/limits/teams/{team}", May: []role{admin}, serve: (*handler).putTeamLimit},
		{Method: http.MethodDelete, Path: "/orgs/{org}/limits/teams/{team}", May: []role{admin}, serve: (*handler).removeTeamLimit},
		{Method: http.MethodGet, Path: "/orgs/{org}/limits/users/{user}", May: readers, serve: (*handler).userLimit},
		{Method: http.MethodPut, Path: "/orgs/{org}/limits/users/{user}", May: []role{admin}, serve: (*handler).putUserLimit},
		{Method: http.MethodDelete, Path: "/orgs/{org}/limits/users/{user}", May: []role{admin}, serve: (*handler).removeUserLimit},
		{Method: http.MethodPost, Path: "/orgs/{org}/limit-requests", May: []role{member, admin}, serve: (*handler).askForMore},
		{Method: http.MethodGet, Path: "/orgs/{org}/limit-requests", May: readers, Query: append([]string{"state"}, paging()...), serve: (*handler).limitRequests},
		{Method: http.MethodGet, Path: "/orgs/{org}/limit-requests/{request}", May: readers, serve: (*handler).limitRequest},
		{Method: http.MethodPost, Path: "/orgs/{org}/limit-requests/{request}/grant", May: []role{admin}, serve: (*handler).grantRequest},
		{Method: http.MethodPost, Path: "/orgs/{org}/limit-requests/{request}/decline", May: []role{admin}, serve: (*handler).declineRequest},

		{Method: http.MethodGet, Path: "/operations/dead-letters", May: []role{support, platform}, Query: append([]string{"state"}, paging()...), serve: (*handler).deadLetters},
		{Method: http.MethodPost, Path: "/operations/dead-letters/{letter}/replay", May: []role{support, platform}, serve: (*handler).replay},
		{Method: http.MethodGet, Path: "/operations/quarantine", May: []role{support, platform}, Query: append([]string{"state"}, paging()...), serve: (*handler).quarantine},
		{Method: http.MethodPost, Path: "/operations/quarantine/{event}/replay", May: []role{support, platform}, serve: (*handler).replayAside},
		{Method: http.MethodPost, Path: "/operations/quarantine/{event}/resolve", May: []role{support, platform}, serve: (*handler).resolveAside},
	}
}

// ofOrg reports whether the route concerns one organisation.
func (rt route) ofOrg() bool { return strings.Contains(rt.Path, "{org}") }

// passes reports whether one of the roles may.
func (rt route) passes(have []role) bool {
	return slices.ContainsFunc(have, func(r role) bool { return slices.Contains(rt.May, r) })
}

// router serves the contract, and the page to which checkouts lead back.
func (h *handler) router() *serve.Router {
	out := serve.NewRouter()
	apidoc.Register(out, contract)
	out.Handle("GET /ui/purchases/return", h.returned)
	for _, rt := range routes() {
		out.Handle(rt.Method+" "+rt.Path, func(w http.ResponseWriter, r *http.Request) error {
			c, err := h.admit(r, rt)
			if err != nil {
				return err
			}
			return c.paging(rt.serve(h, w, r, c))
		})
	}
	out.Handle("GET /unsubscribe", h.unsubscribePage)
	out.Handle("POST /unsubscribe", h.unsubscribe)
	return out
}
