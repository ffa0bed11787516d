package credit

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Refusal is a command's definite no. It changes nothing and leaves no entry.
type Refusal struct { //nolint:errname // the word that callers and the design use
	code    string
	message string
	details map[string]any
}

// The codes of refusals, as callers see them.
const (
	CodeInsufficient = "insufficient_credits"
	CodeInDebt       = "in_debt"
	CodeFrozen       = "wallet_frozen"
	CodeLimit        = "limit_exceeded"
	CodeNotFound     = "not_found"
	CodeInvalid      = "invalid_request"
	CodeConflict     = "idempotency_conflict"
	CodeHoldSettled  = "hold_settled"
	CodeUnknownOrg   = "unknown_org"
)

// Refuse makes a refusal with a stable code, a message for people and details for programs.
func Refuse(code, message string, details map[string]any) *Refusal {
	return &Refusal{code: code, message: message, details: details}
}

func invalid(format string, args ...any) *Refusal {
	return Refuse(CodeInvalid, fmt.Sprintf(format, args...), nil)
}

func (r *Refusal) Error() string { return r.code + ": " + r.message }

// Code is the stable code that decides.
func (r *Refusal) Code() string { return r.code }

// Public is the text that helps, as a sentence; it may be shown to callers. A field's name that begins it stays as it is.
func (r *Refusal) Public() string {
	word, _, _ := strings.Cut(r.message, " ")
	if strings.Contains(word, "_") {
		return r.message + "."
	}
	first, size := utf8.DecodeRuneInString(r.message)
	return string(unicode.ToUpper(first)) + r.message[size:] + "."
}

// Details are the members that go with the code.
func (r *Refusal) Details() map[string]any { return r.details }

// Missing says what must be loaded into the state before the command can be decided. It is no answer for a caller.
type Missing struct { //nolint:errname // a question to the store, not a failure
	// Due asks for the journal of what is due at or before this time: see [Journal]; when Journal itself asks, for what is due outside
	// the wallet: see [State.LoadDue].
	Due time.Time
	// More asks for the next waiting grants in burn-down order: see [State.LoadWaiting].
	More bool
	// Grants asks for these grants' records: see [State.LoadGrants] and [State.LoadAbsent].
	Grants []string
	// Item asks for the grants of a subscription item: see [State.LoadItem].
	Item string
	// Linked asks for the bonuses that came with this grant: see [State.LoadLinked].
	Linked string
	// Debit asks for the entry of this debit, or of the capture of the hold with this event id, and how much of it is reversed: see
	// [State.LoadDebit].
	Debit string
	// Hold asks for the record of this hold: see [State.LoadHold].
	Hold string
	// Counters asks for these pages of counters: see [State.LoadCounters].
	Counters []CounterPage
	// Usage asks for what was used in this window: see [State.LoadUsage].
	Usage string
	// DueHolds asks for what of the open holds is due at or before this time: see [State.LoadDueHolds].
	DueHolds time.Time
}

func (m *Missing) Error() string { return fmt.Sprintf("state to be loaded first: %+v", *m) }
