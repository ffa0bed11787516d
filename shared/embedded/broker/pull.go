package broker

import (
	"context"
	"fmt"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

const (
	// pullWait is how long a Pull waits for a first message before it answers with none.
	pullWait = 10 * time.Second
	// maxPullMessages and maxPullBytes bound one answer; a first message goes out whatever its size.
	maxPullMessages = 1000
	maxPullBytes    = 3 << 20 // clients refuse answers above 4 MiB unless told otherwise
	// maxAckIDs bounds the ids in one request.
	maxAckIDs = 10_000
)

// A puller is a StreamingPull or one Pull, with what it holds. The Broker's lock guards it.
type puller struct {
	deadline       time.Duration // of its leases; 0 means the subscription's
	messages       int           // held now, with their bytes
	bytes          int64
	maxOutMessages int
	maxOutBytes    int64
}

// room returns how many more messages and bytes p may be sent.
func (p *puller) room() (int, int64) {
	return min(p.maxOutMessages-p.messages, maxPullMessages), min(p.maxOutBytes-p.bytes, maxPullBytes)
}

// pullable returns the backlog of a subscription that may be pulled from. The lock is held.
func (b *Broker) pullable(name string) (*backlog, error) {
	q, err := b.lookUp(name)
	if err != nil {
		return nil, err
	}
	if q.cfg.isPush() {
		return nil, status.Errorf(codes.FailedPrecondition, "subscription %q is a push subscription", name)
	}
	return q, nil
}

// Pull leases up to max_messages. It waits for a first one, unless told to return immediately.
func (s subscriber) Pull(ctx context.Context, r *pubsubpb.PullRequest) (*pubsubpb.PullResponse, error) {
	if r.GetMaxMessages() <= 0 {
		return nil, status.Errorf(codes.InvalidArgument, "max_messages %d must be positive", r.GetMaxMessages())
	}
	timeout := time.NewTimer(pullWait)
	defer timeout.Stop()
	p := &puller{maxOutMessages: min(int(r.GetMaxMessages()), maxPullMessages), maxOutBytes: maxPullBytes}
	for {
		leased, arrived, err := s.broker.lease(r.GetSubscription(), p)
		//nolint:staticcheck // deprecated for clients, who may send it nevertheless
		if err != nil || len(leased) > 0 || r.GetReturnImmediately() {
			return &pubsubpb.PullResponse{ReceivedMessages: leased}, err
		}
		select {
		case <-arrived:
		case <-timeout.C:
			return &pubsubpb.PullResponse{}, nil
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
	}
}

// lease hands out what is queued, as far as p has room, and returns what is closed when there may be more.
func (b *Broker) lease(name string, p *puller) ([]*pubsubpb.ReceivedMessage, <-chan struct{}, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q, err := b.pullable(name)
	if err != nil {
		return nil, nil, err
	}
	count, bytes := p.room()
	var out []*pubsubpb.ReceivedMessage
	for len(q.queue) > 0 && len(out) < count && (bytes >= int64(q.queue[0].size) || (p.messages == 0 && len(out) == 0)) {
		c := q.pop()
		bytes -= int64(c.size)
		c.attempt++
		q.stats.Attempts++
		q.inFlight++
		b.leases++
		c.ackID, c.holder = fmt.Sprintf("%d-%d", c.id, b.leases), p
		q.leases[c.ackID] = c
		p.messages++
		p.bytes += int64(c.size)
		deadline := q.cfg.AckDeadline
		if p.deadline > 0 {
			deadline = p.deadline
		}
		b.after(c, deadline, func() { b.expire(c) })
		received := &pubsubpb.ReceivedMessage{AckId: c.ackID, Message: c.pb}
		if q.cfg.DeadLetterTopic != "" {
			received.DeliveryAttempt = int32(c.attempt)
		}
		out = append(out, received)
	}
	return out, q.arrived, nil
}

// unlease takes c back from its puller. The lock is held here and below.
func (b *Broker) unlease(c *copyOf) {
	q := c.backlog
	delete(q.leases, c.ackID)
	q.inFlight--
	c.cancelTimer()
	c.holder.messages--
	c.holder.bytes -= int64(c.size)
	c.ackID, c.holder = "", nil
	q.wakePullers() // a stream may have room again
}

func (b *Broker) expire(c *copyOf) {
	b.unlease(c)
	b.nacked(c)
}

// Acknowledge settles leased messages. Ids whose lease has ended are let pass, as in production.
func (s subscriber) Acknowledge(_ context.Context, r *pubsubpb.AcknowledgeRequest) (*emptypb.Empty, error) {
	if err := s.broker.settleLeases(r.GetSubscription(), r.GetAckIds(), nil, nil); err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, nil
}

// ModifyAckDeadline extends leases from now on, or with 0 gives the messages back.
func (s subscriber) ModifyAckDeadline(_ context.Context, r *pubsubpb.ModifyAckDeadlineRequest) (*emptypb.Empty, error) {
	seconds := make([]int32, len(r.GetAckIds()))
	for i := range seconds {
		seconds[i] = r.GetAckDeadlineSeconds()
	}
	if err := s.broker.settleLeases(r.GetSubscription(), nil, r.GetAckIds(), seconds); err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, nil
}

// settleLeases acknowledges the leases in acks, and moves the deadline of those in modify to so many seconds from now.
func (b *Broker) settleLeases(name string, acks, modify []string, seconds []int32) error {
	if len(acks)+len(modify) > maxAckIDs || len(modify) != len(seconds) {
		return status.Errorf(codes.InvalidArgument, "%d ack ids and %d deadlines for %d others: at most %d ids, a deadline for each", len(acks), len(seconds), len(modify), maxAckIDs)
	}
	for _, s := range seconds {
		if s < 0 || s > int32(maxAckDeadline/time.Second) {
			return status.Errorf(codes.InvalidArgument, "ack deadline of %d s is not within [0, %d]", s, maxAckDeadline/time.Second)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return status.Error(codes.Unavailable, ErrClosed.Error())
	}
	q, err := b.lookUp(name)
	if err != nil {
		return err
	}
	for _, id := range acks {
		if c := q.leases[id]; c != nil && !b.dropsAck(c) {
			b.unlease(c)
			b.acked(c)
		}
	}
	for i, id := range modify {
		c := q.leases[id]
		switch {
		case c == nil:
		case seconds[i] == 0:
			b.expire(c)
		default:
			b.after(c, time.Duration(seconds[i])*time.Second, func() { b.expire(c) })
		}
	}
	return nil
}
