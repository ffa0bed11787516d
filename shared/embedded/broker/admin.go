package broker

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Topic creates the topic projects/PROJECT/topics/NAME unless it exists.
func (b *Broker) Topic(ctx context.Context, name string) error {
	_, err := b.createTopic(ctx, name)
	return err
}

// Subscribe creates a subscription to a topic that exists, or changes the one of that name: a restored one, say, whose
// Handler has to be named again. Topic, Filter and Ordered cannot change.
//
// Errors carry a gRPC status: INVALID_ARGUMENT for what is out of range, NOT_FOUND for a topic or dead-letter topic
// that does not exist.
func (b *Broker) Subscribe(ctx context.Context, s Subscription) error {
	return b.subscribe(ctx, s.Name, func(old *backlog) (Subscription, error) {
		if old != nil && (old.cfg.Topic != s.Topic || old.cfg.Filter != s.Filter || old.cfg.Ordered != s.Ordered) {
			return s, status.Errorf(codes.InvalidArgument, "subscription %q exists with another topic, filter or ordering", s.Name)
		}
		return s, nil
	})
}

// change makes an administrative change under the lock and waits until it is written. The change itself takes effect
// at once; apply returns how to write it.
func (b *Broker) change(ctx context.Context, apply func() (func(*bbolt.Tx) error, error)) error {
	written := make(chan error, 1)
	err := func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.closed {
			return status.Error(codes.Unavailable, ErrClosed.Error())
		}
		write, err := apply()
		if err != nil || write == nil {
			written <- nil
			return err
		}
		b.persist(write, func(err error) { written <- err })
		return nil
	}()
	if err != nil {
		return err
	}
	select {
	case err := <-written:
		if err != nil {
			return status.Error(codes.Internal, err.Error())
		}
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}

func (b *Broker) createTopic(ctx context.Context, name string) (created bool, err error) {
	err = b.change(ctx, func() (func(*bbolt.Tx) error, error) {
		switch {
		case b.topics[name] != nil:
			return nil, nil
		case !topicName.MatchString(name):
			return nil, status.Errorf(codes.InvalidArgument, "topic name %q is not projects/PROJECT/topics/NAME", name)
		case len(b.topics) >= maxTopics:
			return nil, status.Errorf(codes.ResourceExhausted, "there are %d topics", len(b.topics))
		}
		b.topics[name] = &topic{backlogs: map[string]*backlog{}}
		created = true
		return putTopic(name), nil
	})
	return created, err
}

func (b *Broker) deleteTopic(ctx context.Context, name string) error {
	return b.change(ctx, func() (func(*bbolt.Tx) error, error) {
		t := b.topics[name]
		if t == nil {
			return nil, status.Errorf(codes.NotFound, "topic %q does not exist", name)
		}
		delete(b.topics, name)
		write := deleteTopic(name)
		for _, q := range t.backlogs {
			q.cfg.Topic = deletedTopic
			write = both(write, putSubscription(q.cfg))
		}
		return write, nil
	})
}

// subscribe creates or changes the subscription of that name to what decide makes of the one there is, which is nil
// if there is none. An error of decide is returned as it is.
func (b *Broker) subscribe(ctx context.Context, name string, decide func(old *backlog) (Subscription, error)) error {
	return b.change(ctx, func() (func(*bbolt.Tx) error, error) {
		old := b.backlogs[name]
		wanted, err := decide(old)
		if err != nil {
			return nil, err
		}
		cfg, match, err := wanted.complete(b.options.TokenSource)
		if err != nil {
			return nil, status.Error(codes.InvalidArgument, err.Error())
		}
		if cfg.DeadLetterTopic != "" && b.topics[cfg.DeadLetterTopic] == nil {
			return nil, status.Errorf(codes.NotFound, "dead-letter topic %q does not exist", cfg.DeadLetterTopic)
		}
		if old == nil {
			if old, err = b.addBacklog(cfg, match); err != nil {
				return nil, err
			}
		}
		old.cfg, old.push = cfg, nil
		if cfg.canPush() {
			old.push = b.newPusher(cfg)
		}
		old.wakePullers()
		b.noteQuiet()
		b.pump(old)
		return putSubscription(cfg), nil
	})
}

func (b *Broker) addBacklog(cfg Subscription, match filter) (*backlog, error) {
	t := b.topics[cfg.Topic]
	switch {
	case t == nil:
		return nil, status.Errorf(codes.NotFound, "topic %q does not exist", cfg.Topic)
	case len(b.backlogs) >= maxSubscriptions:
		return nil, status.Errorf(codes.ResourceExhausted, "there are %d subscriptions", len(b.backlogs))
	}
	q := newBacklog(cfg, match)
	b.backlogs[cfg.Name], t.backlogs[cfg.Name] = q, q
	return q, nil
}

func (b *Broker) deleteSubscription(ctx context.Context, name string) error {
	return b.change(ctx, func() (func(*bbolt.Tx) error, error) {
		q := b.backlogs[name]
		if q == nil {
			return nil, missing(name)
		}
		delete(b.backlogs, name)
		if t := b.topics[q.cfg.Topic]; t != nil {
			delete(t.backlogs, name)
		}
		q.deleted, q.push, q.queue = true, nil, nil
		clear(q.leases)
		var messages []uint64
		for id, c := range q.copies {
			if c.remove() {
				messages = append(messages, id)
			}
			b.settle(c)
		}
		q.wakePullers()
		b.noteQuiet()
		return deleteSubscription(name, messages), nil
	})
}

// missing is the error for a subscription that does not exist.
func missing(name string) error {
	return status.Errorf(codes.NotFound, "subscription %q does not exist", name)
}

// lookUp returns the backlog of a subscription. The lock is held.
func (b *Broker) lookUp(name string) (*backlog, error) {
	q := b.backlogs[name]
	if q == nil {
		return nil, missing(name)
	}
	return q, nil
}

// invalid makes err an INVALID_ARGUMENT, and leaves nil and what already has a status alone.
func invalid(err error) error {
	var withStatus interface{ GRPCStatus() *status.Status }
	if err == nil || errors.As(err, &withStatus) {
		return err
	}
	return status.Error(codes.InvalidArgument, fmt.Sprint(err))
}
