package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/fluxori/ai-credits/shared/telemetry"
)

// recorded is a recorder with what it has recorded.
type recorded struct {
	*telemetry.Recorder

	reader *metric.ManualReader
	spans  *tracetest.InMemoryExporter
}

func record(t *testing.T, flush func(context.Context) error) *recorded {
	t.Helper()
	r := &recorded{reader: metric.NewManualReader(), spans: tracetest.NewInMemoryExporter()}
	var err error
	r.Recorder, err = telemetry.New(telemetry.Sink{
		Metrics: metric.NewMeterProvider(metric.WithReader(r.reader)),
		Traces:  sdk.NewTracerProvider(sdk.WithSyncer(r.spans), sdk.WithSampler(sdk.ParentBased(sdk.NeverSample()))),
		Flush:   flush,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// series are the figures by name and attributes: a counter's or gauge's figure, a histogram's count and sum.
func (r *recorded) series(t *testing.T) map[string]string {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := r.reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, m := range all.ScopeMetrics[0].Metrics {
		for _, s := range telemetry.Show(m) {
			name, figure, _ := strings.Cut(s, " ")
			out[name] = figure
		}
	}
	return out
}

func TestWhatIsRecordedStandsUnderItsNameInTheList(t *testing.T) {
	t.Parallel()
	r, ctx := record(t, nil), t.Context()
	r.Answered(ctx, "debit", "", 20*time.Millisecond)
	r.Answered(ctx, "debit", "in_debt", 30*time.Millisecond)
	r.Answered(ctx, "debit", "in_debt", 10*time.Millisecond)
	r.Committed(ctx, telemetry.Conflict, time.Second)
	r.Batched(ctx, 40)
	r.Entered(ctx, "debit", 40)
	r.Refused(ctx, "limit_exceeded")
	r.OutboxAge(ctx, 90*time.Second)
	r.OutboxAge(ctx, 45*time.Second)
	r.DeadLetter(ctx, "ai-usage", "unknown_feature")
	r.UncreditedAge(ctx, time.Hour)
	r.Audited(ctx, 7, 1)
	want := map[string]string{
		`credits_answers_seconds_count{code="",function="debit"}`:             "1",
		`credits_answers_seconds_sum{code="",function="debit"}`:               "0.02",
		`credits_answers_seconds_count{code="in_debt",function="debit"}`:      "2",
		`credits_answers_seconds_sum{code="in_debt",function="debit"}`:        "0.04",
		`credits_commit_seconds_count{outcome="conflict"}`:                    "1",
		`credits_commit_seconds_sum{outcome="conflict"}`:                      "1",
		`credits_batch_commands_count`:                                        "1",
		`credits_batch_commands_sum`:                                          "40",
		`credits_entries_total{kind="debit"}`:                                 "40",
		`credits_refusals_total{code="limit_exceeded"}`:                       "1",
		`credits_outbox_age_seconds`:                                          "45",
		`credits_dead_letters_total{code="unknown_feature",topic="ai-usage"}`: "1",
		`credits_uncredited_age_seconds`:                                      "3600",
		`credits_audited_wallets_total{result="agree"}`:                       "7",
		`credits_audited_wallets_total{result="mismatch"}`:                    "1",
	}
	got := r.series(t)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			t.Errorf("%s is %q, want %s", name, got[name], want[name])
		}
	}
	if len(got) != len(want) {
		t.Errorf("recorded %v", got)
	}
	metrics, err := telemetry.Load()
	if err != nil {
		t.Fatal(err)
	}
	for name := range got {
		if !slices.ContainsFunc(metrics, func(m telemetry.Metric) bool { return strings.HasPrefix(name, m.Name) }) {
			t.Errorf("%s is not in the list", name)
		}
	}
}

func TestWithoutARecorderNothingIsRecordedAndNothingBreaks(t *testing.T) {
	t.Parallel()
	r := telemetry.FromContext(t.Context())
	ctx, span := r.Start(telemetry.Join(t.Context(), traceID, spanID, true), "work")
	r.Answered(ctx, "debit", "", time.Second)
	r.Committed(ctx, telemetry.Landed, time.Second)
	r.Batched(ctx, 1)
	r.Entered(ctx, "debit", 1)
	r.Refused(ctx, "in_debt")
	r.OutboxAge(ctx, 0)
	r.DeadLetter(ctx, "ai-usage", "x")
	r.UncreditedAge(ctx, 0)
	r.Audited(ctx, 1, 0)
	r.Send(ctx)
	r.SendNow(ctx)
	if err := r.Stop(ctx); err != nil || span.IsRecording() || telemetry.NewContext(ctx, nil) != ctx {
		t.Errorf("stopped with %v, recording %t", err, span.IsRecording())
	}
	if carried := telemetry.Carried(ctx); carried != "00-"+traceID+"-"+spanID+"-01" {
		t.Errorf("the trace goes on as %q", carried)
	}
}

const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	spanID  = "b7ad6b7169203331"
)

func TestSpansAreMadeOnlyInTracesThatAreKept(t *testing.T) {
	t.Parallel()
	r := record(t, nil)
	for _, ctx := range []context.Context{
		t.Context(), telemetry.Join(t.Context(), traceID, spanID, false), telemetry.Join(t.Context(), "none", spanID, true),
		telemetry.Join(t.Context(), traceID, "", true), telemetry.Continue(t.Context(), ""), telemetry.Continue(t.Context(), "junk"),
	} {
		if _, span := r.Start(ctx, "work"); span.IsRecording() {
			t.Errorf("a span is made in %v", trace.SpanContextFromContext(ctx))
		}
	}
	_, span := r.Start(telemetry.Join(t.Context(), traceID, spanID, true), "work")
	span.End()
	spans := r.spans.GetSpans()
	if len(spans) != 1 || spans[0].Name != "work" || spans[0].Parent.SpanID().String() != spanID || spans[0].SpanContext.TraceID().String() != traceID {
		t.Errorf("spans %+v", spans)
	}
}

