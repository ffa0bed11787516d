package broker_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/google/go-cmp/cmp"

	"github.com/fluxori/ai-credits/shared/embedded/broker"
	"github.com/fluxori/ai-credits/shared/events"
)

func TestUndeliveredMessagesSurviveAReopening(t *testing.T) {
	t.Parallel()
	o := broker.Options{Path: filepath.Join(t.TempDir(), "broker.db")}
	b := open(t, o)
	failing := newEndpoint(t, func(w http.ResponseWriter, _ *http.Request, p events.Push) {
		if !strings.HasPrefix(string(p.Data), "good") {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	slow := &broker.Retry{Min: time.Minute, Max: time.Minute}
	sub := broker.Subscription{Handler: failing, Ordered: true, DeadLetterTopic: dead, MaxAttempts: 3, Retry: slow}
	subscribe(t, b, sub)
	subscribe(t, b, broker.Subscription{Name: usagePull})
	c := connect(t, b)
	ids := publish(t, c, usage,
		&pubsubpb.PubsubMessage{Data: []byte("good"), Attributes: map[string]string{"a": "1"}},
		&pubsubpb.PubsubMessage{Data: []byte("bad 1"), OrderingKey: "k", Attributes: map[string]string{"a": "2"}},
		&pubsubpb.PubsubMessage{Data: []byte("bad 2"), OrderingKey: "k"})
	eventually(t, "a success and a failure", func() bool {
		s := b.Stats().Subscriptions[usagePush]
		return s.Acked > 0 && s.Nacked > 0
	})
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}

	b = open(t, o)
	if s := b.Stats(); s.Subscriptions[usagePush].Pending != 2 || s.Subscriptions[usagePull].Pending != 3 || s.Held != 5 {
		t.Fatalf("stats after reopening %+v, want two to push and three to pull", s)
	}
	c = connect(t, b)
	e := newEndpoint(t, nil)
	sub.Handler = e
	subscribe(t, b, sub)
	waitQuiet(t, b)
	if diff := cmp.Diff([]string{"bad 1", "bad 2"}, e.received()); diff != "" {
		t.Errorf("pushed after reopening (-want +got):\n%s", diff)
	}
	first := e.pushes[0]
	if first.MessageID != ids[1] || first.OrderingKey != "k" || first.DeliveryAttempt != 2 || first.Attributes["a"] != "2" {
		t.Errorf("push %+v, want message %s as published, in its second attempt", first, ids[1])
	}
	if diff := cmp.Diff([]string{"good", "bad 1", "bad 2"}, dataOf(pull(t, c, usagePull))); diff != "" {
		t.Errorf("pulled (-want +got):\n%s", diff)
	}
	if again := publish(t, c, usage, text("new")); slices.Contains(ids, again[0]) {
		t.Errorf("message id %s was given out twice", again[0])
	}
	waitQuiet(t, b)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if s := open(t, o).Stats(); s.Held != 1 || s.Subscriptions[usagePull].Pending != 1 {
		t.Errorf("stats after settling %+v, want only the message that nobody pulled", s)
	}
}

func TestConfigurationSurvivesAReopening(t *testing.T) {
	t.Parallel()
	o := broker.Options{Path: filepath.Join(t.TempDir(), "broker.db")}
	b := open(t, o)
	subscribe(t, b, broker.Subscription{URL: "http://127.0.0.1:1/push", Concurrency: 3, AckDeadline: 30 * time.Second, DeadLetterTopic: dead})
	subscribe(t, b, broker.Subscription{Name: usagePull, Filter: "attributes:a", Ordered: true})
	subscribe(t, b, broker.Subscription{Name: deadPull, Topic: dead})
	c := connect(t, b)
	get := func() []*pubsubpb.Subscription {
		t.Helper()
		var out []*pubsubpb.Subscription
		for _, name := range []string{usagePush, usagePull} {
			s, err := c.SubscriptionAdminClient.GetSubscription(t.Context(), &pubsubpb.GetSubscriptionRequest{Subscription: name})
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, s)
		}
		return out
	}
	before := fmt.Sprint(get())
	if err := c.SubscriptionAdminClient.DeleteSubscription(t.Context(), &pubsubpb.DeleteSubscriptionRequest{Subscription: deadPull}); err != nil {
		t.Fatal(err)
	}
	if err := c.TopicAdminClient.DeleteTopic(t.Context(), &pubsubpb.DeleteTopicRequest{Topic: dead}); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := broker.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	c = connect(t, b)
	if diff := cmp.Diff(before, fmt.Sprint(get())); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
	if _, err := c.TopicAdminClient.GetTopic(t.Context(), &pubsubpb.GetTopicRequest{Topic: dead}); err == nil {
		t.Error("a deleted topic came back")
	}
	if n := len(b.Stats().Subscriptions); n != 2 {
		t.Errorf("%d subscriptions, want 2: one was deleted", n)
	}
}

func TestFileInUseIsRefused(t *testing.T) {
	t.Parallel()
	o := broker.Options{Path: filepath.Join(t.TempDir(), "broker.db")}
	open(t, o)
	if b, err := broker.Open(o); err == nil {
		b.Close()
		t.Error("a second broker opened the same file")
	}
}

// TestAcknowledgedPublishesSurviveSIGKILL kills a broker again and again while 8 callers publish to it and it pushes:
// every message that a caller was told about arrives.
func TestAcknowledgedPublishesSurviveSIGKILL(t *testing.T) {
	t.Parallel()
	const kills = 5
	e := newEndpoint(t, nil)
	server := httptest.NewServer(e)
	defer server.Close()
	v := victim{Path: filepath.Join(t.TempDir(), "broker.db"), Endpoint: server.URL}
	var accepted []string
	for round := range kills {
		p := startVictim(t, v)
		accepted = append(accepted, publishUntilKilled(t, p, round)...)
	}
	if len(accepted) < kills*10 {
		t.Fatalf("only %d publishes were acknowledged", len(accepted))
	}
	b, err := broker.Open(broker.Options{Path: v.Path})
	if err != nil {
		t.Fatalf("reopen after %d kills: %v", kills, err)
	}
	defer b.Close()
	waitQuiet(t, b)
	if lost := missing(accepted, e.received()); len(lost) > 0 {
		t.Errorf("lost %d of %d acknowledged messages: %v", len(lost), len(accepted), lost)
	}
	t.Logf("%d acknowledged, %d delivered over %d kills", len(accepted), len(e.received()), kills)
}

// A process is a victim that serves.
type process struct {
	cmd    *exec.Cmd
	client *pubsub.Client
}

func startVictim(t *testing.T, v victim) process {
	t.Helper()
	config, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), victimEnv+"="+string(config))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the broker's process gave no address: %v", err)
	}
	return process{cmd: cmd, client: dial(t, strings.TrimSpace(line))}
}

// publishUntilKilled returns what was acknowledged before p, which it kills after a while, was gone.
func publishUntilKilled(t *testing.T, p process, round int) []string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var (
		accepted []string
		mu       sync.Mutex
		callers  sync.WaitGroup
		count    atomic.Int64
	)
	for caller := range 8 {
		callers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				data := fmt.Sprintf("round %d caller %d message %d", round, caller, i)
				_, err := p.client.TopicAdminClient.Publish(ctx, &pubsubpb.PublishRequest{Topic: usage, Messages: []*pubsubpb.PubsubMessage{text(data)}})
				if err != nil {
					return
				}
				mu.Lock()
				accepted = append(accepted, data)
				mu.Unlock()
				count.Add(1)
			}
		})
	}
	eventually(t, "publishes", func() bool { return count.Load() >= int64(40+30*round) })
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait() // reports the kill
	cancel()
	callers.Wait()
	return accepted
}
