// Package limitrequests lets members ask for more than a limit allows, and administrators grant or decline it.
//
// Invariants:
//   - A member has one open request for each limit at most, and makes at most [MaxRecent] in 24 hours. Asking again for what is asked for already
//     finds the open request and tells nobody.
//   - A request is decided once. The same decision again is the same result; another one is a conflict.
//   - To grant is to move the limit to a figure that is written down first: repeated, or taken up where a process died, it ends there and nowhere
//     else. A limit is never lowered by a grant, whatever was changed meanwhile.
//   - Administrators are told of a request, and the member of its decision, once: what is to be told is written in the transaction that makes it
//     true, and published after it.
//
// It does not own limits and what is used of them (packages credit and ledger), who may decide (the functions), people (package orgs) or how
// they are told (package notify).
package limitrequests

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/fluxori/ai-credits/shared/coded"
	"github.com/fluxori/ai-credits/shared/credit"
)

// Bounds of requests.
const (
	// MaxRecent is how many requests a member makes in [recently].
	MaxRecent = 10
	recently  = 24 * time.Hour
	maxReason = 500 // bytes
)

// State is how far a request has come.
type State string

// The states. Granting is a grant whose limit is written down and may not be in force yet.
const (
	Open     State = "open"
	Granting State = "granting"
	Granted  State = "granted"
	Declined State = "declined"
)

// Request is a member's request for a higher limit.
type Request struct {
	ID string
	// By is the subject of the member who asks.
	By string
	// Subject is whose limit it is about, SubjectName the name of a team.
	Subject     credit.Subject
	SubjectName string
	// Credits is how many more are asked for, in a month; 0 leaves it to whoever decides.
	Credits int64
	// Limit is what the limit was when it was asked about, in credits a month.
	Limit  int64
	Reason string
	State  State
	// CreatedAt, DecidedAt and DecidedBy: when it was asked, when it was decided and by whom.
	CreatedAt, DecidedAt time.Time
	DecidedBy            string
	// Target is what the limit was raised to, of a grant; nil if there was no limit left to raise.
	Target *int64
	// Answer is why it was declined.
	Answer string
}

// Decided reports whether nothing is left to do about the request.
func (r Request) Decided() bool { return r.State == Granted || r.State == Declined }

// Error says why something cannot be done. Its code is `invalid_request`, `not_found`, `idempotency_conflict`, `rate_limited` or `unavailable`.
type Error struct {
	coded.Reason
	wait time.Duration
}

// RetryAfter is how long to wait before asking again.
func (e *Error) RetryAfter() time.Duration { return e.wait }

func invalid(field, reason, format string, args ...any) *Error {
	return &Error{Reason: coded.Reason{Is: "invalid_request", Says: fmt.Sprintf(format, args...), With: map[string]any{"field": field, "reason": reason}}}
}

func notFound() *Error {
	return &Error{Reason: coded.Reason{Is: "not_found", Says: "There is no such limit request."}}
}

func decidedOtherwise(r Request) *Error {
	return &Error{Reason: coded.Reason{
		Is: "idempotency_conflict", Says: "The request is decided already, in another way.", With: map[string]any{"state": r.State},
	}}
}

func unavailable(format string, args ...any) *Error {
	return &Error{Reason: coded.Reason{Is: "unavailable", Says: "Limit requests cannot be read or changed now; repeat the request.", From: fmt.Errorf(format, args...)}}
}

// current is the limit that binds a request's subject now; nil for none.
type current = *credit.Limit

// grant is the request after an administrator grants it: with a limit, or, without one, with as much more as was asked for. Where no limit binds
// any more there is nothing to raise. changed says whether it is another than before.
func (r Request) grant(limit *int64, now current, by string, at time.Time) (out Request, changed bool, err error) {
	switch r.State {
	case Granting, Granted:
		if limit != nil && (r.Target == nil || *limit != *r.Target) {
			return r, false, decidedOtherwise(r)
		}
		return r, false, nil
	case Declined:
		return r, false, decidedOtherwise(r)
	case Open:
	}
	out = r
	switch {
	case now == nil && limit != nil:
		return r, false, invalid("limit", "no_limit", "There is no limit any more that could be raised; grant the request without one, or decline it.")
	case now == nil:
	case limit == nil && r.Credits == 0:
		return r, false, invalid("limit", "required", "limit is required: the request does not say how many credits are asked for.")
	case limit == nil:
		target := max(now.Credits, min(r.Limit+r.Credits, credit.MaxCredits))
		out.Target = &target
	case *limit > credit.MaxCredits:
		return r, false, invalid("limit", "too_large", "limit must be at most %d credits.", credit.MaxCredits)
	case *limit <= now.Credits:
		return r, false, invalid("limit", "not_higher", "limit must be higher than the limit in force, %d credits.", now.Credits)
	default:
		out.Target = limit
	}
	out.State, out.DecidedBy, out.DecidedAt = Granting, by, at
	return out, true, nil
}

// decline is the request after an administrator declines it. The first reason stands.
func (r Request) decline(reason, by string, at time.Time) (out Request, changed bool, err error) {
	switch r.State {
	case Declined:
		return r, false, nil
	case Granting, Granted:
		return r, false, decidedOtherwise(r)
	case Open:
	}
	if !plain(reason) {
		return r, false, invalid("reason", "text", "reason must be at most %d bytes of text without control characters.", maxReason)
	}
	r.State, r.Answer, r.DecidedBy, r.DecidedAt = Declined, reason, by, at
	return r, true, nil
}

// raise is the command that puts a grant in force, or nil if the limit is as high already, or there is none.
func (r Request) raise(now current) credit.Command {
	if r.Target == nil || now == nil || now.Credits >= *r.Target {
		return nil
	}
	return credit.SetLimits{
		Changes: []credit.LimitChange{{Subject: r.Subject, Limit: &credit.Limit{Credits: *r.Target}, Raise: true}},
		Actor:   r.DecidedBy, Reason: "limit request " + r.ID,
	}
}

// checkAsk tells what is wrong with what is asked.
func checkAsk(a Ask) error {
	switch {
	case strings.TrimSpace(a.Reason) == "":
		return invalid("reason", "required", "reason is required.")
	case !plain(a.Reason):
		return invalid("reason", "text", "reason must be at most %d bytes of text without control characters.", maxReason)
	case a.Credits < 0 || a.Credits > credit.MaxCredits:
		return invalid("credits", "range", "credits must be from 1 to %d, or be left out.", credit.MaxCredits)
	}
	return nil
}

func plain(s string) bool {
	return len(s) <= maxReason && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// requester is what is remembered of a member who asks: what is open, by limit, and when was asked lately.
type requester struct {
	open   map[string]string
	recent []time.Time
}

// slot names the limit that a request is about, in the requester's document.
func slot(s credit.Subject) string { return string(s.Scope) + ":" + s.ID }

// admit counts one more request, unless there were too many lately.
func (q *requester) admit(s credit.Subject, id string, at time.Time) error {
	kept := make([]time.Time, 0, MaxRecent)
	for _, t := range q.recent {
		if at.Sub(t) < recently {
			kept = append(kept, t)
		}
	}
	if len(kept) >= MaxRecent {
		return &Error{
			Reason: coded.Reason{Is: "rate_limited", Says: fmt.Sprintf("At most %d limits can be asked about in 24 hours.", MaxRecent)},
			wait:   recently - at.Sub(kept[0]),
		}
	}
	q.recent = append(kept, at)
	if q.open == nil {
		q.open = map[string]string{}
	}
	q.open[slot(s)] = id
	return nil
}
