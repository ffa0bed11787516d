package ledger

import (
	"context"
	"fmt"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/telemetry"
)

// fenceLife is how long after its last attempt a commit with an unknown outcome may still land: longer than Firestore lets anything live.
const fenceLife = 5 * time.Minute

// verdict is what is known of a commit after an answer that was not a plain success.
type verdict int

const (
	open     verdict = iota // not landed, but it may
	applied                 // landed; the answer was lost
	lostRace                // another commit came first: this one can never land
	harmed                  // an entry of it exists already on the wallet as it is known: this one can never land
	hopeless                // refused for what it is
)

// commit sends the batch until its outcome is known or the callers' patience ends. Sending the same commit again is safe: its precondition
// lets at most one of them land.
func (r *round) commit(ctx context.Context) {
	next := r.nextTurns()
	ctx, span := r.traced(ctx)
	defer span.End()
	writes, err := r.writes(next, telemetry.Carried(ctx))
	if err != nil {
		r.unknown(err)
		return
	}
	pause := 2 * time.Millisecond
	for {
		sent := time.Now()
		resp, err := r.ledger.store.commit(ctx, writes)
		took := time.Since(sent)
		if err == nil {
			r.reportAttempt(ctx, applied, took)
			r.landedIn = took
			r.measure(r.landedIn)
			r.tookTurn(next, time.Now())
			r.landed(ctx, r.state.Forget(), resp.GetWriteResults()[0].GetUpdateTime())
			return
		}
		v, wallet, readErr := r.investigate(ctx, err)
		r.reportAttempt(ctx, v, took)
		switch {
		case readErr != nil: // nothing is known
		case v == applied:
			r.tookTurn(next, time.Now())
			if err := r.adopt(wallet); err != nil {
				r.forget()
			}
			r.landed(ctx, r.actor.state, r.version)
			return
		case v == lostRace:
			r.lose(time.Now())
			if err := r.adopt(wallet); err != nil {
				r.forget()
			}
			r.retry()
			return
		case v == harmed:
			r.retry()
			return
		case v == hopeless && status.Code(err) == codes.InvalidArgument && len(r.items) > 1:
			r.isolate(err)
			return
		case v == hopeless:
			r.abandon(fmt.Errorf("committing %d entries of %s: %w", len(r.entries), r.org, err))
			return
		}
		if sleep(ctx, jitter(pause)) != nil {
			r.abandon(fmt.Errorf("committing %d entries of %s, outcome unknown: %w", len(r.entries), r.org, err))
			return
		}
		pause = min(2*pause, 500*time.Millisecond)
	}
}

// writes is the batch as one commit: wallet, grants, holds, entries, counters, roll-ups, outbox. cause is the trace that what it tells belongs
// to.
func (r *round) writes(next turns, cause string) ([]*pb.Write, error) {
	s := &r.ledger.store
	wallet := setWrite(s.walletName(r.org), encodeWallet(&stored{wallet: r.erase.from(r.state.Wallet), batch: r.batch, usage: r.rollup(), turns: next}))
	wallet.CurrentDocument = &pb.Precondition{ConditionType: &pb.Precondition_Exists{Exists: false}}
	if r.version != nil {
		wallet.CurrentDocument = &pb.Precondition{ConditionType: &pb.Precondition_UpdateTime{UpdateTime: r.version}}
	}
	out := []*pb.Write{wallet}
	for _, g := range r.state.Dirty() {
		out = append(out, setWrite(s.grantName(r.org, g.ID), encodeGrantRecord(r.org, g)))
	}
	for _, h := range r.state.DirtyHolds() {
		_, doc, err := credit.ParseHoldID(h.ID)
		if err != nil {
			return nil, err
		}
		out = append(out, setWrite(s.holdName(r.org, doc), encodeHold(r.org, h)))
	}
	for i, e := range r.entries {
		out = append(out, createWrite(s.entryName(r.org, r.docs[i]), encodeEntry(r.org, r.batch, e)))
	}
	for _, c := range r.state.DirtyCounters() {
		out = append(out, s.counterWrite(r.org, c))
	}
	out = append(out, s.rollupWrites(r.org, r.usage, r.flows, r.actor.usage)...)
	if r.fold != nil {
		out = append(out, r.fold.writes...)
	}
	if r.erase != nil {
		out = append(out, r.erase.writes...)
	}
	if len(r.events) > 0 {
		w, err := r.outboxWrite(cause)
		if err != nil {
			return nil, err
		}
		out = append(out, w)
	}
	return out, nil
}

