// Package deadletters keeps the messages that could not be handled, each with the reason, for a person to look at and to replay once the
// reason is gone.
//
// Invariants:
//   - A message is put aside once: putting the same message aside again, as when its acknowledgement was lost, changes nothing.
//   - A letter keeps the message's data as it was sent, up to 64 KiB. One that had more is kept cut, is marked so, and cannot be replayed.
//   - A replay publishes the same data to the topic it came from, and bears the letter's id. If it fails again, the letter itself says so
//     and waits again; no second letter is made. A replay may be repeated: consumers are idempotent.
//   - Every document has a version; one that a newer release wrote is `unavailable`, and nothing is written.
//
// It does not own when a message is hopeless (the functions), who may replay (the account function), nor the topics (package wiring).
package deadletters

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fluxori/ai-credits/shared/coded"

	"cloud.google.com/go/firestore"

	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/telemetry"
)

// Bounds of one letter.
const (
	maxDataBytes   = 64 << 10
	maxReasonBytes = 1024
	maxAttributes  = 90 // of the 100 that a message may have: a replay adds its own
	maxCodeBytes   = 64
)

// LetterLabel is the attribute in which a replayed message names its letter.
const LetterLabel = "dead_letter_id"

// Codes of the package's own; others are the codes of the errors that the messages met.
const (
	// Undelivered is a message that Pub/Sub gave up on after many attempts.
	Undelivered = "undelivered"
)

// State says whether a letter needs somebody.
type State string

// The states of letters.
const (
	Waiting  State = "waiting"  // nobody has replayed it since it failed last
	Replayed State = "replayed" // its data was published again, and has not failed since
)

// Failure is a message that cannot succeed as things are.
type Failure struct {
	Push events.Push
	// Topic is where the message was published, and where a replay goes.
	Topic string
	// Code is stable, Reason is for people. Longer ones are cut.
	Code, Reason string
	// Attempts is how often it was tried, if known.
	Attempts int
}

// Letter is a message put aside.
type Letter struct {
	ID        string
	Topic     string
	MessageID string // of the message that failed last
	Code      string
	Reason    string
	Data      []byte // as sent; its first 64 KiB if Cut
	Size      int64  // of the data as sent, in bytes
	Cut       bool
	// Attributes are the message's, as sent; at most 90.
	Attributes map[string]string
	// FirstSeen and LastSeen are when it failed first and last; Failures counts the messages that failed, Attempts the deliveries of the last.
	FirstSeen, LastSeen time.Time
	Failures, Attempts  int64
	State               State
	// Replays counts replays; the last was at ReplayedAt by ReplayedBy.
	Replays    int64
	ReplayedAt time.Time
	ReplayedBy string
}

// Publisher publishes messages, and returns when Pub/Sub has them.
type Publisher interface {
	Publish(ctx context.Context, messages []events.Message) error
}

// Store keeps letters in Firestore. It is safe for concurrent use.
type Store struct {
	client  *firestore.Client
	publish Publisher
	now     func() time.Time
}

// timeout bounds each operation.
const timeout = 10 * time.Second

// NewStore returns a Store on client that replays through publish and dates letters by the system's clock.
func NewStore(client *firestore.Client, publish Publisher, now func() time.Time) (*Store, error) {
	if client == nil || publish == nil || now == nil {
		return nil, errors.New("dead letters need a client, a publisher and a clock")
	}
	return &Store{client: client, publish: publish, now: now}, nil
}

// Put puts a message aside and returns its letter's id. Errors are an *Error, `unavailable`.
func (s *Store) Put(ctx context.Context, f Failure) (id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	defer func() {
		if err == nil {
			telemetry.FromContext(ctx).DeadLetter(ctx, f.Topic, f.Code)
		}
	}()
	if replayed := f.Push.Attributes[LetterLabel]; validID(replayed) {
		known, err := s.failAgain(ctx, replayed, f)
		if err != nil || known {
			return replayed, err
		}
	}
	id = letterID(f.Push)
	return id, s.create(ctx, id, s.letter(id, f))
}

