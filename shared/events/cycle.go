package events

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
)

// The kinds of alerts about a subscription's cycles.
const (
	// CycleClosed is the statement of a cycle that is over.
	CycleClosed credit.EventKind = "cycle_closed"
	// RenewalMissing says that a cycle was to be followed by another, whose payment has not come.
	RenewalMissing credit.EventKind = "renewal_missing"
)

// Cycle is what an alert tells of a cycle, in credits.
type Cycle struct {
	Subscription string `json:"subscription"`
	// Plan is the plan's name.
	Plan     string    `json:"plan"`
	Start    time.Time `json:"start"`
	End      time.Time `json:"end"`
	Granted  int64     `json:"granted"`
	Used     int64     `json:"used"`
	Expired  int64     `json:"expired"`
	Returned int64     `json:"returned"`
	Held     int64     `json:"held"`
	// Bought was bought within the cycle besides.
	Bought int64 `json:"bought"`
}

// EncodeCycle makes an alert about a cycle a message. Its id, {kind}:{subscription}:{start}, is the same however often it is told.
func EncodeCycle(kind credit.EventKind, org string, at time.Time, c Cycle) (Message, error) {
	id := fmt.Sprintf("%s:%s:%d", kind, c.Subscription, c.Start.Unix())
	data, err := json.Marshal(Credit{Version: creditVersion, ID: id, Type: kind, OrgID: org, At: at, Credits: c.Expired, Cycle: &c})
	if err != nil {
		return Message{}, fmt.Errorf("encoding alert %s: %w", id, err)
	}
	return Message{Topic: CreditAlerts, ID: id, Data: data}, nil
}
