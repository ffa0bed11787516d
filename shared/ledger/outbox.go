package ledger

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/telemetry"
)

var errNoPublisher = errors.New("no publisher is set")

// Publisher tells messages to others. It may be asked to publish a message again.
type Publisher interface {
	Publish(ctx context.Context, messages []events.Message) error
}

// outboxWrite puts what must follow the commit into the commit.
func (r *round) outboxWrite(cause string) (*pb.Write, error) {
	messages := make([]*pb.Value, len(r.events))
	for i, e := range r.events {
		m, err := events.Encode(e)
		if err != nil {
			return nil, err
		}
		messages[i] = mapValue(fields{}.str("topic", m.Topic).str("id", m.ID).str("data", string(m.Data)).str("trace", cause))
	}
	f := fields{"v": intValue(schemaVersion)}.str("org", r.org).time("at", r.state.LastAt).list("messages", messages)
	return createWrite(r.ledger.store.outboxName(r.batch), f), nil
}

// publish tells the batch's events, within its bound. What it does not manage stands in the outbox, for the sweeper.
func (r *round) publish(ctx context.Context) {
	defer func() {
		if v := recover(); v != nil {
			r.ledger.opts.Logger.Error("publisher panicked", "org", r.org, "batch", r.batch, "panic", v, "stack", string(debug.Stack()))
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, r.ledger.opts.PublishTimeout)
	defer cancel()
	messages := make([]events.Message, 0, len(r.events))
	for _, e := range r.events {
		m, err := events.Encode(e)
		if err != nil {
			r.ledger.opts.Logger.Error("event cannot be encoded", "event", e.ID, "error", err)
			return
		}
		messages = append(messages, m)
	}
	if err := r.ledger.send(ctx, r.batch, messages); err != nil {
		r.ledger.opts.Logger.Warn("events left to the outbox", "org", r.org, "batch", r.batch, "error", err)
	}
}

// send publishes the messages of one outbox document and removes it.
func (l *Ledger) send(ctx context.Context, id string, messages []events.Message) error {
	if l.opts.Publish == nil {
		return errNoPublisher
	}
	if err := l.opts.Publish.Publish(ctx, messages); err != nil {
		return fmt.Errorf("publishing %d messages of %s: %w", len(messages), id, err)
	}
	w := &pb.Write{Operation: &pb.Write_Delete{Delete: l.store.outboxName(id)}}
	if _, err := l.store.commit(ctx, []*pb.Write{w}); err != nil {
		return fmt.Errorf("removing %s from the outbox: %w", id, err)
	}
	return nil
}

// Bounds of a sweep.
const (
	sweepPage     = 100              // documents read at once
	sweepParallel = 16               // of them published at once
	sweepTimeout  = 10 * time.Second // of one document
	sweepErrors   = 20               // failures that are told one by one
)

// Swept is what a sweep of the outbox did.
type Swept struct {
	Sent   int  // outbox documents published and removed
	Failed int  // those that could not be
	More   bool // there may be others yet
}

// Sweep publishes what stands in the outbox since before a moment, oldest first, at most limit documents: the events of commits whose
// process did not live to tell them. It goes on past documents that fail, until the context ends, and returns the failures.
func (l *Ledger) Sweep(ctx context.Context, before time.Time, limit int) (Swept, error) {
	var out Swept
	var failures []error
	var after *pb.Document
	for seen := 0; seen < limit; {
		if ctx.Err() != nil {
			out.More = true
			break
		}
		size := min(sweepPage, limit-seen)
		docs, err := l.outboxPage(ctx, before, after, size)
		if err != nil {
			return out, unavailable(errors.Join(append(failures, err)...))
		}
		if after == nil {
			l.reportOutbox(ctx, docs)
		}
		for _, err := range l.sendAll(ctx, docs) {
			if err == nil {
				out.Sent++
				continue
			}
			out.Failed++
			if len(failures) < sweepErrors {
				failures = append(failures, err)
			}
		}
		seen += len(docs)
		if out.More = len(docs) == size; !out.More {
			break
		}
		after = docs[len(docs)-1]
	}
	return out, errors.Join(failures...)
}

// outboxPage reads outbox documents since before a moment that come after another, oldest first.
func (l *Ledger) outboxPage(ctx context.Context, before time.Time, after *pb.Document, size int) ([]*pb.Document, error) {
	q := from("outbox", int32(size))
	q.Where = where("at", pb.StructuredQuery_FieldFilter_LESS_THAN_OR_EQUAL, timeValue(before))
	q.OrderBy = []*pb.StructuredQuery_Order{order("at", pb.StructuredQuery_ASCENDING), order("__name__", pb.StructuredQuery_ASCENDING)}
	if after != nil {
		name := &pb.Value{ValueType: &pb.Value_ReferenceValue{ReferenceValue: after.GetName()}}
		q.StartAt = &pb.Cursor{Values: []*pb.Value{after.GetFields()["at"], name}}
	}
	return l.store.query(ctx, l.store.documents(), q)
}

// sendAll publishes the messages of outbox documents, a few at once, and returns what came of each.
func (l *Ledger) sendAll(ctx context.Context, docs []*pb.Document) []error {
	errs := make([]error, len(docs))
	places := make(chan struct{}, sweepParallel)
	var all sync.WaitGroup
	for i, d := range docs {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
			defer cancel()
			errs[i] = l.sendStored(ctx, d)
		})
	}
	all.Wait()
	return errs
}

// sendStored publishes the messages of an outbox document.
func (l *Ledger) sendStored(ctx context.Context, d *pb.Document) error {
	r := readDocument(d)
	if err := checkVersion(r); err != nil {
		return err
	}
	var messages []events.Message
	for _, m := range r.groups("messages") {
		ctx = telemetry.Continue(ctx, m.str("trace")) // one commit's messages have one cause
		messages = append(messages, events.Message{Topic: m.str("topic"), ID: m.str("id"), Data: []byte(m.str("data"))})
	}
	if *r.err != nil {
		return *r.err
	}
	return l.send(ctx, lastSegment(d.GetName()), messages)
}
