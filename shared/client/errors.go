package client

import (
	"errors"
	"strconv"
	"time"
)

// The codes that a service may want to tell apart. There are others: see /debit/docs.
const (
	InsufficientCredits = "insufficient_credits"
	InDebt              = "in_debt"
	LimitExceeded       = "limit_exceeded"
	WalletFrozen        = "wallet_frozen"
	UnknownOrg          = "unknown_org"
	UnknownFeature      = "unknown_feature"
	CreditsOutOfRange   = "credits_out_of_range"
	DataRequired        = "data_required"
	FeatureUnavailable  = "feature_unavailable"
	IdempotencyConflict = "idempotency_conflict"
	HoldSettled         = "hold_settled"
	NotFound            = "not_found"
	InvalidRequest      = "invalid_request"
	Unauthenticated     = "unauthenticated"
	Forbidden           = "forbidden"
)

// Errors that are no answer.
var (
	// ErrUnknown says that it is not known whether the request took effect. The same call with the same event id finds out.
	ErrUnknown = errors.New("the outcome is not known; repeat with the same id")
	// ErrDone says that the hold of this event id was captured before: its work was done and charged for.
	ErrDone = errors.New("this work was done and charged for before")
)

// Error is a definite answer that is no success. The members beside Code are there when they go with it.
type Error struct {
	Code      string `json:"code"` // empty if something before the function answered
	Detail    string `json:"detail"`
	Status    int    `json:"status"`
	RequestID string `json:"request_id"`
	// Field is the part of the request at fault, of invalid_request.
	Field string `json:"field"`
	// Scope, Subject, Limit, Used and ResetsAt tell which limit is in the way, and when no longer, of limit_exceeded.
	Scope    string    `json:"scope"`
	Subject  string    `json:"subject"`
	Limit    int64     `json:"limit"`
	Used     int64     `json:"used"`
	ResetsAt time.Time `json:"resets_at"`
	// Missing is the data that the organisation lacks, of data_required.
	Missing []string `json:"missing"`
	// Body is the whole answer.
	Body []byte `json:"-"`
}

// Error implements error.
func (e *Error) Error() string { return strconv.Itoa(e.Status) + " " + e.Code + ": " + e.Detail }

// CodeOf is the code of the answer in an error, or empty.
func CodeOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}
