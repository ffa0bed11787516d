package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/telemetry"
)

// spansMax bounds the spans that are kept to be looked at.
const spansMax = 1000

// watched is what the functions record: it is shown here, where in the cloud it is sent.
type watched struct {
	figures *metric.ManualReader

	mu    sync.Mutex
	spans []span // the latest
}

// span is a piece of work within a trace that is kept.
type span struct {
	Trace  string `json:"trace"`
	Span   string `json:"span"`
	Parent string `json:"parent,omitempty"`
	Name   string `json:"name"`
	Millis int64  `json:"milliseconds"`
}

// openTelemetry makes the recorder of all functions.
func (s *system) openTelemetry(context.Context) error {
	w := &watched{figures: metric.NewManualReader()}
	traces := trace.NewTracerProvider(trace.WithSyncer(w), trace.WithSampler(trace.ParentBased(trace.NeverSample())))
	s.onStop(traces.Shutdown)
	var err error
	s.recorder, err = telemetry.New(telemetry.Sink{Metrics: metric.NewMeterProvider(metric.WithReader(w.figures)), Traces: traces})
	s.mux.HandleFunc("GET /_local/metrics", w.showFigures)
	s.mux.HandleFunc("GET /_local/traces/{trace}", w.showTrace)
	return err
}

// ExportSpans implements trace.SpanExporter.
func (w *watched) ExportSpans(_ context.Context, spans []trace.ReadOnlySpan) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range spans {
		one := span{
			Trace: s.SpanContext().TraceID().String(), Span: s.SpanContext().SpanID().String(), Name: s.Name(),
			Millis: s.EndTime().Sub(s.StartTime()).Milliseconds(),
		}
		if p := s.Parent(); p.IsValid() {
			one.Parent = p.SpanID().String()
		}
		w.spans = append(w.spans, one)
	}
	w.spans = w.spans[max(0, len(w.spans)-spansMax):]
	return nil
}

// Shutdown implements trace.SpanExporter.
func (w *watched) Shutdown(context.Context) error { return nil }

var _ trace.SpanExporter = (*watched)(nil)

// showFigures shows what the metrics stand at.
func (w *watched) showFigures(out http.ResponseWriter, r *http.Request) {
	var all metricdata.ResourceMetrics
	if err := w.figures.Collect(r.Context(), &all); err != nil {
		http.Error(out, err.Error(), http.StatusInternalServerError)
		return
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			fmt.Fprintf(out, "# %s\n", m.Description)
			for _, line := range telemetry.Show(m) {
				fmt.Fprintln(out, line)
			}
		}
	}
}

// showTrace shows the spans of a trace, of those that are kept.
func (w *watched) showTrace(out http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	items := []span{}
	for _, s := range w.spans {
		if s.Trace == r.PathValue("trace") {
			items = append(items, s)
		}
	}
	w.mu.Unlock()
	serve.OK(out, r, map[string]any{"items": items})
}
