package main

import (
	"context"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/fluxori/ai-credits/shared/embedded/broker"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/embedded/inbox"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
)

// kind is a kind of fault, as it is counted and can be left out.
type kind string

// The kinds of faults.
const (
	commitRefused kind = "commit refused"
	commitLost    kind = "commit applied, answer lost"
	commitStorm   kind = "commit aborted in a storm"
	commitSlow    kind = "commit delayed"
	readRefused   kind = "read refused"
	storeOut      kind = "Firestore unreachable"
	messages      kind = "message duplicated, delayed, reordered, acknowledgement or publish answer lost"
	messagesOut   kind = "Pub/Sub unreachable"
	webhooks      kind = "webhooks held, dropped, duplicated or shuffled"
	stripeRefused kind = "Stripe answered 500"
	stripeLost    kind = "Stripe acted, answer lost"
	stripeOut     kind = "Stripe unreachable"
	mailOut       kind = "mail server down, deferring or dropping"
	answerLost    kind = "function acted, answer lost"
	death         kind = "instance died"
	jobTwice      kind = "job fired twice at once"
	jobNever      kind = "job not fired"
)

var kinds = []kind{
	commitRefused, commitLost, commitStorm, commitSlow, readRefused, storeOut, messages, messagesOut, webhooks, stripeRefused, stripeLost, stripeOut,
	mailOut, answerLost, death, jobTwice, jobNever,
}

// faults injects them, and counts what was injected.
type faults struct {
	w *world

	mu     sync.Mutex
	rand   *rand.Rand
	out    map[kind]bool // never injected
	chance map[kind]float64
	counts map[kind]int
}

func newFaults(w *world, r *rand.Rand) *faults {
	return &faults{w: w, rand: r, out: map[kind]bool{}, chance: map[kind]float64{}, counts: map[kind]int{}}
}

// strikes draws whether an occasion is struck, and counts it.
func (f *faults) strikes(k kind) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.out[k] || f.rand.Float64() >= f.chance[k] {
		return false
	}
	f.counts[k]++
	return true
}

// sum is what was injected. Of messages the broker counts for itself.
func (f *faults) sum() map[kind]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := maps.Clone(f.counts)
	stats := f.w.broker.Stats()
	out[messages] += int(stats.DroppedReplies)
	for _, s := range stats.Subscriptions {
		out[messages] += int(s.Duplicated + s.Delayed + s.Reordered + s.DroppedAcks)
	}
	out[death] = f.w.fleet.deathCount()
	return out
}

// draw is a number below n.
func (f *faults) draw(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rand.IntN(n)
}

// begin draws which faults there are from now on, and how often. About half of the kinds are there at a time, so that some rounds are
// quiet enough for much to happen and others are all trouble.
func (f *faults) begin() {
	f.mu.Lock()
	for _, k := range kinds {
		f.chance[k] = 0
		if f.rand.IntN(2) == 0 {
			f.chance[k] = []float64{0.01, 0.05, 0.2}[f.rand.IntN(3)]
		}
	}
	mode := stripestand.ModeDeliver
	if f.chance[webhooks] > 0 && !f.out[webhooks] {
		mode = []stripestand.Mode{stripestand.ModeHold, stripestand.ModeDrop, stripestand.ModeDuplicate, stripestand.ModeShuffle}[f.rand.IntN(4)]
		f.counts[webhooks]++
	}
	mail := inbox.ModeUp
	if f.chance[mailOut] > 0 && !f.out[mailOut] {
		mail = []inbox.Mode{inbox.ModeDown, inbox.ModeDefer, inbox.ModeDrop}[f.rand.IntN(3)]
		f.counts[mailOut]++
	}
	perMille := func(k kind) broker.Fault { return broker.Fault{PerMille: int(1000 * f.chance[k])} }
	trouble := broker.Faults{Seed: f.rand.Uint64()}
	if !f.out[messages] {
		trouble.Duplicate, trouble.Delay, trouble.Reorder = perMille(messages), perMille(messages), perMille(messages)
		trouble.DropAck, trouble.DropReply, trouble.DelayUpTo = perMille(messages), perMille(messages), time.Minute
	}
	f.mu.Unlock()
	must(f.w.stand.WebhookMode(mode))
	must(f.w.inbox.SetMode(mail))
	must(f.w.broker.SetFaults(trouble))
	f.w.hooks.Set(f.rules()...)
}

