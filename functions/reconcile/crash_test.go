package reconcile

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/payments"
)

// maxPoints bounds the points of one flow.
const maxPoints = 60

// death kills what runs at its n-th call of Firestore or Stripe: the call fails, or takes effect and loses its answer, and every later call
// fails.
type death struct {
	n     int
	after bool
	kill  context.CancelFunc // ends what the process is in the middle of

	mu    sync.Mutex
	calls int
	at    string // the point, by name
}

// next counts a call, and tells what becomes of it.
func (d *death) next(name string) (dies, dead bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls++
	if d.calls == d.n {
		d.at = name
	}
	if d.calls > d.n || d.calls == d.n && !d.after {
		d.kill()
	}
	return d.calls == d.n, d.calls > d.n
}

// nameOf is what a request of Firestore's does, to what.
func nameOf(m proto.Message) string {
	var at string
	switch r := m.(type) {
	case *pb.CommitRequest:
		for _, w := range r.GetWrites() {
			at += " " + w.GetUpdate().GetName()
		}
	case *pb.BatchGetDocumentsRequest:
		at = " " + strings.Join(r.GetDocuments(), " ")
	}
	var kinds []string
	for name := range strings.FieldsSeq(at) {
		_, name, _ = strings.Cut(name, "/documents/")
		collection, _, _ := strings.Cut(name, "/")
		kinds = append(kinds, collection)
	}
	return string(m.ProtoReflect().Descriptor().Name()) + " " + strings.Join(kinds, ",")
}

// strike sets a death on everything in the world.
func (w *world) strike(d *death) {
	dies, dead := false, false
	w.Hooks.Set(
		firedb.Rule{Fault: firedb.Fault{Code: codes.PermissionDenied, After: d.after}, When: func(m proto.Message) bool {
			dies, dead = d.next(nameOf(m))
			return dies
		}},
		firedb.Rule{Fault: firedb.Fault{Code: codes.PermissionDenied}, When: func(proto.Message) bool { return dead }},
	)
	h := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		dies, dead := d.next("Stripe " + r.Method + " " + path.Dir(r.URL.Path+"/"))
		switch {
		case !dies && !dead:
			w.stand.Handler().ServeHTTP(rw, r)
			return
		case dies && d.after:
			w.stand.Handler().ServeHTTP(httptest.NewRecorder(), r)
		}
		rw.WriteHeader(http.StatusBadRequest) // which the client does not repeat
		fmt.Fprint(rw, `{"error":{"type":"api_error","message":"dead"}}`)
	})
	w.broken.Store(&h)
}

func (w *world) heal() {
	w.Hooks.Set()
	w.broken.Store(nil)
}

// flow is something that may be cut off anywhere, and is then repeated.
type flow struct {
	name string
	// before makes the world as the flow finds it; run is the flow, whose errors are a dead process's.
	before func(t *testing.T, w *world)
	run    func(ctx context.Context, t *testing.T, w *world)
	// repeat is what happens afterwards by itself, or by whoever got no answer.
	repeat func(t *testing.T, w *world)
}

func startAndPay(t *testing.T, w *world) {
	t.Helper()
	n := w.order(t, "acme")
	check(t, w.stand.PayCheckout(w.sessions[n]))
}

// redeliver sends the webhooks that were not taken, until all are.
func redeliver(t *testing.T, w *world) {
	t.Helper()
	check(t, w.stand.Deliver(t.Context()))
}

func flows() []flow {
	start := func(ctx context.Context, t *testing.T, w *world) {
		t.Helper()
		_, _ = w.shop.StartPurchase(ctx, payments.Order{Org: "acme", Country: "ZA", Package: "credits-1000", Key: "key-0"})
	}
	drop := func(t *testing.T, w *world) {
		t.Helper()
		check(t, w.stand.WebhookMode(stripestand.ModeDrop))
		startAndPay(t, w)
	}
	ask := func(ctx context.Context, t *testing.T, w *world) {
		t.Helper()
		_, _ = w.receiver.Recover(ctx, "acme", w.bought[0])
	}
	again := func(t *testing.T, w *world) {
		t.Helper()
		_, err := w.receiver.Recover(t.Context(), "acme", w.bought[0])
		check(t, err)
	}
	walk := func(t *testing.T, w *world) { t.Helper(); w.run(t) }
	return []flow{
		{"a purchase that begins", func(*testing.T, *world) {}, start, func(t *testing.T, w *world) { t.Helper(); startAndPay(t, w); redeliver(t, w) }},
		{"a webhook", startAndPay, func(ctx context.Context, _ *testing.T, w *world) { _ = w.stand.Deliver(ctx) }, redeliver},
		{"a webhook, and then the walk", startAndPay, func(ctx context.Context, t *testing.T, w *world) {
			t.Helper()
			_ = w.stand.Deliver(ctx)
			check(t, w.stand.WebhookMode(stripestand.ModeDrop))
		}, walk},
		{"a recovery", drop, ask, again},
		{"a recovery, and then the walk", drop, ask, walk},
		{"the walk", drop, func(ctx context.Context, _ *testing.T, w *world) { _, _ = payments.NewReconciler(w.receiver).Run(ctx) }, walk},
	}
}

