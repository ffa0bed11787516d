// Package otlp sends what is recorded to wherever OpenTelemetry's protocol is understood: Google Cloud's own endpoint, or a collector.
//
// Invariants: figures are cumulative, so that what was not sent goes with the next; every sending is bounded, in time and in what waits; only
// traces that their beginning marked as kept are sent, which Google does for a tenth of a request a second and instance.
//
// It does not own what is recorded (package telemetry), nor when it is sent: a function's processor is throttled between requests, so no timer
// of its own sends figures.
package otlp

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	"golang.org/x/oauth2/google"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/credentials/oauth"

	"github.com/fluxori/ai-credits/shared/telemetry"
)

const (
	// sendTimeout bounds one sending. Nothing is sent again: the next carries the same figures, and a span more or less is no loss.
	sendTimeout = 5 * time.Second
	// spansMax bounds the spans that wait, and spansAtOnce those sent together.
	spansMax    = 1024
	spansAtOnce = 256
	// attributesMax bounds the combinations of attributes that one metric keeps apart.
	attributesMax = 200
	// cloudScope is the right that Google's endpoint wants of a token.
	cloudScope = "https://www.googleapis.com/auth/cloud-platform"
)

// Config says where to send, and who sends.
type Config struct {
	// Endpoint is the URL of a receiver of OTLP over gRPC. https is Google Cloud's, with the process's own credentials; http is a collector
	// beside, without any.
	Endpoint string
	Project  string // of Google Cloud
	Region   string
	Function string
	Instance string // different in each process
}

// dial opens connections for both exporters.
type dial struct {
	target  string
	options []grpc.DialOption
}

func (c Config) dial(ctx context.Context) (dial, error) {
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Host == "" || u.Path != "" || u.RawQuery != "" {
		return dial{}, fmt.Errorf("%q is no URL of a receiver, such as https://telemetry.googleapis.com", c.Endpoint)
	}
	switch u.Scheme {
	case "http":
		return dial{u.Host, []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}}, nil
	case "https":
		tokens, err := google.DefaultTokenSource(ctx, cloudScope)
		if err != nil {
			return dial{}, fmt.Errorf("credentials for %s: %w", u.Host, err)
		}
		host := u.Host
		if u.Port() == "" {
			host += ":443"
		}
		return dial{host, []grpc.DialOption{
			grpc.WithTransportCredentials(credentials.NewTLS(nil)), grpc.WithPerRPCCredentials(oauth.TokenSource{TokenSource: tokens}),
		}}, nil
	default:
		return dial{}, fmt.Errorf("%q: receivers are https or http", c.Endpoint)
	}
}

// Open opens a sink that sends. Connections are made with the first sending. closing ends it, without a last sending.
func Open(ctx context.Context, c Config) (_ telemetry.Sink, closing func(context.Context) error, err error) {
	d, err := c.dial(ctx)
	if err != nil {
		return telemetry.Sink{}, nil, err
	}
	who := resource.NewSchemaless(
		attribute.String("gcp.project_id", c.Project), attribute.String("cloud.provider", "gcp"), attribute.String("cloud.platform", "gcp_cloud_run"),
		attribute.String("cloud.region", c.Region), attribute.String("service.name", c.Function), attribute.String("service.instance.id", c.Instance),
	)
	conn, err := grpc.NewClient(d.target, d.options...)
	if err != nil {
		return telemetry.Sink{}, nil, fmt.Errorf("reach %s: %w", d.target, err)
	}
	figures, err := otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithGRPCConn(conn), otlpmetricgrpc.WithTimeout(sendTimeout),
		otlpmetricgrpc.WithRetry(otlpmetricgrpc.RetryConfig{Enabled: false}))
	if err != nil {
		return telemetry.Sink{}, nil, errors.Join(err, conn.Close())
	}
	spans, err := otlptracegrpc.New(ctx, otlptracegrpc.WithGRPCConn(conn), otlptracegrpc.WithTimeout(sendTimeout),
		otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{Enabled: false}))
	if err != nil {
		return telemetry.Sink{}, nil, errors.Join(err, conn.Close())
	}
	reader := metric.NewManualReader()
	meters := metric.NewMeterProvider(metric.WithReader(reader), metric.WithResource(who),
		metric.WithExemplarFilter(exemplar.AlwaysOffFilter), metric.WithCardinalityLimit(attributesMax))
	traces := trace.NewTracerProvider(trace.WithResource(who), trace.WithSampler(trace.ParentBased(trace.NeverSample())),
		trace.WithBatcher(spans, trace.WithMaxQueueSize(spansMax), trace.WithMaxExportBatchSize(spansAtOnce), trace.WithExportTimeout(sendTimeout)))
	flush := func(ctx context.Context) error {
		var collected metricdata.ResourceMetrics
		if err := reader.Collect(ctx, &collected); err != nil {
			return fmt.Errorf("collect figures: %w", err)
		}
		var err error
		if len(collected.ScopeMetrics) > 0 {
			err = figures.Export(ctx, &collected)
		}
		if err := errors.Join(err, traces.ForceFlush(ctx)); err != nil {
			return fmt.Errorf("send figures and traces to %s: %w", d.target, err)
		}
		return nil
	}
	closing = func(ctx context.Context) error {
		return errors.Join(traces.Shutdown(ctx), meters.Shutdown(ctx), figures.Shutdown(ctx), conn.Close())
	}
	return telemetry.Sink{Metrics: meters, Traces: traces, Flush: flush}, closing, nil
}
