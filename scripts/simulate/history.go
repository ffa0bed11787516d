package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// outcome is what whoever did something knows of it.
type outcome string

// The outcomes.
const (
	done    outcome = "done"
	refused outcome = "refused"
	unknown outcome = "unknown" // no definite answer: it may have happened, and may yet
)

// operation is one thing that somebody did, as the somebody knows it. Once it has ended it does not change.
type operation struct {
	N        int
	Round    int
	Began    time.Time
	Ended    time.Time
	Org      string
	Kind     string // debit, usage, hold, …
	ID       string // the event id, idempotency key or reference
	User     string
	Feature  string
	Credits  int64
	Subject  string // what it concerns: a hold, a debit, a session, a payment
	Attempts int
	Outcome  outcome
	Code     string // of the refusal
	Detail   string
}

// history is what was done, in the order of beginning.
type history struct {
	mu         sync.Mutex
	operations []*operation
}

func (h *history) begin(o *operation) *operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	o.N = len(h.operations) + 1
	h.operations = append(h.operations, o)
	return o
}

func (h *history) size() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.operations)
}

// of are the operations of an organisation.
func (h *history) of(org string) []*operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []*operation
	for _, o := range h.operations {
		if o.Org == org {
			out = append(out, o)
		}
	}
	return out
}

// print writes the history down for a person: one line an operation.
func (h *history) print(w io.Writer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range h.operations {
		fmt.Fprintf(w, "%5d  round %d  %s  %-8s %-12s %-9s", o.N, o.Round, o.Began.Format("2006-01-02T15:04:05.000000"), o.Org, o.Kind, o.Outcome)
		for _, part := range []struct{ name, value string }{
			{"id", o.ID}, {"subject", o.Subject}, {"user", o.User}, {"feature", o.Feature}, {"code", o.Code}, {"detail", o.Detail},
		} {
			if part.value != "" {
				fmt.Fprintf(w, "  %s=%s", part.name, part.value)
			}
		}
		if o.Credits != 0 {
			fmt.Fprintf(w, "  credits=%d", o.Credits)
		}
		fmt.Fprintf(w, "  attempts=%d took=%s\n", o.Attempts, o.Ended.Sub(o.Began))
	}
}
