package orgs

import (
	"fmt"
	"strings"

	"github.com/fluxori/ai-credits/shared/coded"
)

// Error says why something cannot be done. Its code is `unknown_org`, `not_found`, `invalid_request` or `unavailable`.
type Error struct{ coded.Reason }

// UnknownOrg is the answer about an organisation that does not exist, and, word for word, about one that the caller may not see. It does
// not name the organisation.
func UnknownOrg() *Error {
	return &Error{coded.Reason{Is: "unknown_org", Says: "There is no such organisation, or you may not see it."}}
}

func notFound(what string) *Error {
	return &Error{coded.Reason{Is: "not_found", Says: fmt.Sprintf("There is no such %s.", what)}}
}

// refused is a change that what is stored does not allow.
func refused(field, reason, format string, args ...any) *Error {
	return &Error{coded.Reason{Is: "invalid_request", Says: fmt.Sprintf(format, args...), With: map[string]any{"field": field, "reason": reason}}}
}

func unavailable(format string, args ...any) *Error {
	return &Error{coded.Reason{Is: "unavailable", Says: "The organisation cannot be read or changed now; repeat the request.", From: fmt.Errorf(format, args...)}}
}

// faults gathers what is wrong with something, by field.
type faults struct {
	fields   []string
	problems []string
}

func (f *faults) add(field, format string, args ...any) {
	f.fields = append(f.fields, field)
	f.problems = append(f.problems, field+" "+fmt.Sprintf(format, args...))
}

// err tells everything that is wrong at once, or nil.
func (f *faults) err() error {
	if len(f.fields) == 0 {
		return nil
	}
	return &Error{coded.Reason{
		Is: "invalid_request", Says: strings.Join(f.problems, "; ") + ".",
		With: map[string]any{"field": f.fields[0], "problems": f.problems},
	}}
}
