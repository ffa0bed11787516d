package orgs

import (
	"errors"
	"fmt"
	"strings"
)

// errNewer says that a document was written by a newer release, whose meaning this one cannot know.
var errNewer = errors.New("the document was written by a newer release")

// Error says why something cannot be done. Its code is `unknown_org`, `not_found`, `invalid_request` or `unavailable`.
type Error struct {
	code    string
	public  string
	details map[string]any
	cause   error
}

// Error implements error.
func (e *Error) Error() string {
	if e.cause == nil {
		return e.code + ": " + e.public
	}
	return e.code + ": " + e.public + " (" + e.cause.Error() + ")"
}

// Code is the code of the HTTP contract.
func (e *Error) Code() string { return e.code }

// Public says why, for the caller.
func (e *Error) Public() string { return e.public }

// Details name the fields at fault, if some are.
func (e *Error) Details() map[string]any { return e.details }

// Unwrap returns the cause, if there is one beneath.
func (e *Error) Unwrap() error { return e.cause }

// UnknownOrg is the answer about an organisation that does not exist, and, word for word, about one that the caller may not see. It does
// not name the organisation.
func UnknownOrg() *Error {
	return &Error{code: "unknown_org", public: "There is no such organisation, or you may not see it."}
}

func notFound(what string) *Error {
	return &Error{code: "not_found", public: fmt.Sprintf("There is no such %s.", what)}
}

func unavailable(format string, args ...any) *Error {
	return &Error{code: "unavailable", public: "The organisation cannot be read or changed now; repeat the request.", cause: fmt.Errorf(format, args...)}
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
	return &Error{
		code: "invalid_request", public: strings.Join(f.problems, "; ") + ".",
		details: map[string]any{"field": f.fields[0], "problems": f.problems},
	}
}
