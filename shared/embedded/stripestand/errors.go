package stripestand

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// The types of error that Stripe's API distinguishes.
const (
	typeInvalidRequest = "invalid_request_error"
	typeCard           = "card_error"
	typeIdempotency    = "idempotency_error"
)

// apiError is an answer other than success, in the shape of Stripe's API.
type apiError struct {
	Status      int             `json:"-"`
	Charge      string          `json:"charge,omitempty"`
	Code        string          `json:"code,omitempty"`
	DeclineCode string          `json:"decline_code,omitempty"`
	Message     string          `json:"message"`
	Param       string          `json:"param,omitempty"`
	Intent      json.RawMessage `json:"payment_intent,omitempty"`
	Type        string          `json:"type"`
}

// Error implements error.
func (e *apiError) Error() string {
	if e.Param != "" {
		return fmt.Sprintf("%s (%s, param %s): %s", e.Type, e.Code, e.Param, e.Message)
	}
	return fmt.Sprintf("%s (%s): %s", e.Type, e.Code, e.Message)
}

// kept says whether the answer is remembered under the request's
// idempotency key: Stripe keeps what came of work that it had begun, not
// refusals of a malformed request.
func (e *apiError) kept() bool { return e.Type == typeCard }

func invalid(code, param, format string, args ...any) *apiError {
	return &apiError{
		Status:  http.StatusBadRequest,
		Type:    typeInvalidRequest,
		Code:    code,
		Param:   param,
		Message: fmt.Sprintf(format, args...),
	}
}

// missing is the answer for an object that does not exist. Stripe gives 404
// when the object is named by the path and 400 when a parameter names it.
func missing(kind, param, id string) *apiError {
	e := invalid("resource_missing", param, "No such %s: '%s'", kind, id)
	if param == "id" {
		e.Status = http.StatusNotFound
	}
	return e
}

func required(param string) *apiError {
	return invalid("parameter_missing", param, "Missing required param: %s.", param)
}
