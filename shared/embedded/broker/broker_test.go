package broker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/api/option"

	"github.com/fluxori/ai-credits/shared/embedded/broker"
	"github.com/fluxori/ai-credits/shared/events"
)

const (
	project      = "test"
	usage        = "projects/test/topics/usage"
	dead         = "projects/test/topics/usage-dead"
	usagePush    = "projects/test/subscriptions/usage-push"
	deadPull     = "projects/test/subscriptions/dead-pull"
	quietTimeout = 30 * time.Second
)

// open returns a broker with the topics usage and dead that is closed with the test.
func open(tb testing.TB, o broker.Options) *broker.Broker {
	tb.Helper()
	b, err := broker.Open(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := b.Close(); err != nil && !errors.Is(err, broker.ErrClosed) {
			tb.Errorf("Close: %v", err)
		}
	})
	for _, name := range []string{usage, dead} {
		if err := b.Topic(tb.Context(), name); err != nil {
			tb.Fatal(err)
		}
	}
	return b
}

// connect returns a client of b, in process, that is closed with the test.
func connect(tb testing.TB, b *broker.Broker) *pubsub.Client {
	tb.Helper()
	conn, err := b.Conn()
	if err != nil {
		tb.Fatal(err)
	}
	client, err := pubsub.NewClient(tb.Context(), project, option.WithGRPCConn(conn))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := client.Close(); err != nil { // and the connection with it
			tb.Errorf("close client: %v", err)
		}
	})
	return client
}

func subscribe(tb testing.TB, b *broker.Broker, s broker.Subscription) {
	tb.Helper()
	if s.Topic == "" {
		s.Topic = usage
	}
	if s.Name == "" {
		s.Name = usagePush
	}
	if err := b.Subscribe(tb.Context(), s); err != nil {
		tb.Fatal(err)
	}
}

// publish sends each message in a request of its own, in order, and returns the ids.
func publish(tb testing.TB, c *pubsub.Client, topic string, messages ...*pubsubpb.PubsubMessage) []string {
	tb.Helper()
	var ids []string
	for _, m := range messages {
		r, err := c.TopicAdminClient.Publish(tb.Context(), &pubsubpb.PublishRequest{Topic: topic, Messages: []*pubsubpb.PubsubMessage{m}})
		if err != nil {
			tb.Fatalf("publish %q: %v", m.GetData(), err)
		}
		ids = append(ids, r.GetMessageIds()...)
	}
	return ids
}

func text(data string) *pubsubpb.PubsubMessage { return &pubsubpb.PubsubMessage{Data: []byte(data)} }

func waitQuiet(tb testing.TB, b *broker.Broker) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), quietTimeout)
	defer cancel()
	if err := b.Wait(ctx); err != nil {
		tb.Fatalf("%v; stats %+v", err, b.Stats())
	}
}

// An endpoint records the pushes it gets and answers what answer says, or 204.
type endpoint struct {
	tb     testing.TB
	answer func(w http.ResponseWriter, r *http.Request, p events.Push)

	mu     sync.Mutex
	pushes []events.Push
	heads  []http.Header
	bodies []string
	times  []time.Time
}

func newEndpoint(tb testing.TB, answer func(w http.ResponseWriter, r *http.Request, p events.Push)) *endpoint {
	tb.Helper()
	return &endpoint{tb: tb, answer: answer}
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the broker or the test's server is closing
	}
	p, err := events.DecodePush(strings.NewReader(string(body)))
	if err != nil {
		e.tb.Errorf("push %s: %v", body, err)
	}
	e.mu.Lock()
	e.pushes = append(e.pushes, p)
	e.heads = append(e.heads, r.Header.Clone())
	e.bodies = append(e.bodies, string(body))
	e.times = append(e.times, time.Now())
	e.mu.Unlock()
	if e.answer == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	e.answer(w, r, p)
}

// received returns the data of the pushes so far, in the order in which they came.
func (e *endpoint) received() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := make([]string, len(e.pushes))
	for i, p := range e.pushes {
		out[i] = string(p.Data)
	}
	return out
}

// status answers every push with the same code.
func status(code int) func(http.ResponseWriter, *http.Request, events.Push) {
	return func(w http.ResponseWriter, _ *http.Request, _ events.Push) { w.WriteHeader(code) }
}

// pull leases what is there, acknowledges it, and returns it.
func pull(tb testing.TB, c *pubsub.Client, subscription string) []*pubsubpb.ReceivedMessage {
	tb.Helper()
	//nolint:staticcheck // an empty subscription is to be seen at once
	r, err := c.SubscriptionAdminClient.Pull(tb.Context(), &pubsubpb.PullRequest{Subscription: subscription, MaxMessages: 1000, ReturnImmediately: true})
	if err != nil {
		tb.Fatalf("pull from %s: %v", subscription, err)
	}
	var ids []string
	for _, m := range r.GetReceivedMessages() {
		ids = append(ids, m.GetAckId())
	}
	if len(ids) == 0 {
		return nil
	}
	if err := c.SubscriptionAdminClient.Acknowledge(tb.Context(), &pubsubpb.AcknowledgeRequest{Subscription: subscription, AckIds: ids}); err != nil {
		tb.Fatalf("acknowledge on %s: %v", subscription, err)
	}
	return r.GetReceivedMessages()
}

// missing returns what of want is not in got.
func missing(want, got []string) []string {
	have := map[string]bool{}
	for _, s := range got {
		have[s] = true
	}
	return slices.DeleteFunc(slices.Clone(want), func(s string) bool { return have[s] })
}

// compact removes the spaces that JSON allows.
func compact(t *testing.T, s string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func numbered(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("m%05d", i)
	}
	return out
}
