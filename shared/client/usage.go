package client

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"cloud.google.com/go/pubsub/v2"

	"github.com/fluxori/ai-credits/shared/events"
)

// reportMax bounds a report whose context does not.
const reportMax = time.Minute

// Reporter publishes usage for work already done: it takes what credits there are, and the rest is debt. It answers nothing but that the
// report is kept; what cannot be charged for is shown to operators.
type Reporter struct {
	messages *events.Publisher
}

// NewReporter makes a Reporter; the client remains the caller's.
func NewReporter(client *pubsub.Client) *Reporter {
	return &Reporter{messages: events.NewPublisher(client)}
}

// Report publishes work, and returns once it is kept. After an error it may be kept or not: repeat with the same event id.
func (r *Reporter) Report(ctx context.Context, d Debit) error {
	return r.publish(ctx, d.EventID, d)
}

// ReportCapture publishes what the work cost for which a hold was placed.
func (r *Reporter) ReportCapture(ctx context.Context, holdID string, credits int64) error {
	return r.publish(ctx, holdID, struct {
		HoldID  string `json:"hold_id"`
		Credits int64  `json:"credits"`
	}{holdID, credits})
}

func (r *Reporter) publish(ctx context.Context, id string, usage any) error {
	data, err := json.Marshal(usage)
	if err != nil {
		return fmt.Errorf("encode the usage %s: %w", id, err)
	}
	ctx, cancel := context.WithTimeout(ctx, reportMax)
	defer cancel()
	return r.messages.Publish(ctx, []events.Message{{Topic: events.Usage, ID: id, Data: data}})
}

// Stop ends the Reporter's goroutines.
func (r *Reporter) Stop() { r.messages.Stop() }
