package broker

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// Bounds of one Broker. Those of messages are production's.
const (
	defaultMaxMessages = 100_000
	defaultMaxBytes    = 256 << 20

	maxTopics        = 1000
	maxSubscriptions = 1000

	maxPublishBytes        = 10 << 20
	maxPublishMessages     = 1000
	maxAttributes          = 100
	maxAttributeKeyBytes   = 256
	maxAttributeValueBytes = 1024
	maxOrderingKeyBytes    = 1024
)

// A TokenSource returns an OpenID Connect ID token that serviceAccount would present to audience. The broker sends it
// as the bearer token of a push whose subscription names a service account.
type TokenSource func(ctx context.Context, serviceAccount, audience string) (string, error)

// Options configure a Broker. The zero value keeps messages in memory.
type Options struct {
	// Path is the file that keeps topics, subscriptions and undelivered messages; empty keeps them in memory.
	Path string
	// MaxMessages bounds the undelivered messages, counted once per subscription; 0 means 100,000.
	MaxMessages int
	// MaxBytes bounds their size, counted likewise; 0 means 256 MiB.
	MaxBytes int64
	// TokenSource signs pushes; without it a subscription that names a service account is refused.
	TokenSource TokenSource
	// Logger receives failed deliveries and dead letters; nil discards them.
	Logger *slog.Logger
	// Faults are injected from the start; SetFaults changes them later.
	Faults Faults
}

func (o Options) withDefaults() (Options, error) {
	if o.MaxMessages < 0 || o.MaxBytes < 0 {
		return o, fmt.Errorf("broker: negative bound: MaxMessages %d, MaxBytes %d", o.MaxMessages, o.MaxBytes)
	}
	if o.MaxMessages == 0 {
		o.MaxMessages = defaultMaxMessages
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultMaxBytes
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, o.Faults.validate()
}

// Stats are totals since Open, and what is held now.
type Stats struct {
	// Published counts messages accepted from publishers, dead letters not among them.
	Published uint64
	// Held and HeldBytes are what counts against Options.MaxMessages and MaxBytes.
	Held      int
	HeldBytes int64
	// DroppedReplies counts publish requests whose messages were accepted but whose callers were told otherwise.
	DroppedReplies uint64
	// Subscriptions by full name.
	Subscriptions map[string]SubscriptionStats
}

// SubscriptionStats are the totals of one subscription.
type SubscriptionStats struct {
	// Pending messages are not yet acknowledged; InFlight of them are out at the push endpoint or leased to a puller.
	Pending, InFlight int
	// Attempts counts deliveries begun; Acked and Nacked how they ended.
	Attempts, Acked, Nacked uint64
	// DeadLettered counts messages moved to the dead-letter topic.
	DeadLettered uint64
	// Duplicated, Delayed, Reordered and DroppedAcks count injected faults.
	Duplicated, Delayed, Reordered, DroppedAcks uint64
}

// A Retry is a back-off: Min after the first failure, twice as long after each further one, at most Max.
type Retry struct {
	Min, Max time.Duration
}

// after returns the wait after the nth failed attempt.
func (r Retry) after(attempt int) time.Duration {
	wait := r.Min
	for range min(attempt-1, 62) {
		if wait >= r.Max {
			break
		}
		wait *= 2
	}
	return min(wait, r.Max)
}
