package otlp_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	metrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	traces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/telemetry"
	"github.com/fluxori/ai-credits/shared/telemetry/otlp"
)

// receiver keeps what it is sent.
type receiver struct {
	metrics.UnimplementedMetricsServiceServer

	mu      sync.Mutex
	down    bool
	figures []*metrics.ExportMetricsServiceRequest
	spans   []*traces.ExportTraceServiceRequest
}

func (r *receiver) Export(_ context.Context, req *metrics.ExportMetricsServiceRequest) (*metrics.ExportMetricsServiceResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return nil, status.Error(codes.Unavailable, "down")
	}
	r.figures = append(r.figures, req)
	return &metrics.ExportMetricsServiceResponse{}, nil
}

// spanReceiver is the same receiver's other service.
type spanReceiver struct {
	traces.UnimplementedTraceServiceServer

	*receiver
}

func (r spanReceiver) Export(_ context.Context, req *traces.ExportTraceServiceRequest) (*traces.ExportTraceServiceResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spans = append(r.spans, req)
	return &traces.ExportTraceServiceResponse{}, nil
}

func (r *receiver) setDown(down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = down
}

func receive(t *testing.T) (*receiver, *telemetry.Recorder) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{}
	server := grpc.NewServer()
	metrics.RegisterMetricsServiceServer(server, r)
	traces.RegisterTraceServiceServer(server, spanReceiver{receiver: r})
	go server.Serve(l)
	t.Cleanup(server.Stop)
	sink, closing, err := otlp.Open(t.Context(), otlp.Config{
		Endpoint: "http://" + l.Addr().String(), Project: "project-1", Region: "europe-west4", Function: "debit", Instance: "one",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := closing(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	recorder, err := telemetry.New(sink)
	if err != nil {
		t.Fatal(err)
	}
	return r, recorder
}

func TestFiguresAndSpansArriveWithWhoSentThem(t *testing.T) {
	t.Parallel()
	r, recorder := receive(t)
	if err := recorder.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if len(r.figures) != 0 {
		t.Errorf("sent %v, and nothing was recorded", r.figures)
	}
	ctx := telemetry.Join(t.Context(), "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", true)
	_, span := recorder.Start(ctx, "commit")
	span.End()
	recorder.Entered(ctx, "debit", 3)
	if err := recorder.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.figures) != 1 || len(r.spans) != 1 {
		t.Fatalf("figures %v, spans %v", r.figures, r.spans)
	}
	sent := r.figures[0].GetResourceMetrics()[0]
	m := sent.GetScopeMetrics()[0].GetMetrics()[0]
	if m.GetName() != "credits_entries_total" || m.GetSum().GetDataPoints()[0].GetAsInt() != 3 || !m.GetSum().GetIsMonotonic() {
		t.Errorf("sent %v", m)
	}
	who := map[string]string{}
	for _, a := range sent.GetResource().GetAttributes() {
		who[a.GetKey()] = a.GetValue().GetStringValue()
	}
	// Cloud Monitoring refuses figures without a location and an instance, and two instances' under one name.
	for key, want := range map[string]string{
		"gcp.project_id": "project-1", "cloud.region": "europe-west4", "cloud.platform": "gcp_cloud_run", "service.name": "debit", "service.instance.id": "one",
	} {
		if who[key] != want {
			t.Errorf("%s is %q, want %q", key, who[key], want)
		}
	}
	if s := r.spans[0].GetResourceSpans()[0].GetScopeSpans()[0].GetSpans()[0]; s.GetName() != "commit" {
		t.Errorf("sent %v", s)
	}
}

func TestWhatWasNotSentGoesWithTheNext(t *testing.T) {
	t.Parallel()
	r, recorder := receive(t)
	r.setDown(true)
	recorder.Entered(t.Context(), "debit", 3)
	if err := recorder.Stop(t.Context()); err == nil {
		t.Error("the failure is not told")
	}
	r.setDown(false)
	recorder.Entered(t.Context(), "debit", 4)
	if err := recorder.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := r.figures[0].GetResourceMetrics()[0].GetScopeMetrics()[0].GetMetrics()[0].GetSum().GetDataPoints()[0].GetAsInt(); n != 7 {
		t.Errorf("%d debits arrived, want 7", n)
	}
}

func TestAReceiverThatIsNotThereHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	sink, closing, err := otlp.Open(t.Context(), otlp.Config{Endpoint: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	recorder, err := telemetry.New(sink)
	if err != nil {
		t.Fatal(err)
	}
	recorder.Entered(t.Context(), "debit", 1)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := recorder.Stop(ctx); err == nil {
		t.Error("the failure is not told")
	}
	if err := closing(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAnEndpointThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	for endpoint, want := range map[string]string{
		"telemetry.googleapis.com": "no URL", "": "no URL", "ftp://x": "https or http", "http://x/v1/traces": "no URL", "http://": "no URL",
	} {
		if _, _, err := otlp.Open(t.Context(), otlp.Config{Endpoint: endpoint}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
}
