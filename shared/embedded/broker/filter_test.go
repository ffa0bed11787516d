package broker_test

import (
	"strings"
	"testing"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/embedded/broker"
)

func TestFilterKeepsOutWhatDoesNotMatch(t *testing.T) {
	t.Parallel()
	messages := []struct {
		data       string
		attributes map[string]string
	}{
		{"none", nil},
		{"low", map[string]string{"kind": "low"}},
		{"low-org", map[string]string{"kind": "low", "org": "acme"}},
		{"debt", map[string]string{"kind": "debt"}},
		{"quoted", map[string]string{"kind": `a "b" AND c`, "x y": "1"}},
	}
	tests := []struct {
		filter string
		want   []string
	}{
		{"", []string{"none", "low", "low-org", "debt", "quoted"}},
		{`attributes.kind = "low"`, []string{"low", "low-org"}},
		{`attributes.kind="low" AND attributes.org != "other"`, []string{"low", "low-org"}},
		{`attributes.kind != "low"`, []string{"none", "debt", "quoted"}},
		{`attributes:org`, []string{"low-org"}},
		{`attributes:kind  AND  attributes:"x y"`, []string{"quoted"}},
		{`attributes.kind = "a \"b\" AND c"`, []string{"quoted"}},
		{`attributes.kind = "nothing"`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.filter, func(t *testing.T) {
			t.Parallel()
			b := open(t, broker.Options{})
			subscribe(t, b, broker.Subscription{Name: usagePull, Filter: tt.filter})
			c := connect(t, b)
			for _, m := range messages {
				publish(t, c, usage, &pubsubpb.PubsubMessage{Data: []byte(m.data), Attributes: m.attributes})
			}
			if n := b.Stats().Held; n != len(tt.want) {
				t.Errorf("held %d, want %d: what a filter keeps out takes no room", n, len(tt.want))
			}
			var got []string
			for _, m := range pull(t, c, usagePull) {
				got = append(got, string(m.GetMessage().GetData()))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFiltersBeyondTheSupportedPartAreRefused(t *testing.T) {
	t.Parallel()
	b := open(t, broker.Options{})
	for _, filter := range []string{
		`kind = "low"`,
		`attributes.kind`,
		`attributes.kind = low`,
		`attributes.kind = "low" OR attributes.kind = "debt"`,
		`NOT attributes:kind`,
		`(attributes:kind)`,
		`attributes.kind = "low" AND`,
		`attributes.kind = "\q"`,
		`attributes:a` + strings.Repeat(` AND attributes:a`, 20),
	} {
		t.Run(filter, func(t *testing.T) {
			t.Parallel()
			err := b.Subscribe(t.Context(), broker.Subscription{Name: usagePull, Topic: usage, Filter: filter})
			if grpcstatus.Code(err) != codes.InvalidArgument {
				t.Errorf("error %v, want INVALID_ARGUMENT", err)
			}
		})
	}
}
