package events

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"cloud.google.com/go/pubsub/v2"

	"github.com/fluxori/ai-credits/shared/telemetry"
)

// Publisher publishes messages to the topics they name, and waits until Pub/Sub has them.
type Publisher struct {
	client *pubsub.Client
	mu     sync.Mutex
	topics map[string]*pubsub.Publisher
}

// NewPublisher makes a Publisher; the client remains the caller's.
func NewPublisher(client *pubsub.Client) *Publisher {
	return &Publisher{client: client, topics: map[string]*pubsub.Publisher{}}
}

// Publish sends messages, and returns when every one is stored or cannot be. Those that were stored are sent again when the caller repeats,
// which consumers must stand. They carry the trace that ctx belongs to.
func (p *Publisher) Publish(ctx context.Context, messages []Message) error {
	cause := telemetry.Carried(ctx)
	results := make([]*pubsub.PublishResult, len(messages))
	for i, m := range messages {
		attributes := m.Attributes()
		if cause != "" {
			attributes[telemetry.TraceParent] = cause
		}
		results[i] = p.topic(m.Topic).Publish(ctx, &pubsub.Message{Data: m.Data, Attributes: attributes})
	}
	var failures []error
	for i, r := range results {
		if _, err := r.Get(ctx); err != nil {
			failures = append(failures, fmt.Errorf("publish %s to %s: %w", messages[i].ID, messages[i].Topic, err))
		}
	}
	return errors.Join(failures...)
}

// topic gives the publisher of one topic. A message goes out at once: whoever publishes waits for it.
func (p *Publisher) topic(name string) *pubsub.Publisher {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.topics[name]
	if t == nil {
		t = p.client.Publisher(name)
		t.PublishSettings.CountThreshold = 1
		p.topics[name] = t
	}
	return t
}

// Stop sends what is left and ends the publishers' goroutines.
func (p *Publisher) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.topics {
		t.Stop()
	}
}