func TestAMessageIsHandledInTheTraceOfWhoeverPublishedIt(t *testing.T) {
	t.Parallel()
	r := record(t, nil)
	ctx, published := r.Start(telemetry.Join(t.Context(), traceID, spanID, true), "publish")
	attributes := map[string]string{"id": "low:acme:1", telemetry.TraceParent: telemetry.Carried(ctx)}
	published.End()

	const delivery = "11111111111111111111111111111111"
	ctx, span := r.Caused(telemetry.Join(t.Context(), delivery, spanID, true), "receive", attributes)
	span.End()
	if c := trace.SpanContextFromContext(ctx); c.TraceID().String() != traceID {
		t.Errorf("handled in %s", c.TraceID())
	}
	spans := r.spans.GetSpans()
	if len(spans) != 2 || spans[1].Parent.SpanID() != spans[0].SpanContext.SpanID() || len(spans[1].Links) != 1 ||
		spans[1].Links[0].SpanContext.TraceID().String() != delivery {
		t.Errorf("spans %+v", spans)
	}
	for _, bad := range []map[string]string{nil, {telemetry.TraceParent: "00-zz-yy-01"}} {
		ctx, span := r.Caused(telemetry.Join(t.Context(), delivery, spanID, true), "receive", bad)
		span.End()
		if c := trace.SpanContextFromContext(ctx); c.TraceID().String() != delivery {
			t.Errorf("%v is handled in %s", bad, c.TraceID())
		}
	}
}

// TestSendingIsBoundedAndRare runs in virtual time.
func TestSendingIsBoundedAndRare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int32
		var takes atomic.Int64 // nanoseconds
		r := record(t, func(ctx context.Context) error {
			sent.Add(1)
			select {
			case <-time.After(time.Duration(takes.Load())):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		waited := func(send func(context.Context)) time.Duration {
			begin := time.Now()
			send(t.Context())
			return time.Since(begin)
		}
		takes.Store(int64(50 * time.Millisecond))
		for _, step := range []struct {
			after time.Duration
			takes time.Duration
			send  func(context.Context)
			sent  int32
			waits time.Duration
		}{
			{0, 50 * time.Millisecond, r.Send, 0, 0}, // the first request of an instance is slow enough
			{59 * time.Second, 50 * time.Millisecond, r.Send, 0, 0},
			{time.Second, 50 * time.Millisecond, r.Send, 1, 50 * time.Millisecond},
			{time.Second, 50 * time.Millisecond, r.Send, 1, 0},
			{time.Minute, time.Hour, r.Send, 2, 200 * time.Millisecond},
			{time.Minute, time.Hour, r.SendNow, 3, 2 * time.Second},
			{time.Second, time.Millisecond, r.SendNow, 3, 0}, // Cloud Monitoring takes no two within ten seconds
			{10 * time.Second, time.Millisecond, r.SendNow, 4, time.Millisecond},
		} {
			time.Sleep(step.after)
			takes.Store(int64(step.takes))
			if got := waited(step.send); got != step.waits || sent.Load() != step.sent {
				t.Errorf("%+v: sent %d times, waited %v", step, sent.Load(), got)
			}
		}
		time.Sleep(time.Minute) // what hangs is given up
	})
}

func TestAJobsFiguresAreSentWithItsFirstRun(t *testing.T) {
	t.Parallel()
	var sent atomic.Int32
	r := record(t, func(context.Context) error { sent.Add(1); return nil })
	r.SendNow(t.Context())
	r.Send(t.Context())
	if sent.Load() != 1 {
		t.Errorf("sent %d times", sent.Load())
	}
}

func TestWhatCannotBeSentIsTold(t *testing.T) {
	t.Parallel()
	told := make(chan error, 1)
	down := errors.New("down")
	sink := telemetry.Sink{
		Metrics: metric.NewMeterProvider(), Traces: sdk.NewTracerProvider(),
		Flush: func(context.Context) error { return down }, Failed: func(_ context.Context, err error) { told <- err },
	}
	r, err := telemetry.New(sink)
	if err != nil {
		t.Fatal(err)
	}
	r.SendNow(t.Context())
	if err := <-told; !errors.Is(err, down) {
		t.Errorf("told %v", err)
	}
}

func TestAListThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	row := `{"name": "credits_x_total", "kind": "counter", "attributes": [], "reason": "r"}`
	for list, want := range map[string]string{
		`[` + row + `]`:             "",
		`[` + row + `,` + row + `]`: "twice",
		`[` + strings.Replace(row, "credits_x", "x", 1) + `]`:       "no metric's name",
		`[` + strings.Replace(row, "counter", "count", 1) + `]`:     "kind",
		`[` + strings.Replace(row, "counter", "histogram", 1) + `]`: "bounds",
		`[` + strings.Replace(row, `"r"`, `""`, 1) + `]`:            "why",
		`[` + strings.Replace(row, "reason", "reasons", 1) + `]`:    "reasons",
		`[] []`: "follows",
	} {
		if _, err := telemetry.Parse([]byte(list)); (err == nil) != (want == "") || !strings.Contains(fmt.Sprint(err), want) && want != "" {
			t.Errorf("%s: %v, want %q", list, err, want)
		}
	}
}
