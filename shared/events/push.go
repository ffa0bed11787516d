// Package events owns what goes over Pub/Sub between the parts of this system and to others: the envelope in which a
// push subscription delivers a message, and the versioned schemas of the messages themselves.
//
// # Invariants
//
//   - Decoding reads a bounded part of its input, whatever a sender claims.
//   - A decoded Push names its message and subscription; nothing that a consumer could mistake for a push comes
//     through as one.
//   - Unknown fields of the envelope are let pass, for its owner adds some from time to time.
//
// # What it does not own
//
// It does not check who sent a push (that is the bearer token's, and the framework's that verifies it), delivers
// nothing, and does not tell repeated messages apart: consumers are idempotent by the event id within the data, for
// one event can come under two message ids.
package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// MaxPushBytes is the most that DecodePush reads: a message of 10 MB of data, the most there is, makes a body of 13.4 MB
// in base64. No message of this system comes near, but one that somebody sent can only be put aside once it is read.
const MaxPushBytes = 14 << 20

// Attributes that Pub/Sub adds to a message that it gave up on, and forwards to a dead-letter topic.
const (
	ForwardedPrefix = "CloudPubSubDeadLetterSource"
	ForwardedFrom   = ForwardedPrefix + "Subscription"  // the subscription that gave up
	ForwardedAfter  = ForwardedPrefix + "DeliveryCount" // how often it had tried
)

// Errors of DecodePush.
var (
	// ErrPushTooLarge is a body above MaxPushBytes.
	ErrPushTooLarge = errors.New("push is too large")
	// ErrBadPush is a body that is not a Pub/Sub push.
	ErrBadPush = errors.New("not a Pub/Sub push")
)

// A Push is one delivery of a message by a push subscription.
type Push struct {
	Data        []byte
	Attributes  map[string]string
	MessageID   string
	PublishTime time.Time
	OrderingKey string
	// Subscription is projects/PROJECT/subscriptions/NAME.
	Subscription string
	// DeliveryAttempt counts from 1 if the subscription has a dead-letter policy, and is 0 otherwise.
	DeliveryAttempt int
}

// envelope is a push on the wire. Google's emulator and production write messageId and publishTime under two names
// each; either will do.
type envelope struct {
	Message *struct {
		Data           []byte            `json:"data"`
		Attributes     map[string]string `json:"attributes"`
		MessageID      string            `json:"messageId"`
		MessageIDOld   string            `json:"message_id"`
		PublishTime    string            `json:"publishTime"`
		PublishTimeOld string            `json:"publish_time"`
		OrderingKey    string            `json:"orderingKey"`
	} `json:"message"`
	Subscription    string `json:"subscription"`
	DeliveryAttempt int    `json:"deliveryAttempt"`
}

// DecodePush reads one push, the whole of r. What it cannot use is ErrBadPush or ErrPushTooLarge, which will not get
// better by repeating; any other error is r's.
func DecodePush(r io.Reader) (Push, error) {
	raw, err := io.ReadAll(io.LimitReader(r, MaxPushBytes+1))
	if err != nil {
		return Push{}, fmt.Errorf("read push: %w", err)
	}
	if len(raw) > MaxPushBytes {
		return Push{}, fmt.Errorf("%w: more than %d bytes", ErrPushTooLarge, MaxPushBytes)
	}
	var e envelope
	if err := json.Unmarshal(raw, &e); err != nil {
		return Push{}, fmt.Errorf("%w: %w", ErrBadPush, err)
	}
	m := e.Message
	if m == nil {
		return Push{}, fmt.Errorf("%w: no message", ErrBadPush)
	}
	id, err := oneOf("messageId", m.MessageID, m.MessageIDOld)
	if err != nil {
		return Push{}, err
	}
	published, err := oneOf("publishTime", m.PublishTime, m.PublishTimeOld)
	if err != nil {
		return Push{}, err
	}
	at, err := time.Parse(time.RFC3339Nano, published)
	if err != nil {
		return Push{}, fmt.Errorf("%w: publishTime: %w", ErrBadPush, err)
	}
	at = at.UTC()
	switch {
	case at.Year() < 1 || at.Year() > 9999: // the offset of an extreme time may lead out of what RFC 3339 can say
		return Push{}, fmt.Errorf("%w: publishTime %s", ErrBadPush, published)
	case e.Subscription == "":
		return Push{}, fmt.Errorf("%w: no subscription", ErrBadPush)
	case e.DeliveryAttempt < 0:
		return Push{}, fmt.Errorf("%w: deliveryAttempt %d", ErrBadPush, e.DeliveryAttempt)
	case len(m.Data) == 0 && len(m.Attributes) == 0:
		return Push{}, fmt.Errorf("%w: neither data nor attributes", ErrBadPush)
	}
	return Push{
		Data: m.Data, Attributes: m.Attributes, MessageID: id, PublishTime: at, OrderingKey: m.OrderingKey,
		Subscription: e.Subscription, DeliveryAttempt: e.DeliveryAttempt,
	}, nil
}

// oneOf returns the value of a field that has two names, of which one may be absent.
func oneOf(name, value, old string) (string, error) {
	switch {
	case value == "" && old == "":
		return "", fmt.Errorf("%w: no %s", ErrBadPush, name)
	case value == "":
		return old, nil
	case old != "" && old != value:
		return "", fmt.Errorf("%w: two values of %s: %q and %q", ErrBadPush, name, value, old)
	}
	return value, nil
}
