package events

import (
	"encoding/json"
	"fmt"

	"github.com/fluxori/ai-credits/shared/credit"
)

// The kinds of alerts about limit requests. They are raised where people ask and decide, not by the domain.
const (
	LimitRequested       credit.EventKind = "limit_requested"
	LimitRequestGranted  credit.EventKind = "limit_request_granted"
	LimitRequestDeclined credit.EventKind = "limit_request_declined"
)

// LimitRequest is what an alert about a request for a higher limit is about.
type LimitRequest struct {
	RequestID string `json:"request_id"`
	// UserID is who asks.
	UserID string `json:"user_id"`
	// Scope is organisation, team or user; SubjectID the team or user whose limit it is, SubjectName the team's name.
	Scope       string `json:"scope"`
	SubjectID   string `json:"subject_id,omitempty"`
	SubjectName string `json:"subject_name,omitempty"`
	// Credits is how many more are asked for, in a month; zero if that is left open.
	Credits int64 `json:"credits,omitempty"`
	// Limit is the limit in credits a month: what it was when it was asked about, or is after the decision. Nil says that there is none any more.
	Limit *int64 `json:"limit,omitempty"`
	// Reason is why it is asked for, or why it is declined.
	Reason string `json:"reason,omitempty"`
}

// EncodeAlert makes an alert that is not the domain's a message.
func EncodeAlert(c Credit) (Message, error) {
	c.Version = creditVersion
	data, err := json.Marshal(c)
	if err != nil {
		return Message{}, fmt.Errorf("encoding alert %s: %w", c.ID, err)
	}
	return Message{Topic: CreditAlerts, ID: c.ID, Data: data}, nil
}
