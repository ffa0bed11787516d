package broker

import (
	"errors"
	"io"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What a stream may hold if its client names no limits of its own.
const (
	maxStreamMessages = 10_000
	maxStreamBytes    = 100 << 20
)

// StreamingPull leases messages to a stream as they come, within the client's flow control, until the client ends it.
// Acknowledgements may come on the stream or by Acknowledge. A request without any is a ping and is answered.
func (s subscriber) StreamingPull(stream pubsubpb.Subscriber_StreamingPullServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	p := newPuller(first)
	if err := s.broker.setDeadline(p, first); err != nil {
		return err
	}
	name := first.GetSubscription()
	pings := make(chan struct{}, 1)
	ended := make(chan error, 1)
	go func() { ended <- s.broker.readStream(stream, name, p, pings) }()
	for {
		leased, arrived, err := s.broker.lease(name, p)
		if err != nil {
			return err
		}
		if len(leased) > 0 {
			if err := stream.Send(&pubsubpb.StreamingPullResponse{ReceivedMessages: leased}); err != nil {
				return err
			}
			continue
		}
		select {
		case <-arrived:
		case <-pings:
			if err := stream.Send(&pubsubpb.StreamingPullResponse{}); err != nil {
				return err
			}
		case err := <-ended:
			return err
		case <-s.broker.ctx.Done():
			return status.Error(codes.Unavailable, ErrClosed.Error())
		}
	}
}

func newPuller(first *pubsubpb.StreamingPullRequest) *puller {
	p := &puller{
		maxOutMessages: int(first.GetMaxOutstandingMessages()),
		maxOutBytes:    first.GetMaxOutstandingBytes(),
	}
	if p.maxOutMessages <= 0 || p.maxOutMessages > maxStreamMessages {
		p.maxOutMessages = maxStreamMessages
	}
	if p.maxOutBytes <= 0 || p.maxOutBytes > maxStreamBytes {
		p.maxOutBytes = maxStreamBytes
	}
	return p
}

// setDeadline makes p's further leases as long as r asks for.
func (b *Broker) setDeadline(p *puller, r *pubsubpb.StreamingPullRequest) error {
	seconds := r.GetStreamAckDeadlineSeconds()
	if seconds < minAckDeadlineSeconds || seconds > int32(maxAckDeadline/time.Second) {
		return status.Errorf(codes.InvalidArgument, "stream_ack_deadline_seconds %d is not within [%d, %d]", seconds, minAckDeadlineSeconds, maxAckDeadline/time.Second)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	p.deadline = time.Duration(seconds) * time.Second
	return nil
}

// readStream applies what the client sends after its first request, until it ends the stream.
func (b *Broker) readStream(stream pubsubpb.Subscriber_StreamingPullServer, name string, p *puller, pings chan<- struct{}) error {
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := b.settleLeases(name, r.GetAckIds(), r.GetModifyDeadlineAckIds(), r.GetModifyDeadlineSeconds()); err != nil {
			return err
		}
		if r.GetStreamAckDeadlineSeconds() > 0 {
			if err := b.setDeadline(p, r); err != nil {
				return err
			}
		}
		if len(r.GetAckIds())+len(r.GetModifyDeadlineAckIds()) > 0 {
			continue
		}
		select {
		case pings <- struct{}{}:
		default: // one is about to be answered
		}
	}
}