// letter is a failed message's first letter.
func (s *Store) letter(id string, f Failure) Letter {
	now := s.now().UTC().Truncate(time.Microsecond)
	l := Letter{
		ID: id, Topic: f.Topic, MessageID: f.Push.MessageID, Code: cut(f.Code, maxCodeBytes), Reason: cut(f.Reason, maxReasonBytes),
		Data: f.Push.Data, Size: int64(len(f.Push.Data)), Attributes: attributes(f.Push.Attributes),
		FirstSeen: now, LastSeen: now, Failures: 1, Attempts: int64(f.Attempts), State: Waiting,
	}
	if len(l.Data) > maxDataBytes {
		l.Data, l.Cut = l.Data[:maxDataBytes], true
	}
	return l
}

// again is a letter whose replay failed. A message that failed before is the same failure delivered again: ok is false.
func (s *Store) again(l Letter, f Failure) (_ Letter, ok bool) {
	if l.MessageID == f.Push.MessageID {
		return l, false
	}
	l.MessageID, l.State = f.Push.MessageID, Waiting
	l.Code, l.Reason = cut(f.Code, maxCodeBytes), cut(f.Reason, maxReasonBytes)
	l.LastSeen = s.now().UTC().Truncate(time.Microsecond)
	l.Failures++
	l.Attempts = int64(f.Attempts)
	return l, true
}

// Message is what is published to tell of a failure: the data whole, with the letter's id and the reason in its attributes.
func (f Failure) Message(topic, letter string) events.Message {
	return events.Message{Topic: topic, ID: letter, Data: f.Push.Data, Labels: map[string]string{
		LetterLabel: letter, "code": cut(f.Code, maxCodeBytes), "reason": cut(f.Reason, maxReasonBytes),
		"source_topic": f.Topic, "source_message_id": f.Push.MessageID,
	}}
}

// Replay publishes a letter's data to its topic again, and records who did. Errors are an *Error: `not_found`, `invalid_request` for a
// letter that was cut, or `unavailable`, when it may have been published or not.
func (s *Store) Replay(ctx context.Context, id, by string) (Letter, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	l, err := s.Get(ctx, id)
	if err != nil {
		return Letter{}, err
	}
	if l.Cut {
		return Letter{}, &Error{coded.Reason{Is: "invalid_request", Says: fmt.Sprintf("The message had %d bytes, of which %d are kept; it cannot be replayed.", l.Size, len(l.Data))}}
	}
	labels := maps.Clone(l.Attributes)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[LetterLabel] = l.ID
	m := events.Message{Topic: l.Topic, ID: l.ID + "-" + strconv.FormatInt(l.Replays+1, 10), Data: l.Data, Labels: labels}
	if err := s.publish.Publish(ctx, []events.Message{m}); err != nil {
		return Letter{}, unavailable(fmt.Errorf("replay %s: %w", id, err))
	}
	return s.markReplayed(ctx, l, by)
}

// letterID names the letter of a message: a message id is unique within its topic, and a subscription has one topic.
func letterID(p events.Push) string {
	sum := sha256.Sum256([]byte(p.Subscription + "\x00" + p.MessageID))
	return hex.EncodeToString(sum[:16])
}

// validID reports whether id can be a letter's.
func validID(id string) bool { return len(id) == 32 && strings.Trim(id, "0123456789abcdef") == "" }

// attributes are at most maxAttributes of a message's, the first in the order of their names, without those that a replay or Pub/Sub's own
// forwarding of dead letters adds.
func attributes(all map[string]string) map[string]string {
	out := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if name == LetterLabel || strings.HasPrefix(name, events.ForwardedPrefix) || len(out) >= maxAttributes {
			continue
		}
		out[name] = all[name]
	}
	return out
}

// cut bounds a text in bytes.
func cut(s string, most int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= most {
		return s
	}
	at := most - len("…")
	for at > 0 && !utf8.RuneStart(s[at]) {
		at--
	}
	return s[:at] + "…"
}
