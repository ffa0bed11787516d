// Package erasure removes a person from an organisation's records: afterwards no document of the organisation, and none of its wallet, holds
// the person's name or address, and the ledger still adds up.
//
// Invariants:
//   - Names and addresses live in the member's own document, which goes, and in what people and programs write: metadata of debits, reasons. What
//     was sent with the person's own work goes whole; of anything else what holds the name or the address.
//   - Figures stay. Entries, counters, roll-ups and notifications name a person by an opaque id only, and keep it.
//   - What is still to be published may hold such words, and goes with the outbox, within a minute.
//   - An address that the organisation's own profile states is the organisation's, and keeps the person from being erased until it is changed.
//   - It may be repeated, and goes on where it stopped: the membership ends last.
//
// It does not own who may ask for it (the functions), who is a member (package orgs), the ledger (package ledger), what the issuer of identities
// and Stripe know of the person, or logs, which hold neither names nor addresses and are kept for days.
package erasure

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fluxori/ai-credits/shared/coded"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/orgs"
)

// workTime is for how long one call looks through entries before it says where it stopped.
const workTime = 8 * time.Second

// People are organisations and their members, as an *orgs.Store has them.
type People interface {
	Get(ctx context.Context, org string) (orgs.Org, error)
	Member(ctx context.Context, org, sub string) (orgs.Member, error)
	RemoveMember(ctx context.Context, org, sub string) (orgs.Member, error)
}

// Entries are a wallet's, as a *ledger.Ledger has them.
type Entries interface {
	EraseTexts(ctx context.Context, org, after string, erasing ledger.Erasing) (changed int, last string, err error)
}

// Requests are members' requests for more, as a *limitrequests.Desk has them.
type Requests interface {
	EraseTexts(ctx context.Context, org, sub string, holds func(text string) bool) (changed int, err error)
}

// Eraser erases people. It is safe for concurrent use.
type Eraser struct {
	people   People
	entries  Entries
	requests Requests
}

// New returns an Eraser.
func New(people People, entries Entries, requests Requests) (*Eraser, error) {
	if people == nil || entries == nil || requests == nil {
		return nil, errors.New("erasing needs people, entries and requests")
	}
	return &Eraser{people: people, entries: entries, requests: requests}, nil
}

// Error says why a person is not erased. Its code is `invalid_request`.
type Error struct{ coded.Reason }

// Erased is what one call did.
type Erased struct {
	// Entries and Requests are how many of them had texts to be taken out.
	Entries, Requests int
	// Removed says that the person was a member until now.
	Removed bool
	// Next is where to go on; empty when all is done.
	Next string
}

// Erase removes a person from an organisation, going on after what an earlier call returned as Next; empty begins. A person who is no longer a
// member is erased all the same, though by then nobody knows which name to look for in other people's words. Errors are an *Error; those of
// package orgs, `unknown_org`, `unavailable` or `invalid_request` for the last administrator; or the ledger's.
func (e *Eraser) Erase(ctx context.Context, org, sub, after string) (out Erased, err error) {
	o, err := e.people.Get(ctx, org)
	if err != nil {
		return Erased{}, err
	}
	m, err := e.people.Member(ctx, org, sub)
	found := err == nil
	if no, ok := errors.AsType[*orgs.Error](err); err != nil && (!ok || no.Code() != "not_found") {
		return Erased{}, err
	}
	for field, address := range map[string]string{"owner_email": o.OwnerEmail, "billing_contact": o.BillingContact} {
		if found && m.Email != "" && strings.EqualFold(address, m.Email) {
			return Erased{}, &Error{coded.Reason{
				Is: "invalid_request", Says: "The organisation's profile states this person's address; let the platform state another there first.",
				With: map[string]any{"field": field, "reason": "stated_in_profile"},
			}}
		}
	}
	holds := holding(m.Email, m.Name)
	erasing := func(t ledger.Text) (metadata, reason bool) {
		return t.User == sub || holds(t.Metadata), t.User == sub || holds(t.Reason)
	}
	end := time.Now().Add(workTime)
	for first := true; first || after != ""; first = false {
		if time.Now().After(end) {
			out.Next = after
			return out, nil
		}
		changed, last, err := e.entries.EraseTexts(ctx, org, after, erasing)
		if err != nil {
			return out, fmt.Errorf("entries of %s: %w", org, err)
		}
		out.Entries += changed
		after = last
	}
	if out.Requests, err = e.requests.EraseTexts(ctx, org, sub, holds); err != nil {
		return out, fmt.Errorf("limit requests of %s: %w", org, err)
	}
	if !found {
		return out, nil
	}
	_, err = e.people.RemoveMember(ctx, org, sub)
	if no, ok := errors.AsType[*orgs.Error](err); ok && no.Code() == credit.CodeNotFound {
		return out, nil // somebody was quicker
	}
	out.Removed = err == nil
	return out, err
}

// holding tells whether a text holds an address or a name, in capitals or not.
func holding(words ...string) func(string) bool {
	var lower []string
	for _, w := range words {
		if w = strings.ToLower(strings.TrimSpace(w)); w != "" {
			lower = append(lower, w)
		}
	}
	return func(text string) bool {
		text = strings.ToLower(text)
		for _, w := range lower {
			if strings.Contains(text, w) {
				return true
			}
		}
		return false
	}
}