// end takes all faults away.
func (f *faults) end() {
	f.mu.Lock()
	clear(f.chance)
	f.mu.Unlock()
	f.w.hooks.Set()
	must(f.w.stand.WebhookMode(stripestand.ModeDeliver))
	must(f.w.inbox.SetMode(inbox.ModeUp))
	must(f.w.broker.SetFaults(broker.Faults{}))
	for _, host := range []string{firestoreHost, pubsubHost, stripeHost} {
		f.w.net.set(host, false)
	}
}

// rules are what befalls calls of Firestore.
func (f *faults) rules() []firedb.Rule {
	rule := func(method string, k kind, fault firedb.Fault) firedb.Rule {
		return firedb.Rule{Method: method, Fault: fault, When: func(proto.Message) bool { return f.strikes(k) }}
	}
	refusals := []codes.Code{codes.Unavailable, codes.Aborted, codes.ResourceExhausted, codes.Internal, codes.DeadlineExceeded}
	losses := []codes.Code{codes.Unavailable, codes.Aborted, codes.DeadlineExceeded, codes.Internal, codes.Unknown, codes.Canceled}
	return []firedb.Rule{
		rule("Commit", commitRefused, firedb.Fault{Code: refusals[f.draw(len(refusals))]}),
		rule("Commit", commitLost, firedb.Fault{Code: losses[f.draw(len(losses))], After: true}),
		rule("Commit", commitStorm, firedb.Fault{Code: codes.Aborted, DelayFunc: f.pause}),
		rule("Commit", commitSlow, firedb.Fault{DelayFunc: f.pause}),
		rule("BatchGetDocuments", readRefused, firedb.Fault{Code: codes.Unavailable}),
		rule("RunQuery", readRefused, firedb.Fault{Code: codes.Unavailable}),
		rule("GetDocument", readRefused, firedb.Fault{Code: codes.Unavailable}),
	}
}

// pause is how long something is held up, mostly shortly.
func (f *faults) pause() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Duration(f.rand.ExpFloat64() * float64(800*time.Millisecond))
}

// answerLost tells whether a function's answer goes missing.
func (f *faults) answerLost() bool { return f.strikes(answerLost) }

// stripe is Stripe's API, troubled.
func (f *faults) stripe(api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.strikes(stripeRefused) {
			http.Error(w, `{"error":{"type":"api_error","message":"injected"}}`, http.StatusInternalServerError)
			return
		}
		if f.strikes(stripeLost) {
			api.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		api.ServeHTTP(w, r)
	})
}

// outages takes services and instances away, one after another, until ctx ends.
func (f *faults) outages(ctx context.Context) {
	hosts := []struct {
		kind kind
		name string
	}{{storeOut, firestoreHost}, {messagesOut, pubsubHost}, {stripeOut, stripeHost}}
	for wait(ctx, time.Duration(1+f.draw(20))*time.Second) {
		if f.strikes(death) {
			f.w.fleet.light(f.victim(), 1+f.draw(60))
		}
		h := hosts[f.draw(len(hosts))]
		if !f.strikes(h.kind) {
			continue
		}
		f.w.net.set(h.name, true)
		wait(ctx, time.Duration(1+f.draw(15))*time.Second)
		f.w.net.set(h.name, false)
	}
}

// victim is a function whose instance is to die: more often one that much happens in.
func (f *faults) victim() string {
	likely := []string{"debit", "debit", "debit", "usage", "usage", "account", "account", "purchasewebhook", "purchasewebhook", "expiry", "outbox", "reconcile", "alerts", "autotopup", "billingcycle"}
	return likely[f.draw(len(likely))]
}

// wait lets time pass, and tells whether ctx lasts.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// must ends the program at what cannot fail.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
