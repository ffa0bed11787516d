// Package problem turns errors into HTTP answers. It is the one place that knows which HTTP status a code stands for.
//
// An error explains itself by implementing [Coded], which any package can do without importing this one. Answers are
// `application/problem+json` (RFC 9457) with the members type, title, status, code, detail and request_id, and beside
// them the details of the error (scope, subject, limit, used, resets_at and so on). The text helps; the code decides.
//
// Invariants: every code of the HTTP contract has one status; an error that does not explain itself is answered as
// `internal` with nothing of it in the answer, and is logged; an answer that says to try again says when.
//
// It does not own the codes' meaning (the packages that return them) nor the request's id (package request).
package problem

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/request"
)

// The codes of the HTTP contract.
const (
	InsufficientCredits = "insufficient_credits"
	InDebt              = "in_debt"
	LimitExceeded       = "limit_exceeded"
	WalletFrozen        = "wallet_frozen"
	UnknownOrg          = "unknown_org"
	NotFound            = "not_found"
	UnknownFeature      = "unknown_feature"
	CreditsOutOfRange   = "credits_out_of_range"
	DataRequired        = "data_required"
	IdempotencyConflict = "idempotency_conflict"
	HoldSettled         = "hold_settled"
	NotRefundable       = "not_refundable"
	PaymentDeclined     = "payment_declined"
	FeatureUnavailable  = "feature_unavailable"
	Unavailable         = "unavailable"
	InvalidRequest      = "invalid_request"
	TooLarge            = "too_large"
	Unauthenticated     = "unauthenticated"
	Forbidden           = "forbidden"
	MethodNotAllowed    = "method_not_allowed"
	RateLimited         = "rate_limited"
	PromotionUsed       = "promotion_used"
	ReferralRefused     = "referral_refused"
	Internal            = "internal"
)

// retryAfterDefault is what an `unavailable` or `rate_limited` answer says when the error names no time: long enough
// for a store's hiccup to pass, short enough that a caller who repeats with the same id is not kept waiting.
const retryAfterDefault = 2 * time.Second

// Coded is an error that explains itself to the caller.
type Coded interface {
	error
	// Code is one of the codes of the HTTP contract.
	Code() string
	// Public is a sentence for the caller. It holds nothing that the caller may not see.
	Public() string
	// Details are further members of the answer, or nil. Their values can be encoded as JSON.
	Details() map[string]any
}

// Retryable is an error that knows when to try again.
type Retryable interface {
	error
	// RetryAfter is how long to wait; zero or less means the default.
	RetryAfter() time.Duration
}

// Status returns the HTTP status of a code, and whether the code is one of the contract.
func Status(code string) (int, bool) {
	switch code {
	case InvalidRequest:
		return http.StatusBadRequest, true
	case Unauthenticated:
		return http.StatusUnauthorized, true
	case InsufficientCredits, InDebt, PaymentDeclined:
		return http.StatusPaymentRequired, true
	case LimitExceeded, WalletFrozen, Forbidden:
		return http.StatusForbidden, true
	case UnknownOrg, NotFound:
		return http.StatusNotFound, true
	case MethodNotAllowed:
		return http.StatusMethodNotAllowed, true
	case IdempotencyConflict, HoldSettled, PromotionUsed, ReferralRefused:
		return http.StatusConflict, true
	case TooLarge:
		return http.StatusRequestEntityTooLarge, true
	case UnknownFeature, CreditsOutOfRange, DataRequired, NotRefundable:
		return http.StatusUnprocessableEntity, true
	case RateLimited:
		return http.StatusTooManyRequests, true
	case FeatureUnavailable, Unavailable:
		return http.StatusServiceUnavailable, true
	case Internal:
		return http.StatusInternalServerError, true
	default:
		return http.StatusInternalServerError, false
	}
}

// Error is a Coded error for what belongs to no domain: a route that is not there, a method it does not have.
type Error struct {
	code    string
	public  string
	details map[string]any
}

// New returns an Error. Details may be nil.
func New(code, public string, details map[string]any) *Error {
	return &Error{code: code, public: public, details: details}
}

// Error implements error.
func (e *Error) Error() string { return e.code + ": " + e.public }

// Code implements Coded.
func (e *Error) Code() string { return e.code }

// Public implements Coded.
func (e *Error) Public() string { return e.public }

// Details implements Coded.
func (e *Error) Details() map[string]any { return e.details }

var _ Coded = (*Error)(nil)

// Noter is a response writer that wants to know which problem it carries, for the request's line in the log.
type Noter interface {
	NoteProblem(code string)
}

