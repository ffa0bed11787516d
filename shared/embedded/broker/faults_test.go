package broker_test

import (
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/google/go-cmp/cmp"

	"github.com/fluxori/ai-credits/shared/embedded/broker"
	"github.com/fluxori/ai-credits/shared/events"
)

func TestDuplicateArrivesTwiceAtOnceAsOneAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := open(t, broker.Options{Faults: broker.Faults{Duplicate: broker.Fault{PerMille: 1000, Limit: 3}}})
		var out, together atomic.Int32
		e := newEndpoint(t, func(http.ResponseWriter, *http.Request, events.Push) {
			if out.Add(1) == 2 {
				together.Add(1)
			}
			time.Sleep(time.Second)
			out.Add(-1)
		})
		subscribe(t, b, broker.Subscription{Handler: e, Concurrency: 1})
		want := numbered(10)
		c := connect(t, b)
		for _, m := range want {
			publish(t, c, usage, text(m))
		}
		if err := b.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := e.received()
		slices.Sort(got)
		want = append(want, want[:3]...)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if s := b.Stats().Subscriptions[usagePush]; together.Load() != 3 || s.Duplicated != 3 || s.Attempts != 10 || s.Acked != 10 {
			t.Errorf("%d pairs were together, stats %+v", together.Load(), s)
		}
	})
}

func TestDroppedAckIsDeliveredAgain(t *testing.T) {
	t.Parallel()
	b := open(t, broker.Options{Faults: broker.Faults{DropAck: broker.Fault{PerMille: 1000, Limit: 2}}})
	e := newEndpoint(t, nil)
	subscribe(t, b, broker.Subscription{Handler: e, Retry: &broker.Retry{}})
	c := connect(t, b)
	publish(t, c, usage, text("x"))
	waitQuiet(t, b)
	if got := e.received(); len(got) != 3 {
		t.Errorf("delivered %d times, want 3: two acknowledgements were lost", len(got))
	}
	if s := b.Stats().Subscriptions[usagePush]; s.DroppedAcks != 2 || s.Acked != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestDroppedReplyGivesOneEventTwoMessageIDs(t *testing.T) {
	t.Parallel()
	b := open(t, broker.Options{Faults: broker.Faults{DropReply: broker.Fault{PerMille: 1000, Limit: 1}}})
	e := newEndpoint(t, nil)
	subscribe(t, b, broker.Subscription{Handler: e})
	p := connect(t, b).Publisher(usage)
	defer p.Stop()
	id, err := p.Publish(t.Context(), &pubsub.Message{Data: []byte("x")}).Get(t.Context())
	if err != nil {
		t.Fatalf("publish, which the client repeats: %v", err)
	}
	waitQuiet(t, b)
	if len(e.pushes) != 2 || e.pushes[0].MessageID == e.pushes[1].MessageID || b.Stats().DroppedReplies != 1 {
		t.Fatalf("%d pushes %v, want the event under two ids", len(e.pushes), e.pushes)
	}
	if id != e.pushes[0].MessageID && id != e.pushes[1].MessageID {
		t.Errorf("the publisher was told id %s, the endpoint %s and %s", id, e.pushes[0].MessageID, e.pushes[1].MessageID)
	}
}

func TestDelayHoldsBackUpToItsBound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := open(t, broker.Options{Faults: broker.Faults{Seed: 7, Delay: broker.Fault{PerMille: 500}, DelayUpTo: time.Minute}})
		e := newEndpoint(t, nil)
		subscribe(t, b, broker.Subscription{Handler: e})
		c := connect(t, b)
		start := time.Now()
		for _, m := range numbered(200) {
			publish(t, c, usage, text(m))
		}
		if err := b.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		late := 0
		for _, at := range e.times {
			if at.Sub(start) > time.Minute {
				t.Errorf("a message was held back for %v", at.Sub(start))
			}
			if at.After(start) {
				late++
			}
		}
		if s := b.Stats().Subscriptions[usagePush]; late != int(s.Delayed) || late < 60 || late > 140 {
			t.Errorf("%d of 200 late, %d counted, want about half", late, s.Delayed)
		}
	})
}

func TestReorderLetsTheNextMessageOvertake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := open(t, broker.Options{Faults: broker.Faults{Reorder: broker.Fault{PerMille: 1000, Limit: 2}}})
		e := newEndpoint(t, nil)
		subscribe(t, b, broker.Subscription{Handler: e, Concurrency: 1})
		c := connect(t, b)
		start := time.Now()
		publish(t, c, usage, text("1"))
		publish(t, c, usage, text("2"))
		publish(t, c, usage, text("3"))
		publish(t, c, usage, text("4"))
		if err := b.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"2", "1", "4", "3"}, e.received()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if err := b.SetFaults(broker.Faults{Reorder: broker.Fault{PerMille: 1000, Limit: 1}}); err != nil {
			t.Fatal(err)
		}
		publish(t, c, usage, text("alone"))
		if err := b.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(start); waited != 100*time.Millisecond {
			t.Errorf("a message that none overtook waited %v, want 100ms", waited)
		}
	})
}

func TestReorderSparesOrderingKeys(t *testing.T) {
	t.Parallel()
	b := open(t, broker.Options{Faults: broker.Faults{Reorder: broker.Fault{PerMille: 1000}, DropAck: broker.Fault{PerMille: 300}}})
	e := newEndpoint(t, nil)
	subscribe(t, b, broker.Subscription{Handler: e, Ordered: true, Retry: &broker.Retry{}})
	c := connect(t, b)
	want := numbered(50)
	for _, m := range want {
		publish(t, c, usage, &pubsubpb.PubsubMessage{Data: []byte(m), OrderingKey: "k"})
	}
	waitQuiet(t, b)
	got := slices.Compact(e.received()) // a repeated delivery directly follows the first
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSameSeedStrikesTheSameMessages(t *testing.T) {
	t.Parallel()
	run := func(t *testing.T, seed uint64) []string {
		t.Helper()
		b := open(t, broker.Options{Faults: broker.Faults{Seed: seed, DropAck: broker.Fault{PerMille: 200}}})
		e := newEndpoint(t, nil)
		subscribe(t, b, broker.Subscription{Handler: e, Retry: &broker.Retry{}})
		c := connect(t, b)
		for _, m := range numbered(100) {
			publish(t, c, usage, text(m))
		}
		waitQuiet(t, b)
		got := e.received()
		slices.Sort(got)
		return got
	}
	first := run(t, 1)
	if diff := cmp.Diff(first, run(t, 1)); diff != "" {
		t.Errorf("the same seed struck others (-first +second):\n%s", diff)
	}
	if slices.Equal(first, run(t, 2)) {
		t.Error("another seed struck the same messages")
	}
	if n := len(first); n < 105 || n > 160 {
		t.Errorf("%d deliveries of 100 messages with every fifth acknowledgement lost", n)
	}
}

func TestFaultsOutOfRangeAreRefused(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]broker.Faults{
		"chance above 1000": {DropAck: broker.Fault{PerMille: 1001}},
		"negative chance":   {Duplicate: broker.Fault{PerMille: -1}},
		"negative limit":    {Reorder: broker.Fault{PerMille: 1, Limit: -1}},
		"delay of nothing":  {Delay: broker.Fault{PerMille: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := broker.Open(broker.Options{Faults: f}); err == nil {
				t.Error("accepted")
			}
		})
	}
}
