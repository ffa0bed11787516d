package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/orgs"
)

// request is what the texts may say of a request for a higher limit.
type request struct {
	// Who is the name of who asks, or that it is a member.
	Who string
	// Of is whose use is limited, in words.
	Of string
	// Credits is how many more are asked for, or zero. Limit is what the limit is; Unlimited that there is none.
	Credits, Limit int64
	Unlimited      bool
	// Reason is in mails only, and so is a team's name: what somebody writes, and who it is, is not kept in the feed.
	Reason string
}

// aMember stands for a name that is not known, or not to be kept.
const aMember = "A member"

// readRequest puts an alert's limit request in words. Without a name it holds nothing that people wrote: it has no reason, and a team is told by its id.
func readRequest(e events.Credit, name string) *request {
	l := e.LimitRequest
	if l == nil {
		return nil
	}
	r := &request{Who: aMember, Of: "what the whole organisation uses", Credits: l.Credits, Unlimited: l.Limit == nil}
	switch {
	case l.Scope == "user" && personal(e):
		r.Of = "what you use"
	case l.Scope == "user":
		r.Of = "what the member uses"
	case l.Scope == "team":
		r.Of = "what team " + l.SubjectID + " uses"
	}
	if l.Limit != nil {
		r.Limit = *l.Limit
	}
	if name == "" {
		return r
	}
	r.Who, r.Reason = name, l.Reason
	if l.Scope == "team" {
		r.Of = "what team " + l.SubjectName + " uses"
	}
	return r
}

// personal reports whether an alert is for one member alone: what has become of the member's request.
func personal(e events.Credit) bool {
	kind, _ := orgs.KindOf(e.Type)
	return kind.Personal
}

// audience is who sees an alert in the feed.
func audience(e events.Credit) orgs.Audience {
	switch {
	case e.Limit != nil && e.Limit.Scope != credit.ScopeOrganisation:
		return orgs.Administrators
	case e.LimitRequest == nil:
		return orgs.Everybody
	case personal(e):
		return orgs.Only(e.LimitRequest.UserID)
	}
	return orgs.Administrators
}

// recipients are the addresses that an alert's mail goes to: the administrators, the billing contact too if it is to be told of the kind, and of an
// answer the member who asked; and the name of the member whom it is about, if it is about one.
func (n *Notifier) recipients(ctx context.Context, e events.Credit, o orgs.Org, kind orgs.KindRow) (addresses []string, name string, err error) {
	if e.LimitRequest != nil {
		m, err := n.orgs.Member(ctx, e.OrgID, e.LimitRequest.UserID)
		if no, ok := errors.AsType[*orgs.Error](err); ok && no.Code() == "not_found" {
			m, err = orgs.Member{}, nil // no longer one
		}
		if err != nil {
			return nil, "", fmt.Errorf("alert %s: %w", e.ID, err)
		}
		if name = m.Name; name == "" {
			name = aMember
		}
		if kind.Personal {
			if m.Email == "" {
				return nil, name, nil
			}
			return []string{m.Email}, name, nil
		}
	}
	if addresses, err = n.orgs.Administrators(ctx, e.OrgID); err != nil {
		return nil, "", fmt.Errorf("alert %s: %w", e.ID, err)
	}
	if contact := o.BillingContact; contact != "" && o.Alerts.TellsContact(kind) &&
		!slices.ContainsFunc(addresses, func(a string) bool { return strings.EqualFold(a, contact) }) {
		addresses = append(addresses, contact)
	}
	return addresses, name, nil
}
