package broker_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/fluxori/ai-credits/shared/embedded/broker"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/needs"
)

const (
	benchCallers = 64
	benchBurst   = 20_000
)

// BenchmarkPush measures messages from 64 callers of the real client, each waiting for the answer to one publish before
// the next, until a push endpoint that decodes the envelope has acknowledged all. One operation is a burst of 20,000.
func BenchmarkPush(b *testing.B) {
	for _, bm := range []struct {
		name           string
		tcp, persisted bool
	}{
		{"tcp", true, false},
		{"tcp-file", true, true},
		{"inprocess", false, false},
		{"inprocess-file", false, true},
	} {
		b.Run(bm.name, func(b *testing.B) {
			o := broker.Options{}
			if bm.persisted {
				o.Path = filepath.Join(b.TempDir(), "broker.db")
			}
			bk := open(b, o)
			var received atomic.Int64
			endpoint := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if _, err := events.DecodePush(r.Body); err != nil {
					b.Error(err)
				}
				received.Add(1)
				w.WriteHeader(http.StatusNoContent)
			})
			sub := broker.Subscription{Handler: endpoint}
			client := connectFor(b, bk, bm.tcp)
			if bm.tcp {
				server := httptest.NewServer(endpoint)
				b.Cleanup(server.Close)
				sub.Handler, sub.URL = nil, server.URL
			}
			subscribe(b, bk, sub)
			var bursts int64
			for b.Loop() {
				publishBurst(b, client, usage, benchCallers, benchBurst)
				waitQuiet(b, bk)
				bursts++
			}
			if received.Load() < bursts*benchBurst {
				b.Errorf("%d of %d messages arrived", received.Load(), bursts*benchBurst)
			}
			b.ReportMetric(float64(bursts*benchBurst)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

// BenchmarkPushEmulator measures the same burst on Google's emulator.
func BenchmarkPushEmulator(b *testing.B) {
	e := engine{client: dial(b, needs.PubSubEmulator(b))}
	topic, _, sub, _ := conformNames(b)
	var received atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		received.Add(1)
		w.WriteHeader(http.StatusNoContent)
	}))
	b.Cleanup(server.Close)
	e.create(b, []string{topic}, &pubsubpb.Subscription{Name: sub, Topic: topic, PushConfig: &pubsubpb.PushConfig{PushEndpoint: server.URL}})
	var bursts int64
	for b.Loop() {
		publishBurst(b, e.client, topic, benchCallers, benchBurst)
		bursts++
		eventually(b, "every push", func() bool { return received.Load() >= bursts*benchBurst })
	}
	b.ReportMetric(float64(bursts*benchBurst)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkReceive measures the same burst received over StreamingPull by the real client's Receive.
func BenchmarkReceive(b *testing.B) {
	bk := open(b, broker.Options{})
	subscribe(b, bk, broker.Subscription{})
	client := connectFor(b, bk, true)
	var bursts int64
	for b.Loop() {
		publishBurst(b, client, usage, benchCallers, benchBurst)
		var received atomic.Int64
		ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
		err := client.Subscriber(usagePush).Receive(ctx, func(_ context.Context, m *pubsub.Message) {
			m.Ack()
			if received.Add(1) == benchBurst {
				cancel()
			}
		})
		cancel()
		if err != nil || received.Load() < benchBurst {
			b.Fatalf("received %d of %d: %v", received.Load(), benchBurst, err)
		}
		bursts++
	}
	b.ReportMetric(float64(bursts*benchBurst)/b.Elapsed().Seconds(), "messages/s")
}

// connectFor returns a client over TCP or in process.
func connectFor(b *testing.B, bk *broker.Broker, tcp bool) *pubsub.Client {
	b.Helper()
	if !tcp {
		return connect(b, bk)
	}
	addr, err := bk.Listen(b.Context(), "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	return dial(b, addr.String())
}

// dial returns a client of the Pub/Sub at addr.
func dial(tb testing.TB, addr string) *pubsub.Client {
	tb.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
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

// publishBurst has callers publish n messages in all and waits for every answer.
func publishBurst(b *testing.B, client *pubsub.Client, topic string, callers, n int) {
	b.Helper()
	p := client.Publisher(topic)
	p.PublishSettings.DelayThreshold = time.Millisecond
	defer p.Stop()
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range n / callers {
				if _, err := p.Publish(b.Context(), &pubsub.Message{Data: []byte(`{"event_id":"e","org_id":"acme","feature":"custom-query","credits":10}`)}).Get(b.Context()); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for range n % callers {
		if _, err := p.Publish(b.Context(), &pubsub.Message{Data: []byte("{}")}).Get(b.Context()); err != nil {
			b.Error(err)
		}
	}
}
