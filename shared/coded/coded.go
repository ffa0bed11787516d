// Package coded is what an error consists of that explains itself to a caller: a code of the HTTP contract, a sentence, the members that go with
// the code, and the cause beneath. Packages embed Reason in an error type of their own, so that theirs can be told apart with errors.As.
//
// It does not own the codes' meaning (the packages that return them) nor their HTTP statuses (package problem).
package coded

// Reason is what an explained error consists of.
type Reason struct {
	Is   string         // the code, which decides
	Says string         // a sentence for the caller, which helps; it holds nothing that the caller may not see
	With map[string]any // what a program needs to do better
	From error          // the cause; never shown to the caller
}

// Error implements error.
func (e *Reason) Error() string {
	if e.From == nil {
		return e.Is + ": " + e.Says
	}
	return e.Is + ": " + e.Says + " (" + e.From.Error() + ")"
}

// Code is the code of the HTTP contract.
func (e *Reason) Code() string { return e.Is }

// Public says why, for the caller.
func (e *Reason) Public() string { return e.Says }

// Details are what a program needs to do better, or nil.
func (e *Reason) Details() map[string]any { return e.With }

// Unwrap returns the cause, if there is one beneath.
func (e *Reason) Unwrap() error { return e.From }
