package ledger

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
)

// measure is what a flow counts.
type measure string

const (
	// usable is what entries of a kind changed of available and held together.
	usable measure = "usable"
	// owed is what they changed of debt.
	owed measure = "debt"
	// inSource is what they changed of the credits in grants of a source, whether these can be drawn on or not.
	inSource measure = "source"
	// ofFeature is what was charged for a feature, less what was reversed; it is not told by kind.
	ofFeature measure = "feature"
)

// flow is one number of a day: what its entries moved, seen in one way.
type flow struct {
	measure measure
	kind    credit.Kind
	name    string // of the source or feature
}

func (f flow) field() string {
	return strings.Join([]string{string(f.measure), string(f.kind), f.name}, cellSeparator)
}

// parseFlow reads a field's name; ok is false for what is none.
func parseFlow(field string) (f flow, ok bool) {
	parts := strings.Split(field, cellSeparator)
	if len(parts) != 3 {
		return flow{}, false
	}
	return flow{measure(parts[0]), credit.Kind(parts[1]), parts[2]}, true
}

// flows are what a batch's entries moved, by day. They stand in the first roll-up document of their day, so that a month is at most 31 documents
// however many users there are.
type flows map[string]map[flow]int64

// flowsPerItem is more than one command and its journal add of flows to a day: each kind moves what is usable, what is owed and five sources.
const flowsPerItem = 16*7 + 1

// add counts an entry; before are the figures before it.
func (fs flows) add(zone *time.Location, before credit.Figures, e *credit.Entry) {
	var day map[flow]int64
	count := func(m measure, kind credit.Kind, name string, n int64) {
		if n == 0 {
			return
		}
		if day == nil {
			date := e.At.In(zone).Format(time.DateOnly)
			if day = fs[date]; day == nil {
				day = map[flow]int64{}
				fs[date] = day
			}
		}
		day[flow{m, kind, name}] += n
	}
	count(usable, e.Kind, "", e.After.Available+e.After.Held-before.Available-before.Held)
	count(owed, e.Kind, "", e.Debt)
	for _, c := range e.Changes {
		count(inSource, e.Kind, string(c.Source), c.Free+c.Held)
	}
	_, credits := usageOf(e)
	count(ofFeature, "", e.Work.Feature, credits)
}

// fields are a day's flows by the names of their fields, in order.
func (fs flows) fields(day string) (names []string, values map[string]int64) {
	values = make(map[string]int64, len(fs[day]))
	for f, n := range fs[day] {
		values[f.field()] += n
	}
	return slices.Sorted(maps.Keys(values)), values
}