// TestAPurchaseThatIsCutOffAnywhereEndsOnceAndRight kills each flow at every call that it makes, before the call has its effect and after,
// and repeats it.
func TestAPurchaseThatIsCutOffAnywhereEndsOnceAndRight(t *testing.T) {
	t.Parallel()
	for _, f := range flows() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			var points []string
			for _, after := range []bool{false, true} {
				for n := 1; ; n++ {
					if n > maxPoints {
						t.Fatal("the flow does not end")
					}
					d := &death{n: n, after: after}
					f.cutOff(t, d)
					if d.at == "" {
						break
					}
					if !after {
						points = append(points, d.at)
					}
				}
			}
			t.Logf("%d points, each before and after: %s", len(points), strings.Join(points, " · "))
			if len(points) < 3 {
				t.Error("the flow was not cut off")
			}
		})
	}
}

// cutOff runs the flow to its death, and repeats it.
func (f flow) cutOff(t *testing.T, d *death) {
	t.Helper()
	w := newWorld(t)
	f.before(t, w)
	w.restart(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	d.kill = cancel
	w.strike(d)
	f.run(ctx, t, w)
	w.heal()
	w.restart(t)
	f.repeat(t, w)
	w.wantCredits(t, "acme", 1000)
	bought := w.documents(t, "purchases")
	if len(bought) != 1 || len(w.documents(t, "payments")) != 1 || bought[w.bought[0]]["status"] != "paid" || bought[w.bought[0]]["session"] != w.sessions[0] {
		t.Errorf("cut off at %d, %s: %v", d.n, d.at, bought)
	}
	if sessions := w.openSessions(t); sessions != 1 {
		t.Errorf("cut off at %d, %s: %d checkouts were opened", d.n, d.at, sessions)
	}
	if wrote, answer := w.run(t); answer["received"] != 0.0 && f.name != "a recovery" {
		t.Errorf("cut off at %d, %s: a further run wrote %d: %v", d.n, d.at, wrote, answer)
	}
	w.wantCredits(t, "acme", 1000)
}

// openSessions counts the checkouts that Stripe has.
func (w *world) openSessions(t *testing.T) int {
	t.Helper()
	_, answer := w.ask(t, "/v1/checkout/sessions")
	all, _ := answer["data"].([]any)
	return len(all)
}

// TestARefundThatIsCutOffAnywhereIsEndedByTheJobOrWasNeverBegun kills a refund of ours at every call that it makes. Nobody repeats it: the job
// ends what was begun, and Stripe has refunded exactly what the credits were taken for.
func TestARefundThatIsCutOffAnywhereIsEndedByTheJobOrWasNeverBegun(t *testing.T) {
	t.Parallel()
	var points []string
	ended := 0
	for _, after := range []bool{false, true} {
		for n := 1; ; n++ {
			if n > maxPoints {
				t.Fatal("the flow does not end")
			}
			d := &death{n: n, after: after}
			ended += cutOffRefund(t, d)
			if d.at == "" {
				break
			}
			if !after {
				points = append(points, d.at)
			}
		}
	}
	t.Logf("%d points, each before and after, of which the job ended %d: %s", len(points), ended, strings.Join(points, " · "))
	if len(points) < 5 || ended < 5 {
		t.Error("the refund was not cut off")
	}
}

func cutOffRefund(t *testing.T, d *death) (ended int) {
	t.Helper()
	w := newWorld(t)
	_, intent := w.buy(t, "acme")
	check(t, w.stand.WebhookMode(stripestand.ModeDrop))
	w.restart(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	d.kill = cancel
	w.strike(d)
	_, _ = w.refunder.Refund(ctx, payments.RefundOrder{Org: "acme", Reference: w.bought[0], Key: "k", By: "agent", Reason: "a test"})
	w.heal()
	w.restart(t)
	w.pass(t, 10*time.Minute)
	_, answer := w.run(t)
	_, refunds := w.ask(t, "/v1/refunds?payment_intent="+intent)
	made, _ := refunds["data"].([]any)
	if w.wantCredits(t, "acme", int64(1000-1000*len(made))); len(made) > 1 {
		t.Errorf("cut off at %d, %s: %d refunds were made", d.n, d.at, len(made))
	}
	own, _ := w.documents(t, "payments")[intent]["own_refunds"].([]any)
	for _, o := range own {
		if state := o.(map[string]any)["state"]; state != "made" {
			t.Errorf("cut off at %d, %s: the refund is %v", d.n, d.at, state)
		}
	}
	if len(own) != len(made) {
		t.Errorf("cut off at %d, %s: %d refunds are recorded, %d were made", d.n, d.at, len(own), len(made))
	}
	if wrote, again := w.run(t); wrote != 1 || again["refunds_ended"] != 0.0 {
		t.Errorf("cut off at %d, %s: a further run wrote %d: %v", d.n, d.at, wrote, again)
	}
	number, _ := answer["refunds_ended"].(float64)
	return int(number)
}