// investigate finds out what became of a commit. Any code can follow a commit that was applied, so what is stored decides.
func (r *round) investigate(ctx context.Context, commitErr error) (verdict, *pb.Document, error) {
	s := &r.ledger.store
	docs := r.docs
	if status.Code(commitErr) != codes.AlreadyExists && len(docs) > 1 {
		docs = docs[:1] // a commit is all or nothing: one entry tells
	}
	names := []string{s.walletName(r.org)}
	for _, doc := range docs {
		names = append(names, s.entryName(r.org, doc))
	}
	got, err := s.get(ctx, names...)
	if err != nil {
		return open, nil, err
	}
	wallet := got[names[0]]
	guilty := false
	for _, name := range names[1:] {
		d := got[name]
		if d == nil {
			continue
		}
		e, batch, err := decodeEntry(d)
		if err != nil {
			return open, nil, err
		}
		if batch == r.batch {
			return applied, wallet, nil
		}
		r.remember(e) // answers the repeat when it is decided again
		guilty = true
	}
	if len(r.entries) == 0 && wallet != nil && readDocument(wallet).str("batch") == r.batch {
		return applied, wallet, nil
	}
	if !proto.Equal(wallet.GetUpdateTime(), r.version) {
		return lostRace, wallet, nil // also where an entry exists: what the clock decided may have been journaled by who came first
	}
	if guilty {
		return harmed, wallet, nil
	}
	switch status.Code(commitErr) {
	case codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated, codes.Unimplemented, codes.OutOfRange:
		return hopeless, wallet, nil
	default:
		return open, wallet, nil
	}
}

// landed takes over the state that the commit made, tells what must be told, and answers.
func (r *round) landed(ctx context.Context, state *credit.State, version *timestamppb.Timestamp) {
	r.actor.state, r.version, r.actor.usage = state, version, r.rollup()
	r.fence = nil
	r.reportLanded(ctx)
	if r.erase != nil { // what is cached may hold what was taken out
		r.forget()
	}
	for i, e := range r.entries {
		if !e.Key.System || e.Kind == credit.KindGrant || e.Kind == credit.KindCapture || e.Kind == credit.KindRelease {
			r.ledger.memory.keep(r.org, r.docs[i], e)
		}
	}
	r.giveBack(r.again)
	if len(r.events) == 0 {
		r.answer()
		return
	}
	go func() { // the next batch need not wait for Pub/Sub, but the callers do: the processor may be throttled once they are answered
		r.publish(context.WithoutCancel(ctx))
		r.answer()
	}()
}

// abandon gives up on a commit whose outcome is not known. While the wallet stands at its version it may still land, so until then no
// refusal goes out without a commit that moves the wallet past it.
func (r *round) abandon(err error) {
	r.ledger.opts.Logger.Error("commit abandoned", "org", r.org, "entries", len(r.entries), "error", err)
	r.raiseFence()
	r.unknown(err)
}

// raiseFence notes that a commit on the wallet's version may still land.
func (a *actor) raiseFence() {
	a.fence = &unclear{version: a.version, until: time.Now().Add(fenceLife)}
}

// isolate commits the items of a batch one by one, because the store will not have them together: one of them may be to blame, or all for
// their size.
func (r *round) isolate(err error) {
	r.ledger.opts.Logger.Error("commit refused, its items are tried alone", "org", r.org, "entries", len(r.entries), "error", err)
	r.raiseFence()
	r.alone = len(r.items)
	r.retry()
}

// fenced tells whether a commit may still land on the wallet.
func (a *actor) fenced() bool { return a.fence != nil && time.Now().Before(a.fence.until) }

// clearFence forgets an unclear commit once the wallet has moved past it.
func (a *actor) clearFence(version *timestamppb.Timestamp) {
	if a.fence != nil && (!proto.Equal(a.fence.version, version) || time.Now().After(a.fence.until)) {
		a.fence = nil
	}
}
