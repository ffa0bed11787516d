package broker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

// maxPageSize bounds a page of a listing, and is what a request without a size gets.
const maxPageSize = 1000

// publisher serves google.pubsub.v1.Publisher.
type publisher struct {
	pubsubpb.UnimplementedPublisherServer
	broker *Broker
}

var _ pubsubpb.PublisherServer = publisher{}

// Publish accepts messages for every subscription of a topic, all or none. It answers when they are in the file, if
// there is one.
func (s publisher) Publish(ctx context.Context, r *pubsubpb.PublishRequest) (*pubsubpb.PublishResponse, error) {
	if err := checkPublish(r); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	written := make(chan error, 1)
	messages, err := s.broker.publish(r, func(err error) { written <- err })
	if err != nil {
		return nil, err
	}
	select {
	case err := <-written:
		if err != nil {
			return nil, status.Errorf(codes.Internal, "publish to %s: %v", r.GetTopic(), err)
		}
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	if s.broker.dropsReply(messages[0]) {
		return nil, status.Errorf(codes.Unavailable, "publish to %s: the reply is dropped on purpose", r.GetTopic())
	}
	out := &pubsubpb.PublishResponse{}
	for _, m := range messages {
		out.MessageIds = append(out.MessageIds, m.pb.GetMessageId())
	}
	return out, nil
}

// publish stamps the messages, and admits them once they are written; then is called after that.
func (b *Broker) publish(r *pubsubpb.PublishRequest, then func(error)) ([]*message, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, status.Error(codes.Unavailable, ErrClosed.Error())
	}
	t := b.topics[r.GetTopic()]
	if t == nil {
		return nil, status.Errorf(codes.NotFound, "topic %q does not exist", r.GetTopic())
	}
	var (
		messages = make([]*message, len(r.GetMessages()))
		takers   = make([][]*backlog, len(messages))
		copies   int
		bytes    int64
	)
	for i, pb := range r.GetMessages() {
		messages[i], takers[i] = b.stamp(pb), t.takers(pb.GetAttributes())
		copies += len(takers[i])
		bytes += int64(len(takers[i]) * messages[i].size)
	}
	if !b.hasRoom(copies, bytes) {
		return nil, status.Errorf(codes.ResourceExhausted, "%d undelivered copies with %d bytes are held, no room for %d with %d more", b.held, b.heldBytes, copies, bytes)
	}
	b.reserve(copies, bytes)
	b.published += uint64(len(messages))
	b.persist(putMessages(messages, takers), func(err error) {
		if err != nil {
			b.reserve(-copies, -bytes)
		} else {
			for i, m := range messages {
				b.admitAll(takers[i], m)
			}
		}
		then(err)
	})
	return messages, nil
}

func (b *Broker) dropsReply(first *message) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.faults.hits(faultDropReply, b.faults.faults.DropReply, first.id, 0) {
		return false
	}
	b.dropped++
	return true
}

func checkPublish(r *pubsubpb.PublishRequest) error {
	if n := len(r.GetMessages()); n == 0 || n > maxPublishMessages {
		return fmt.Errorf("a publish request has %d messages, it must have 1 to %d", n, maxPublishMessages)
	}
	if n := proto.Size(r); n > maxPublishBytes {
		return fmt.Errorf("a publish request has %d bytes, at most %d are allowed", n, maxPublishBytes)
	}
	for i, m := range r.GetMessages() {
		if err := checkMessage(m); err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
	}
	return nil
}

func checkMessage(m *pubsubpb.PubsubMessage) error {
	if len(m.GetData()) == 0 && len(m.GetAttributes()) == 0 {
		return fmt.Errorf("a message needs data or an attribute")
	}
	if n := len(m.GetAttributes()); n > maxAttributes {
		return fmt.Errorf("%d attributes, at most %d are allowed", n, maxAttributes)
	}
	for key, value := range m.GetAttributes() {
		switch {
		case key == "" || len(key) > maxAttributeKeyBytes:
			return fmt.Errorf("attribute key of %d bytes, it must have 1 to %d", len(key), maxAttributeKeyBytes)
		case len(value) > maxAttributeValueBytes:
			return fmt.Errorf("attribute %q has %d bytes, at most %d are allowed", key, len(value), maxAttributeValueBytes)
		case strings.HasPrefix(key, "goog"):
			return fmt.Errorf("attribute key %q begins with goog, which is reserved", key)
		}
	}
	if n := len(m.GetOrderingKey()); n > maxOrderingKeyBytes {
		return fmt.Errorf("ordering key of %d bytes, at most %d are allowed", n, maxOrderingKeyBytes)
	}
	return nil
}

