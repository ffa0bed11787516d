package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
)

// The topics of the system.
const (
	CreditEvents  = "credit-events"  // what happened to credits
	CreditAlerts  = "credit-alerts"  // what people should know now
	CreditTopUps  = "credit-topups"  // balances that an auto top-up is to raise
	BillingCycles = "billing-cycles" // cycles to be closed
	CreditExpiry  = "credit-expiry"  // wallets whose clock is to be seen to
	WalletAudits  = "wallet-audits"  // wallets that are to be proven
	Usage         = "ai-usage"       // work done, to be charged for
	UsageDead     = "ai-usage-dead"  // what of it could not be
)

// Message is something to be published. Publishing it twice is harmless: consumers know it by its id.
type Message struct {
	Topic string `json:"topic"`
	ID    string `json:"id"`
	Data  []byte `json:"data"`
	// Labels are further attributes. The name "id" is not theirs to take.
	Labels map[string]string `json:"labels,omitempty"`
}

// Attributes are what the message carries beside its data, for filters and logs.
func (m Message) Attributes() map[string]string {
	out := map[string]string{}
	maps.Copy(out, m.Labels)
	out["id"] = m.ID
	return out
}

// Balance are a wallet's figures after an event, in credits.
type Balance struct {
	Available int64 `json:"available"`
	Held      int64 `json:"held"`
	Debt      int64 `json:"debt"`
}

// Credit is the data of credit-events and credit-alerts, version 1.
type Credit struct {
	Version int              `json:"v"`
	ID      string           `json:"id"`
	Type    credit.EventKind `json:"type"`
	OrgID   string           `json:"org_id"`
	At      time.Time        `json:"at"`
	GrantID string           `json:"grant_id,omitempty"`
	Source  credit.Source    `json:"source,omitempty"`
	Credits int64            `json:"credits,omitempty"`
	// Threshold is what an alert crossed, in credits.
	Threshold *int64 `json:"threshold,omitempty"`
	// ExpiresAt is when the credits that an expiry warning is about lapse, the first of them.
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	// Cycle is the cycle that an alert is about.
	Cycle *Cycle `json:"cycle,omitempty"`
	// Limit is what a notice of a limit is about.
	Limit *Limit `json:"limit,omitempty"`
	// LimitRequest is what an alert about a request for a higher limit is about.
	LimitRequest *LimitRequest `json:"limit_request,omitempty"`
	Balance      Balance       `json:"balance"`
	Reason       string        `json:"reason,omitempty"`
}

// Limit is a threshold of a limit that was reached, of limit_threshold and limit_reached.
type Limit struct {
	Scope   credit.Scope `json:"scope"`
	Subject string       `json:"subject"` // the organisation, team or user
	Credits int64        `json:"limit"`
	Used    int64        `json:"used"`
	Percent int64        `json:"percent"`
	// Blocks says that the limit refuses what would go beyond it.
	Blocks   bool      `json:"blocks"`
	Window   string    `json:"window"` // the calendar month, such as 2026-03
	ResetsAt time.Time `json:"resets_at"`
}

func encodeLimit(org string, n *credit.LimitNotice) *Limit {
	if n == nil {
		return nil
	}
	l := &Limit{
		Scope: n.Scope, Subject: n.ID, Credits: n.Limit.Credits, Used: n.Used, Percent: n.Percent, Blocks: !n.Limit.Soft, Window: n.Window,
		ResetsAt: n.ResetsAt,
	}
	if n.Scope == credit.ScopeOrganisation {
		l.Subject = org
	}
	return l
}

// creditVersion is the version of Credit.
const creditVersion = 1

// Errors of DecodeCredit.
var (
	// ErrNewer is data of a version that this release does not know: it is to be left to a newer one.
	ErrNewer = errors.New("written by a newer release")
	// ErrBadCredit is data that is no event of credits, and never will be.
	ErrBadCredit = errors.New("not an event of credits")
)

// DecodeCredit reads the data of a credit-events or credit-alerts message. Members that it does not know are let pass: a version gains some.
func DecodeCredit(data []byte) (Credit, error) {
	var c Credit
	var version struct {
		V int `json:"v"`
	}
	if err := json.Unmarshal(data, &version); err != nil {
		return Credit{}, fmt.Errorf("%w: %w", ErrBadCredit, err)
	}
	if version.V > creditVersion {
		return Credit{}, fmt.Errorf("event of version %d, this release knows %d: %w", version.V, creditVersion, ErrNewer)
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return Credit{}, fmt.Errorf("%w: %w", ErrBadCredit, err)
	}
	if c.Version < 1 || c.ID == "" || c.Type == "" || c.At.IsZero() {
		return Credit{}, fmt.Errorf("%w: v, id, type and at are required", ErrBadCredit)
	}
	return c, nil
}

// Encode makes an event of the domain a message.
func Encode(e credit.Event) (Message, error) {
	m := Credit{
		Version: creditVersion, ID: e.ID, Type: e.Kind, OrgID: e.Org, At: e.At, GrantID: e.Grant, Source: e.Source, Credits: e.Credits,
		Balance: Balance{Available: e.After.Available, Held: e.After.Held, Debt: e.After.Debt}, Reason: e.Reason,
		Limit: encodeLimit(e.Org, e.Limit),
	}
	topic := CreditEvents
	switch {
	case e.Kind == credit.EventTopUpDue:
		topic = CreditTopUps
	case e.Kind.Alert():
		topic = CreditAlerts
	}
	if e.Kind == credit.EventExpiring {
		m.ExpiresAt = &e.ExpiresAt
	}
	if e.Kind.Crossing() {
		m.Threshold = &e.Threshold
	}
	data, err := json.Marshal(m)
	if err != nil {
		return Message{}, fmt.Errorf("encoding event %s: %w", e.ID, err)
	}
	return Message{Topic: topic, ID: e.ID, Data: data}, nil
}
