package broker

import (
	"context"
	"maps"
	"slices"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// subscriber serves google.pubsub.v1.Subscriber.
type subscriber struct {
	pubsubpb.UnimplementedSubscriberServer
	broker *Broker
}

var _ pubsubpb.SubscriberServer = subscriber{}

// CreateSubscription creates a push or pull subscription and returns it with its defaults filled in.
func (s subscriber) CreateSubscription(ctx context.Context, r *pubsubpb.Subscription) (*pubsubpb.Subscription, error) {
	wanted, err := subscriptionOf(r)
	if err != nil {
		return nil, invalid(err)
	}
	err = s.broker.subscribe(ctx, r.GetName(), func(old *backlog) (Subscription, error) {
		if old != nil {
			return wanted, status.Errorf(codes.AlreadyExists, "subscription %q exists", r.GetName())
		}
		return wanted, nil
	})
	if err != nil {
		return nil, err
	}
	return s.get(r.GetName())
}

// GetSubscription returns a subscription, or NOT_FOUND.
func (s subscriber) GetSubscription(_ context.Context, r *pubsubpb.GetSubscriptionRequest) (*pubsubpb.Subscription, error) {
	return s.get(r.GetSubscription())
}

func (s subscriber) get(name string) (*pubsubpb.Subscription, error) {
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	q, err := s.broker.lookUp(name)
	if err != nil {
		return nil, err
	}
	return q.cfg.wire(), nil
}

// ListSubscriptions lists a project's subscriptions by name.
func (s subscriber) ListSubscriptions(_ context.Context, r *pubsubpb.ListSubscriptionsRequest) (*pubsubpb.ListSubscriptionsResponse, error) {
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	page, next := pageOf(slices.Collect(maps.Keys(s.broker.backlogs)), r.GetProject()+"/subscriptions/", r.GetPageSize(), r.GetPageToken())
	out := &pubsubpb.ListSubscriptionsResponse{NextPageToken: next}
	for _, name := range page {
		out.Subscriptions = append(out.Subscriptions, s.broker.backlogs[name].cfg.wire())
	}
	return out, nil
}

// UpdateSubscription changes the fields that the mask names.
func (s subscriber) UpdateSubscription(ctx context.Context, r *pubsubpb.UpdateSubscriptionRequest) (*pubsubpb.Subscription, error) {
	name := r.GetSubscription().GetName()
	err := s.broker.subscribe(ctx, name, func(old *backlog) (Subscription, error) {
		if old == nil {
			return Subscription{}, missing(name)
		}
		wire := old.cfg.wire()
		if err := applyMask(wire, r.GetSubscription(), r.GetUpdateMask().GetPaths()); err != nil {
			return Subscription{}, invalid(err)
		}
		wanted, err := subscriptionOf(wire)
		wanted.Concurrency = old.cfg.Concurrency
		if wanted.URL == old.cfg.URL {
			wanted.Handler, wanted.inProcess = old.cfg.Handler, old.cfg.inProcess
		}
		return wanted, invalid(err)
	})
	if err != nil {
		return nil, err
	}
	return s.get(name)
}

// ModifyPushConfig changes where a subscription pushes to; without an endpoint it becomes a pull subscription.
func (s subscriber) ModifyPushConfig(ctx context.Context, r *pubsubpb.ModifyPushConfigRequest) (*emptypb.Empty, error) {
	err := s.broker.subscribe(ctx, r.GetSubscription(), func(old *backlog) (Subscription, error) {
		if old == nil {
			return Subscription{}, missing(r.GetSubscription())
		}
		wanted := old.cfg
		wanted.Handler, wanted.inProcess = nil, false
		return wanted, invalid(pushOf(&wanted, r.GetPushConfig()))
	})
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, nil
}

// DeleteSubscription deletes a subscription and what it has not delivered.
func (s subscriber) DeleteSubscription(ctx context.Context, r *pubsubpb.DeleteSubscriptionRequest) (*emptypb.Empty, error) {
	if err := s.broker.deleteSubscription(ctx, r.GetSubscription()); err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, nil
}
