package telemetry

import (
	_ "embed" // for the list
	"fmt"
	"regexp"
	"slices"

	"github.com/fluxori/ai-credits/shared/table"
)

//go:embed metrics.json
var list []byte

// Kind is how a metric counts.
type Kind string

// The kinds of metrics.
const (
	Counter   Kind = "counter"   // only ever grows
	Gauge     Kind = "gauge"     // the last figure holds
	Histogram Kind = "histogram" // figures, counted by how large they are
)

// Metric is a row of the list.
type Metric struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	// Attributes are by what the metric is told apart. Their values are few and come from the code, never from a caller.
	Attributes []string `json:"attributes"`
	// Bounds divide a histogram's figures: each is the highest of its class.
	Bounds []float64 `json:"bounds,omitempty"`
	Reason string    `json:"reason"`
}

// Load returns the system's own list.
func Load() ([]Metric, error) {
	metrics, err := Parse(list)
	if err != nil {
		return nil, fmt.Errorf("metrics.json: %w", err)
	}
	return metrics, nil
}

// namePattern is what Prometheus and Cloud Monitoring take as a name without quotes.
var namePattern = regexp.MustCompile(`^credits_[a-z_]*[a-z]$`)

// Parse reads and checks a list. Unknown members are errors; the error tells all that is wrong.
func Parse(data []byte) ([]Metric, error) {
	metrics, err := table.Read[[]Metric](data)
	if err != nil {
		return nil, err
	}
	var wrong table.Findings
	names := map[string]bool{}
	for _, m := range metrics {
		wrong.Must(namePattern.MatchString(m.Name), "%q is no metric's name", m.Name)
		wrong.Must(!names[m.Name], "%s is listed twice", m.Name)
		names[m.Name] = true
		wrong.Must(slices.Contains([]Kind{Counter, Gauge, Histogram}, m.Kind), "%s: the kind is %q", m.Name, m.Kind)
		wrong.Must((m.Kind == Histogram) == (len(m.Bounds) > 0), "%s: bounds are for histograms, and histograms have some", m.Name)
		wrong.Must(slices.IsSorted(m.Bounds), "%s: its bounds are not in order", m.Name)
		wrong.Must(m.Reason != "", "%s does not say why", m.Name)
	}
	return metrics, wrong.Err()
}
