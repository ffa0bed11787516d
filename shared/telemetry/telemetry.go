// Package telemetry is what the system tells of itself in figures and traces: the one list of its metrics, the recorder that the parts report
// to, and the trace that a request's work belongs to wherever it goes.
//
// The list is metrics.json. The recorder makes its instruments from it, and alerts and charts in terraform/ name no other (scripts/deployment
// holds them to it). Where figures go is decided by whoever makes the recorder: package otlp sends them, the local runner shows them.
//
// Invariants: a nil [Recorder] records nothing, so that nobody asks whether there is one; recording never fails and never waits; attributes
// have few values, none of which a caller chooses: no names, addresses, organisations or secrets; spans are made only in traces that are
// kept, so that other requests cost nothing.
//
// It does not own log lines (package serve), when figures are worth recording (those who record), nor alerts (terraform).
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// scope names the instruments' library to whoever stores them.
const scope = "github.com/fluxori/ai-credits/shared/telemetry"

// Sink is where a recorder's figures go.
type Sink struct {
	Metrics metric.MeterProvider
	Traces  trace.TracerProvider
	// Flush sends what was recorded; nil where that needs nobody's doing.
	Flush func(ctx context.Context) error
	// Failed is told what Flush could not send; nil tells nobody.
	Failed func(ctx context.Context, err error)
}

// Recorder records what happens. It is safe for concurrent use.
type Recorder struct {
	answers    metric.Float64Histogram
	entries    metric.Int64Counter
	refusals   metric.Int64Counter
	batches    metric.Int64Histogram
	commits    metric.Float64Histogram
	outbox     metric.Float64Gauge
	letters    metric.Int64Counter
	uncredited metric.Float64Gauge
	audited    metric.Int64Counter

	tracer trace.Tracer
	sender sender

	// Attributes as the instruments want them, made once for each combination.
	sets sync.Map // [4]string → metric.MeasurementOption
}

// New makes a recorder whose instruments are those of the list.
func New(sink Sink) (*Recorder, error) {
	if sink.Metrics == nil || sink.Traces == nil {
		return nil, errors.New("a recorder needs somewhere to put metrics and traces")
	}
	metrics, err := Load()
	if err != nil {
		return nil, err
	}
	m := &maker{meter: sink.Metrics.Meter(scope), rows: map[string]Metric{}}
	for _, row := range metrics {
		m.rows[row.Name] = row
	}
	r := &Recorder{
		answers:    m.seconds("credits_answers_seconds"),
		entries:    m.counter("credits_entries_total"),
		refusals:   m.counter("credits_refusals_total"),
		batches:    m.numbers("credits_batch_commands"),
		commits:    m.seconds("credits_commit_seconds"),
		outbox:     m.gauge("credits_outbox_age_seconds"),
		letters:    m.counter("credits_dead_letters_total"),
		uncredited: m.gauge("credits_uncredited_age_seconds"),
		audited:    m.counter("credits_audited_wallets_total"),
		tracer:     sink.Traces.Tracer(scope),
		sender:     sender{flush: sink.Flush, failed: sink.Failed},
	}
	for name := range m.rows {
		m.fail(fmt.Errorf("%s is in metrics.json, and nothing records it", name))
	}
	if err := errors.Join(m.wrong...); err != nil {
		return nil, err
	}
	return r, nil
}

// maker makes instruments of rows, and strikes those out.
type maker struct {
	meter metric.Meter
	rows  map[string]Metric
	wrong []error
}

func (m *maker) fail(err error) {
	if err != nil {
		m.wrong = append(m.wrong, err)
	}
}

func (m *maker) row(name string, kind Kind) Metric {
	row := m.rows[name]
	if row.Kind != kind {
		m.fail(fmt.Errorf("%s is %q in metrics.json, not a %s", name, row.Kind, kind))
	}
	delete(m.rows, name)
	return row
}

func (m *maker) counter(name string) metric.Int64Counter {
	i, err := m.meter.Int64Counter(name, metric.WithDescription(m.row(name, Counter).Reason))
	m.fail(err)
	return i
}

func (m *maker) gauge(name string) metric.Float64Gauge {
	i, err := m.meter.Float64Gauge(name, metric.WithDescription(m.row(name, Gauge).Reason))
	m.fail(err)
	return i
}

func (m *maker) seconds(name string) metric.Float64Histogram {
	row := m.row(name, Histogram)
	i, err := m.meter.Float64Histogram(name, metric.WithDescription(row.Reason), metric.WithExplicitBucketBoundaries(row.Bounds...))
	m.fail(err)
	return i
}

