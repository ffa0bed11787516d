package broker

import (
	"errors"
	"fmt"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Bounds that hold for subscriptions made over gRPC, as in production.
const (
	minAckDeadlineSeconds = 10
	minWireAttempts       = 5
	defaultWireMinBackoff = 10 * time.Second
	defaultWireMaxBackoff = 600 * time.Second
)

// subscriptionOf reads a subscription from the wire and refuses what this broker would not honour. Labels, expiration
// and retention have no effect here and are let pass.
func subscriptionOf(in *pubsubpb.Subscription) (Subscription, error) {
	out := Subscription{
		Name:        in.GetName(),
		Topic:       in.GetTopic(),
		AckDeadline: time.Duration(in.GetAckDeadlineSeconds()) * time.Second,
		Ordered:     in.GetEnableMessageOrdering(),
		Filter:      in.GetFilter(),
	}
	if s := in.GetAckDeadlineSeconds(); s != 0 && (s < minAckDeadlineSeconds || s > int32(maxAckDeadline/time.Second)) {
		return out, fmt.Errorf("ack_deadline_seconds %d is not within [%d, %d]", s, minAckDeadlineSeconds, maxAckDeadline/time.Second)
	}
	switch {
	case in.GetBigqueryConfig() != nil, in.GetCloudStorageConfig() != nil, in.GetBigtableConfig() != nil:
		return out, errors.New("export subscriptions are not supported")
	case in.GetEnableExactlyOnceDelivery():
		return out, errors.New("enable_exactly_once_delivery is not supported")
	case in.GetRetainAckedMessages():
		return out, errors.New("retain_acked_messages is not supported")
	case len(in.GetMessageTransforms()) > 0:
		return out, errors.New("message_transforms are not supported")
	}
	if err := pushOf(&out, in.GetPushConfig()); err != nil {
		return out, err
	}
	if p := in.GetDeadLetterPolicy(); p != nil {
		if p.GetDeadLetterTopic() == "" {
			return out, errors.New("dead_letter_policy without a dead_letter_topic")
		}
		out.DeadLetterTopic, out.MaxAttempts = p.GetDeadLetterTopic(), int(p.GetMaxDeliveryAttempts())
		if n := out.MaxAttempts; n != 0 && (n < minWireAttempts || n > maxAttempts) {
			return out, fmt.Errorf("max_delivery_attempts %d is not within [%d, %d]", n, minWireAttempts, maxAttempts)
		}
	}
	if p := in.GetRetryPolicy(); p != nil {
		out.Retry = &Retry{
			Min: durationOr(p.GetMinimumBackoff(), defaultWireMinBackoff),
			Max: durationOr(p.GetMaximumBackoff(), defaultWireMaxBackoff),
		}
	}
	return out, nil
}

func durationOr(d *durationpb.Duration, otherwise time.Duration) time.Duration {
	if d == nil {
		return otherwise
	}
	return d.AsDuration()
}

// pushOf reads a push configuration into s; nil or without an endpoint, it makes s a pull subscription.
func pushOf(s *Subscription, in *pubsubpb.PushConfig) error {
	s.URL, s.ServiceAccount, s.Audience = in.GetPushEndpoint(), "", ""
	if in.GetNoWrapper() != nil {
		return errors.New("push_config.no_wrapper is not supported")
	}
	for key, value := range in.GetAttributes() {
		if key != "x-goog-version" || (value != "v1" && value != "v1beta2") {
			return fmt.Errorf("push_config attribute %q = %q is not supported", key, value)
		}
	}
	if t := in.GetOidcToken(); t != nil {
		if t.GetServiceAccountEmail() == "" {
			return errors.New("push_config.oidc_token without a service_account_email")
		}
		s.ServiceAccount, s.Audience = t.GetServiceAccountEmail(), t.GetAudience()
	}
	return nil
}

// wire returns s as clients see it; what the wire has no field for (a handler, fractions of a second) is left out.
func (s Subscription) wire() *pubsubpb.Subscription {
	out := &pubsubpb.Subscription{
		Name:                  s.Name,
		Topic:                 s.Topic,
		PushConfig:            &pubsubpb.PushConfig{},
		AckDeadlineSeconds:    int32((s.AckDeadline + time.Second - 1) / time.Second),
		EnableMessageOrdering: s.Ordered,
		Filter:                s.Filter,
		State:                 pubsubpb.Subscription_ACTIVE,
	}
	if s.isPush() {
		out.PushConfig = &pubsubpb.PushConfig{
			PushEndpoint: s.URL,
			Attributes:   map[string]string{"x-goog-version": "v1"},
			Wrapper:      &pubsubpb.PushConfig_PubsubWrapper_{PubsubWrapper: &pubsubpb.PushConfig_PubsubWrapper{}},
		}
	}
	if s.ServiceAccount != "" {
		out.PushConfig.AuthenticationMethod = &pubsubpb.PushConfig_OidcToken_{
			OidcToken: &pubsubpb.PushConfig_OidcToken{ServiceAccountEmail: s.ServiceAccount, Audience: s.Audience},
		}
	}
	if s.DeadLetterTopic != "" {
		out.DeadLetterPolicy = &pubsubpb.DeadLetterPolicy{DeadLetterTopic: s.DeadLetterTopic, MaxDeliveryAttempts: int32(s.MaxAttempts)}
	}
	if s.Retry != nil {
		out.RetryPolicy = &pubsubpb.RetryPolicy{MinimumBackoff: durationpb.New(s.Retry.Min), MaximumBackoff: durationpb.New(s.Retry.Max)}
	}
	return out
}

// applyMask copies the fields that paths name from one subscription on the wire onto another.
func applyMask(onto, from *pubsubpb.Subscription, paths []string) error {
	if len(paths) == 0 {
		return errors.New("update_mask is empty")
	}
	for _, path := range paths {
		switch path {
		case "push_config":
			onto.PushConfig = from.GetPushConfig()
		case "ack_deadline_seconds":
			onto.AckDeadlineSeconds = from.GetAckDeadlineSeconds()
		case "dead_letter_policy":
			onto.DeadLetterPolicy = from.GetDeadLetterPolicy()
		case "retry_policy":
			onto.RetryPolicy = from.GetRetryPolicy()
		case "enable_exactly_once_delivery":
			onto.EnableExactlyOnceDelivery = from.GetEnableExactlyOnceDelivery()
		case "retain_acked_messages":
			onto.RetainAckedMessages = from.GetRetainAckedMessages()
		case "labels", "expiration_policy", "message_retention_duration":
			// No effect here, as on creation.
		default:
			return fmt.Errorf("update_mask path %q is unknown or cannot be changed", path)
		}
	}
	return nil
}
