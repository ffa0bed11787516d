package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/fluxori/ai-credits/shared/problem"
	"github.com/fluxori/ai-credits/shared/telemetry"
)

func TestARequestIsCountedAndIsASpanOfItsCallersTrace(t *testing.T) {
	t.Parallel()
	figures, spans := metric.NewManualReader(), tracetest.NewInMemoryExporter()
	recorder, err := telemetry.New(telemetry.Sink{
		Metrics: metric.NewMeterProvider(metric.WithReader(figures)),
		Traces:  trace.NewTracerProvider(trace.WithSyncer(spans), trace.WithSampler(trace.ParentBased(trace.NeverSample()))),
	})
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	env := Env{
		Lookup: envconfig.MapLookuper(nil), Log: slog.New(NewLogHandler(&logged, "project-1", slog.LevelInfo)), Now: time.Now, Telemetry: recorder,
	}
	f := Function{name: "debit", deadline: time.Second, bodyLimitBytes: 1, build: func(context.Context, Env) (http.Handler, error) {
		router := NewRouter()
		router.Handle("POST /{$}", func(_ http.ResponseWriter, r *http.Request) error {
			if telemetry.FromContext(r.Context()) != recorder {
				t.Error("the request's context has no recorder")
			}
			return problem.New(problem.NotFound, "no", nil)
		})
		return router, nil
	}}
	h, err := f.Build(t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	const traceID, caller = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	for _, flags := range []string{"01", "00"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
		r.Header.Set("Traceparent", "00-"+traceID+"-"+caller+"-"+flags)
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	made := spans.GetSpans()
	if len(made) != 1 || made[0].Name != "debit POST /{$}" || made[0].Parent.SpanID().String() != caller {
		t.Fatalf("spans %+v", made)
	}
	var line map[string]any
	if err := json.NewDecoder(&logged).Decode(&line); err != nil {
		t.Fatal(err)
	}
	if line["logging.googleapis.com/spanId"] != made[0].SpanContext.SpanID().String() || line["logging.googleapis.com/trace"] != "projects/project-1/traces/"+traceID {
		t.Errorf("the line names %v", line)
	}
	var all metricdata.ResourceMetrics
	if err := figures.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	shown := strings.Join(telemetry.Show(all.ScopeMetrics[0].Metrics[0]), "\n")
	if !strings.Contains(shown, `credits_answers_seconds_count{code="not_found",function="debit"} 2`) {
		t.Errorf("counted %s", shown)
	}
}

func TestWhereToSendIsASettingThatFailsTheDeploymentWhenItIsWrong(t *testing.T) {
	t.Parallel()
	for endpoint, want := range map[string]string{"": "", "telemetry.example": "TELEMETRY_ENDPOINT"} {
		t.Run(endpoint, func(t *testing.T) {
			t.Parallel()
			g, _, _ := testRegistry(map[string]string{"K_SERVICE": "debit", telemetrySetting: endpoint})
			defer func() {
				if v := recover(); (v == nil) != (want == "") || !strings.Contains(fmt.Sprint(v), want) && want != "" {
					t.Errorf("panicked with %v, want %q", v, want)
				}
			}()
			g.register("debit", func(_ context.Context, env Env) (http.Handler, error) {
				if env.Telemetry != nil {
					t.Error("a recorder is made, and nobody said where to send")
				}
				return ok, nil
			})
		})
	}
}