func (m *maker) numbers(name string) metric.Int64Histogram {
	row := m.row(name, Histogram)
	i, err := m.meter.Int64Histogram(name, metric.WithDescription(row.Reason), metric.WithExplicitBucketBoundaries(row.Bounds...))
	m.fail(err)
	return i
}

// set gives attributes as instruments want them: names and values by turns.
func (r *Recorder) set(pairs [4]string) metric.MeasurementOption {
	if set, ok := r.sets.Load(pairs); ok {
		return set.(metric.MeasurementOption)
	}
	var attributes []attribute.KeyValue
	for i := 0; i < len(pairs) && pairs[i] != ""; i += 2 {
		attributes = append(attributes, attribute.String(pairs[i], pairs[i+1]))
	}
	set, _ := r.sets.LoadOrStore(pairs, metric.WithAttributeSet(attribute.NewSet(attributes...)))
	return set.(metric.MeasurementOption)
}

// Answered records an answer of a function: the problem's code, empty for a success, and the time from the request's arrival.
func (r *Recorder) Answered(ctx context.Context, function, code string, took time.Duration) {
	if r != nil {
		r.answers.Record(ctx, took.Seconds(), r.set([4]string{"function", function, "code", code}))
	}
}

// Outcome is what became of an attempt to commit.
type Outcome string

// The outcomes of commits.
const (
	Landed   Outcome = "landed"
	Conflict Outcome = "conflict" // another process's commit came first
	Unclear  Outcome = "unclear"  // no answer that tells; it may yet land
	Refused  Outcome = "refused"  // Firestore would not have it as it is
)

// Committed records one attempt to commit to a wallet, by how long Firestore took to answer.
func (r *Recorder) Committed(ctx context.Context, o Outcome, took time.Duration) {
	if r != nil {
		r.commits.Record(ctx, took.Seconds(), r.set([4]string{"outcome", string(o)}))
	}
}

// Batched records how many commands shared a commit that landed.
func (r *Recorder) Batched(ctx context.Context, commands int) {
	if r != nil {
		r.batches.Record(ctx, int64(commands))
	}
}

// Entered records entries of one kind that were committed.
func (r *Recorder) Entered(ctx context.Context, kind string, n int) {
	if r != nil {
		r.entries.Add(ctx, int64(n), r.set([4]string{"kind", kind}))
	}
}

// Refused records a check, hold or debit that was refused, by the code of the reason.
func (r *Recorder) Refused(ctx context.Context, code string) {
	if r != nil {
		r.refusals.Add(ctx, 1, r.set([4]string{"code", code}))
	}
}

// OutboxAge records how long the oldest message in the outbox had stood there; 0 for none.
func (r *Recorder) OutboxAge(ctx context.Context, age time.Duration) {
	if r != nil {
		r.outbox.Record(ctx, age.Seconds())
	}
}

// DeadLetter records a message that was put aside, by the topic it came from and the code of the reason.
func (r *Recorder) DeadLetter(ctx context.Context, topic, code string) {
	if r != nil {
		r.letters.Add(ctx, 1, r.set([4]string{"topic", topic, "code", code}))
	}
}

// UncreditedAge records how long the oldest purchase that is paid and not credited has been paid; 0 for none.
func (r *Recorder) UncreditedAge(ctx context.Context, age time.Duration) {
	if r != nil {
		r.uncredited.Record(ctx, age.Seconds())
	}
}

// Audited records wallets that an audit compared with their entries: those whose figures agree, and those whose do not.
func (r *Recorder) Audited(ctx context.Context, agree, mismatch int) {
	if r != nil {
		r.audited.Add(ctx, int64(agree), r.set([4]string{"result", "agree"}))
		r.audited.Add(ctx, int64(mismatch), r.set([4]string{"result", "mismatch"}))
	}
}

// contextKey is the context key of a recorder.
type contextKey struct{}

// NewContext returns a context that carries a recorder, to those who report what they do for a request.
func NewContext(ctx context.Context, r *Recorder) context.Context {
	if r == nil {
		return ctx
	}
	return context.WithValue(ctx, contextKey{}, r)
}

// FromContext returns the recorder that ctx carries, or nil.
func FromContext(ctx context.Context) *Recorder {
	r, _ := ctx.Value(contextKey{}).(*Recorder)
	return r
}