// Write answers r with err as a problem, and tells a writer that is a [Noter] its code. A failing of our own (`internal` and `unavailable`) is
// logged with the whole error on the request's logger. Write must come before any other answer.
func Write(w http.ResponseWriter, r *http.Request, err error) {
	scope := request.FromContext(r.Context())
	log := request.Logger(r.Context())
	coded := explain(err)
	code, detail := coded.Code(), coded.Public()
	httpStatus, known := Status(code)
	if !known {
		log.ErrorContext(r.Context(), "an error carries a code that the contract does not have", slog.String("code", code))
		code, detail, coded = Internal, errInternal.public, errInternal
	}
	if code == Internal || code == Unavailable {
		log.LogAttrs(r.Context(), severity(code), "request failed", slog.String("code", code), slog.Any("error", err))
	}

	if n, ok := w.(Noter); ok {
		n.NoteProblem(code)
	}

	members := map[string]any{}
	maps.Copy(members, coded.Details())
	// The members of RFC 9457 and of the contract win over details of the same name.
	members["type"] = "about:blank"
	members["title"] = http.StatusText(httpStatus)
	members["status"] = httpStatus
	members["code"] = code
	members["detail"] = detail
	delete(members, "request_id")
	if scope.ID != "" {
		members["request_id"] = scope.ID
	}
	body, encodeErr := encode(members)
	if encodeErr != nil {
		log.ErrorContext(r.Context(), "a problem's details cannot be encoded", slog.String("code", code), slog.Any("error", encodeErr))
	}

	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if wait, ok := retryAfter(code, err); ok {
		h.Set("Retry-After", strconv.FormatInt(wait, 10))
	}
	if code == Unauthenticated {
		h.Set("WWW-Authenticate", "Bearer")
	}
	w.WriteHeader(httpStatus)
	w.Write(body)
}

// Refusal returns the code and public text of an error that is a definite no: the same request repeated gets the same answer while things
// are as they are. ok is false for what passes by itself, and for a failing of our own.
func Refusal(err error) (code, public string, ok bool) {
	coded := explain(err)
	switch coded.Code() {
	case Internal, Unavailable, RateLimited, FeatureUnavailable:
		return "", "", false
	}
	_, ok = Status(coded.Code())
	return coded.Code(), coded.Public(), ok
}

// encode returns members as JSON. If a detail cannot be encoded it returns the error, and the answer without details.
func encode(members map[string]any) ([]byte, error) {
	body, err := json.Marshal(members)
	if err == nil {
		return append(body, '\n'), nil
	}
	bare := map[string]any{}
	for _, name := range []string{"type", "title", "status", "code", "detail", "request_id"} {
		if v, ok := members[name]; ok {
			bare[name] = v
		}
	}
	// Strings and one number: this cannot fail.
	body, bareErr := json.Marshal(bare)
	return append(body, '\n'), errors.Join(fmt.Errorf("encode problem members: %w", err), bareErr)
}

var (
	errInternal    = New(Internal, "The request failed for a reason of our own.", nil)
	errUnavailable = New(Unavailable, "The service cannot answer now; whether the request took effect is not known. Repeat it with the same id.", nil)
)

// explain finds what err says of itself.
func explain(err error) Coded {
	// A body over the limit is found first: decoders wrap it as a body that cannot be read.
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return New(TooLarge, fmt.Sprintf("The body is larger than %d bytes.", tooLarge.Limit), map[string]any{"limit_bytes": tooLarge.Limit})
	}
	if coded, ok := errors.AsType[Coded](err); ok {
		return coded
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || outage(err) {
		return errUnavailable
	}
	return errInternal
}

// outage reports whether err is a gRPC status that says that the store or the broker could not answer in time.
func outage(err error) bool {
	s, ok := status.FromError(err)
	if !ok {
		return false
	}
	switch s.Code() {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Aborted, codes.ResourceExhausted:
		return true
	default:
		return false
	}
}

// severity returns the level at which a failing is logged: what heals by itself warns, what needs a person is an error.
func severity(code string) slog.Level {
	if code == Internal {
		return slog.LevelError
	}
	return slog.LevelWarn
}

// retryAfter returns the whole seconds after which to try again, at least one, and whether to say so.
func retryAfter(code string, err error) (int64, bool) {
	var wait time.Duration
	if e, ok := errors.AsType[Retryable](err); ok {
		wait = e.RetryAfter()
	}
	switch code {
	case Unavailable, RateLimited:
		if wait <= 0 {
			wait = retryAfterDefault
		}
	case FeatureUnavailable:
		if wait <= 0 {
			return 0, false
		}
	default:
		return 0, false
	}
	return int64((wait + time.Second - 1) / time.Second), true
}