// takers returns the backlogs whose filters let a message with these attributes pass.
func (t *topic) takers(attributes map[string]string) []*backlog {
	var out []*backlog
	for _, q := range t.backlogs {
		if q.match.matches(attributes) {
			out = append(out, q)
		}
	}
	return out
}

// CreateTopic creates a topic. Its labels, retention, schema and policies have no effect here.
func (s publisher) CreateTopic(ctx context.Context, r *pubsubpb.Topic) (*pubsubpb.Topic, error) {
	created, err := s.broker.createTopic(ctx, r.GetName())
	switch {
	case err != nil:
		return nil, err
	case !created:
		return nil, status.Errorf(codes.AlreadyExists, "topic %q exists", r.GetName())
	}
	return wireTopic(r.GetName()), nil
}

func wireTopic(name string) *pubsubpb.Topic {
	return &pubsubpb.Topic{Name: name, State: pubsubpb.Topic_ACTIVE}
}

// GetTopic returns a topic, or NOT_FOUND.
func (s publisher) GetTopic(_ context.Context, r *pubsubpb.GetTopicRequest) (*pubsubpb.Topic, error) {
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	if s.broker.topics[r.GetTopic()] == nil {
		return nil, status.Errorf(codes.NotFound, "topic %q does not exist", r.GetTopic())
	}
	return wireTopic(r.GetTopic()), nil
}

// ListTopics lists a project's topics by name.
func (s publisher) ListTopics(_ context.Context, r *pubsubpb.ListTopicsRequest) (*pubsubpb.ListTopicsResponse, error) {
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	page, next := pageOf(slices.Collect(maps.Keys(s.broker.topics)), r.GetProject()+"/topics/", r.GetPageSize(), r.GetPageToken())
	out := &pubsubpb.ListTopicsResponse{NextPageToken: next}
	for _, name := range page {
		out.Topics = append(out.Topics, wireTopic(name))
	}
	return out, nil
}

// ListTopicSubscriptions lists the names of a topic's subscriptions.
func (s publisher) ListTopicSubscriptions(_ context.Context, r *pubsubpb.ListTopicSubscriptionsRequest) (*pubsubpb.ListTopicSubscriptionsResponse, error) {
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	t := s.broker.topics[r.GetTopic()]
	if t == nil {
		return nil, status.Errorf(codes.NotFound, "topic %q does not exist", r.GetTopic())
	}
	page, next := pageOf(slices.Collect(maps.Keys(t.backlogs)), "", r.GetPageSize(), r.GetPageToken())
	return &pubsubpb.ListTopicSubscriptionsResponse{Subscriptions: page, NextPageToken: next}, nil
}

// DeleteTopic deletes a topic. Its subscriptions stay and deliver what they have.
func (s publisher) DeleteTopic(ctx context.Context, r *pubsubpb.DeleteTopicRequest) (*emptypb.Empty, error) {
	if err := s.broker.deleteTopic(ctx, r.GetTopic()); err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, nil
}

// pageOf returns the names that begin with prefix and follow the token, the last name of the page before, and the
// token of the next page.
func pageOf(names []string, prefix string, size int32, token string) (page []string, next string) {
	if size <= 0 || size > maxPageSize {
		size = maxPageSize
	}
	slices.Sort(names)
	for _, name := range names {
		if !strings.HasPrefix(name, prefix) || name <= token {
			continue
		}
		if len(page) == int(size) {
			return page, page[len(page)-1]
		}
		page = append(page, name)
	}
	return page, ""
}
