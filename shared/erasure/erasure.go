// Package erasure removes a person from an organisation's records: afterwards no document holds the person's name or address as one of the
// organisation, and the ledger still adds up.
//
// Invariants:
//   - Names and addresses live in the member's own document, which goes, and in what people and programs write: metadata of debits, reasons,
//     messages that could not be handled, names of teams. What was sent with the person's own work goes whole; of anything else what holds the
//     name or the address as words of their own, in capitals or not, escaped as JSON does or not.
//   - Figures stay. Entries, counters, roll-ups and notifications name a person by an opaque id only, and keep it.
//   - What is still to be published may hold such words, and goes with the outbox, within a minute; what was, with Pub/Sub's own retention.
//   - An address that the organisation's own profile states is the organisation's, and keeps the person from being erased until it is changed.
//   - It may be repeated, and goes on where it stopped: the membership ends last.
//
// It does not own who may ask for it (the functions), who is a member (package orgs), the ledger (package ledger), what the issuer of identities
// and Stripe know of the person, or logs, which hold neither names nor addresses and are kept for days.
package erasure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

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

// Texts are what people wrote, as *limitrequests.Desk, *deadletters.Store, *payments.Receiver and *orgs.Store keep them.
type Texts interface {
	// EraseTexts takes out of an organisation's texts those that sub wrote and those that hold what holds says, and returns how many documents it
	// changed. It may be repeated.
	EraseTexts(ctx context.Context, org, sub string, holds func(text string) bool) (changed int, err error)
}

// Eraser erases people. It is safe for concurrent use.
type Eraser struct {
	o Options
}

// Options are where a person's traces are. All are required.
type Options struct {
	People  People
	Entries Entries
	// Requests are members' requests for more, Letters messages that could not be handled, Payments refunds and what was put aside, Teams the names
	// of teams.
	Requests, Letters, Payments, Teams Texts
}

// New returns an Eraser.
func New(o Options) (*Eraser, error) {
	if o.People == nil || o.Entries == nil || o.Requests == nil || o.Letters == nil || o.Payments == nil || o.Teams == nil {
		return nil, errors.New("erasing needs people, entries, requests, letters, payments and teams")
	}
	return &Eraser{o}, nil
}

// Error says why a person is not erased. Its code is `invalid_request`.
type Error struct{ coded.Reason }

// Erased is what one call did.
type Erased struct {
	// Entries, Requests, Letters, Payments (with what was put aside) and Teams are how many of them had texts to be taken out.
	Entries, Requests, Letters, Payments, Teams int
	// Removed says that the person was a member until now.
	Removed bool
	// Next is where to go on; empty when all is done.
	Next string
}

// Erase removes a person from an organisation, going on after what an earlier call returned as Next; empty begins. A person who is no longer a
// member is erased all the same, though by then nobody knows which name to look for in other people's words. Errors are an *Error; those of
// package orgs, `unknown_org`, `unavailable` or `invalid_request` for the last administrator; or the ledger's.
func (e *Eraser) Erase(ctx context.Context, org, sub, after string) (out Erased, err error) {
	o, err := e.o.People.Get(ctx, org)
	if err != nil {
		return Erased{}, err
	}
	m, err := e.o.People.Member(ctx, org, sub)
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
		changed, last, err := e.o.Entries.EraseTexts(ctx, org, after, erasing)
		if err != nil {
			return out, fmt.Errorf("entries of %s: %w", org, err)
		}
		out.Entries += changed
		after = last
	}
	for _, of := range []struct {
		what    string
		texts   Texts
		changed *int
	}{
		{"limit requests", e.o.Requests, &out.Requests}, {"dead letters", e.o.Letters, &out.Letters}, {"payments", e.o.Payments, &out.Payments},
		{"teams", e.o.Teams, &out.Teams},
	} {
		if *of.changed, err = of.texts.EraseTexts(ctx, org, sub, holds); err != nil {
			return out, fmt.Errorf("%s of %s: %w", of.what, org, err)
		}
	}
	if !found {
		return out, nil
	}
	_, err = e.o.People.RemoveMember(ctx, org, sub)
	if no, ok := errors.AsType[*orgs.Error](err); ok && no.Code() == credit.CodeNotFound {
		return out, nil // somebody was quicker
	}
	out.Removed = err == nil
	return out, err
}

// holding tells whether a text holds an address or a name as words of their own, in capitals or not, also where JSON has escaped their letters.
func holding(words ...string) func(string) bool {
	var lower []string
	for _, w := range words {
		if w = strings.ToLower(strings.TrimSpace(w)); w != "" {
			lower = append(lower, w)
		}
	}
	return func(text string) bool {
		text = strings.ToLower(unescaped(text))
		return slices.ContainsFunc(lower, func(w string) bool { return holdsWord(text, w) })
	}
}

// holdsWord reports whether a word stands in a text with neither a letter nor a digit beside it: "al" is not in "all".
func holdsWord(text, word string) bool {
	for from := 0; ; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return false
		}
		begin, end := from+i, from+i+len(word)
		before, _ := utf8.DecodeLastRuneInString(text[:begin])
		after, _ := utf8.DecodeRuneInString(text[end:])
		if !partOfWord(before) && !partOfWord(after) {
			return true
		}
		from = begin + 1
	}
}

func partOfWord(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

var escapes = regexp.MustCompile(`(?:\\u[0-9a-fA-F]{4})+`)

// unescaped is a text with the letters that JSON may have escaped as they are.
func unescaped(text string) string {
	if !strings.Contains(text, `\u`) {
		return text
	}
	return escapes.ReplaceAllStringFunc(text, func(escaped string) string {
		var plain string
		if json.Unmarshal([]byte(`"`+escaped+`"`), &plain) != nil {
			return escaped
		}
		return plain
	})
}
