// Package refusals remembers which requests to spend were refused and why, so that it can be looked up later.
//
// A refusal is counted by organisation, user, team, feature, code, blocker, service and kind of request: one document for each of these and
// minute and process, with how many there were, when the first and the last came, and what the last was told. So thousands of refusals a
// second cost a few writes.
//
// Invariants: the sum of the documents' counts never exceeds what was refused; a document is written by one process, whole, so that a write
// repeated changes nothing; memory, writes and the time that a caller is kept are bounded; no failure of this log changes an answer.
//
// A refusal is in the store before its caller is answered, or while another refused caller still waits: a processor that is throttled after
// the answer loses none. Counts are lost when a process dies, or ends while the store cannot be written.
//
// It does not own why something is refused, nor who may look.
package refusals

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fluxori/ai-credits/shared/coded"
)

// Life is how long a refusal can be looked up.
const Life = 90 * 24 * time.Hour

// Bounds of what a refusal keeps, in bytes.
const (
	maxDetails = 2048
	maxDetail  = 1024
	maxBlocker = 300
)

// Kind is what was asked.
type Kind string

// The kinds of requests that are refused.
const (
	Debit Kind = "debit"
	Hold  Kind = "hold"
)

// codes are those of requests that made sense and were refused nonetheless. Other refusals are mistakes of the calling service: no
// organisation need know them, nor even exist.
var codes = []string{"wallet_frozen", "in_debt", "feature_unavailable", "data_required", "limit_exceeded", "insufficient_credits"}

// Request is what was asked, and by whom.
type Request struct {
	Org, User, Team, Feature string
	Kind                     Kind
	// Credits is the price of what was asked.
	Credits int64
	EventID string
	// Actor is the service that asked.
	Actor string
}

// Refusal is requests of one kind that were refused for one reason within a minute.
type Refusal struct {
	ID string
	// Request is the last of them.
	Request
	Code string
	// Blocker is the limit in the way, as scope:subject; empty for other codes.
	Blocker string
	// Detail is what the last of them was told; Details are the members that went with it, as a JSON object.
	Detail  string
	Details json.RawMessage
	Count   int64
	First   time.Time
	Last    time.Time
	// Sampled says that several users' requests are counted together, because there were too many to tell apart: of what was asked only
	// the code is told.
	Sampled bool
}

// reason is an error that explains itself.
type reason interface {
	error
	Code() string
	Public() string
	Details() map[string]any
}

var _ reason = (*coded.Reason)(nil)

// of is the refusal of a request by an error; ok is false for what is not logged.
func of(q Request, err error, now time.Time) (r Refusal, ok bool) {
	why, ok := errors.AsType[reason](err)
	if !ok || !slices.Contains(codes, why.Code()) {
		return Refusal{}, false
	}
	r = Refusal{Request: q, Code: why.Code(), Detail: cut(why.Public(), maxDetail), Count: 1, First: now, Last: now}
	with := why.Details()
	if scope, ok := with["scope"]; ok {
		r.Blocker = cut(fmt.Sprint(scope, ":", with["subject"]), maxBlocker)
	}
	if data, err := json.Marshal(with); err == nil && len(with) > 0 && len(data) <= maxDetails {
		r.Details = data
	}
	return r, true
}

// cut is s, or as much of it as fits.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "")
}
