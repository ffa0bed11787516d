package telemetry

import (
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// Show tells what a metric's series stand at, one a line, as Prometheus writes them: name, attributes, a space and the figure. Of a histogram it
// tells count and sum.
func Show(m metricdata.Metrics) []string {
	var out []string
	tell := func(suffix string, set attribute.Set, figure any) {
		var pairs []string
		for i := set.Iter(); i.Next(); {
			pairs = append(pairs, fmt.Sprintf("%s=%q", i.Attribute().Key, i.Attribute().Value.AsString()))
		}
		of := ""
		if len(pairs) > 0 {
			of = "{" + strings.Join(pairs, ",") + "}"
		}
		out = append(out, fmt.Sprintf("%s%s%s %v", m.Name, suffix, of, figure))
	}
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		for _, p := range data.DataPoints {
			tell("", p.Attributes, p.Value)
		}
	case metricdata.Gauge[float64]:
		for _, p := range data.DataPoints {
			tell("", p.Attributes, p.Value)
		}
	case metricdata.Histogram[int64]:
		for _, p := range data.DataPoints {
			tell("_count", p.Attributes, p.Count)
			tell("_sum", p.Attributes, p.Sum)
		}
	case metricdata.Histogram[float64]:
		for _, p := range data.DataPoints {
			tell("_count", p.Attributes, p.Count)
			tell("_sum", p.Attributes, p.Sum)
		}
	}
	return out
}
