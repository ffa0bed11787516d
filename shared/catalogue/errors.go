package catalogue

import (
	"fmt"
	"strings"

	"github.com/fluxori/ai-credits/shared/coded"
)

// Error says why the catalogue does not answer as asked. Its code is one of the HTTP contract.
type Error struct{ coded.Reason }

// InvalidError tells all that is wrong with a Document.
type InvalidError struct {
	// Version is the Document's, which may be among what is wrong.
	Version int64
	// Problems each name a place and what is wrong there.
	Problems []string
}

// Error implements error.
func (e *InvalidError) Error() string {
	return fmt.Sprintf("catalogue %d: %s", e.Version, strings.Join(e.Problems, "; "))
}

// Code is the code of the HTTP contract.
func (e *InvalidError) Code() string { return "invalid_request" }

// Public says what is wrong, for the caller.
func (e *InvalidError) Public() string {
	return "The catalogue is not valid: " + strings.Join(e.Problems, "; ") + "."
}

// Details are the problems, one by one.
func (e *InvalidError) Details() map[string]any { return map[string]any{"problems": e.Problems} }

func unknownFeature(id string) *Error {
	return &Error{coded.Reason{Is: "unknown_feature", Says: fmt.Sprintf("There is no feature %q.", clip(id)), With: map[string]any{"feature": clip(id)}}}
}

func outOfRange(f Feature) *Error {
	public := fmt.Sprintf("The feature %q costs %d credits.", f.ID, f.Price.Min)
	if !f.Price.Fixed() {
		public = fmt.Sprintf("The feature %q costs from %d to %d credits; state how many.", f.ID, f.Price.Min, f.Price.Max)
	}
	return &Error{coded.Reason{Is: "credits_out_of_range", Says: public, With: map[string]any{"feature": f.ID, "min": f.Price.Min, "max": f.Price.Max}}}
}

func customOutOfRange(custom CustomCredits, currency Currency) *Error {
	return &Error{coded.Reason{
		Is:   "credits_out_of_range",
		Says: fmt.Sprintf("From %d to %d credits are sold at a time in %s.", custom.Min, custom.Max, currency),
		With: map[string]any{"min": custom.Min, "max": custom.Max, "currency": string(currency)},
	}}
}

func notSold(currency Currency) *Error {
	return &Error{coded.Reason{
		Is:   "invalid_request",
		Says: fmt.Sprintf("Amounts of one's choice are not sold in %q.", clip(string(currency))),
		With: map[string]any{"field": "currency"},
	}}
}

func invalidQuantity(feature, field, public string) *Error {
	return &Error{coded.Reason{Is: "invalid_request", Says: public, With: map[string]any{"feature": feature, "field": field}}}
}

func notFound(kind, id string) *Error {
	return &Error{coded.Reason{Is: "not_found", Says: fmt.Sprintf("There is no %s %q.", kind, clip(id))}}
}

func unknownVersion(version int64) *Error {
	return &Error{coded.Reason{
		Is:   "invalid_request",
		Says: fmt.Sprintf("The price version %d is not known.", version),
		With: map[string]any{"field": "price_version"},
	}}
}

func notInForce(from, current int64) *Error {
	return &Error{coded.Reason{
		Is:   "invalid_request",
		Says: fmt.Sprintf("It was made from version %d, and version %d is in force: take that one, and make the change again.", from, current),
		With: map[string]any{"field": "version", "reason": "not_in_force", "current": current},
	}}
}

func unavailable(cause error) *Error {
	return &Error{coded.Reason{Is: "unavailable", Says: "The catalogue cannot be read now.", From: cause}}
}

// clip bounds what a message repeats of its caller.
func clip(s string) string {
	const most = 100
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
