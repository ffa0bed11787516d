package audit

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
)

// imageVersion is the form of an image. One of another form counts as none: it is rebuilt from the entries.
const imageVersion = 1

// maxImageBytes bounds an image, unpacked: a million counters.
const maxImageBytes = 256 << 20

// image is a state as it is kept. No text that a person wrote is in it, since people can be erased from entries.
type image struct {
	V            int
	Org          string
	Seq          int64
	LastAt       time.Time
	Figures      credit.Figures
	Frozen       bool
	Repayments   int64
	Moves        int64
	LimitChanges int64
	Grants       []*credit.Grant
	Holds        []*credit.Hold
	Counters     []counted
	Placed       int64
	Days         map[string]moved
	Compared     string
	Touched      []string
	Windows      []string
	All          bool
}

// counted is a counter with its window.
type counted struct {
	Window string
	credit.Subject
	credit.Counter
}

// pack writes a state.
func (s *state) pack() ([]byte, error) {
	b := s.book
	i := image{
		V: imageVersion, Org: b.Org, Seq: b.Seq, LastAt: b.LastAt, Figures: b.Figures, Frozen: b.Frozen, Repayments: b.Repayments, Moves: b.Moves,
		LimitChanges: b.LimitChanges, Placed: s.placed, Days: s.days, Compared: s.compared, All: s.all,
		Touched: slices.Sorted(maps.Keys(s.touched)), Windows: slices.Sorted(maps.Keys(s.windows)),
	}
	for _, id := range slices.Sorted(maps.Keys(b.Grants)) {
		i.Grants = append(i.Grants, b.Grants[id])
	}
	for _, id := range slices.Sorted(maps.Keys(b.Holds)) {
		i.Holds = append(i.Holds, b.Holds[id])
	}
	for window, by := range b.Counters {
		for subject, c := range by {
			i.Counters = append(i.Counters, counted{window, subject, c})
		}
	}
	slices.SortFunc(i.Counters, func(a, b counted) int {
		return cmp.Or(cmp.Compare(a.Window, b.Window), cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.ID, b.ID))
	})
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if err := json.NewEncoder(w).Encode(i); err != nil {
		return nil, fmt.Errorf("pack the state of %s: %w", b.Org, err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack the state of %s: %w", b.Org, err)
	}
	return out.Bytes(), nil
}

// unpack reads a state of an organisation.
func unpack(org string, packed []byte) (*state, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("unpack the state of %s: %w", org, err)
	}
	var i image
	d := json.NewDecoder(io.LimitReader(r, maxImageBytes))
	d.DisallowUnknownFields()
	if err := d.Decode(&i); err != nil {
		return nil, fmt.Errorf("unpack the state of %s: %w", org, err)
	}
	if i.V != imageVersion || i.Org != org || i.Seq < 0 {
		return nil, fmt.Errorf("the image of version %d is of %q, up to entry %d", i.V, i.Org, i.Seq)
	}
	s := newState(org)
	b := s.book
	b.Seq, b.LastAt, b.Figures, b.Frozen = i.Seq, i.LastAt, i.Figures, i.Frozen
	b.Repayments, b.Moves, b.LimitChanges = i.Repayments, i.Moves, i.LimitChanges
	for _, g := range i.Grants {
		if g == nil {
			return nil, fmt.Errorf("the image of %s has no grant where one should be", org)
		}
		b.Grants[g.ID] = g
	}
	for _, h := range i.Holds {
		if h == nil {
			return nil, fmt.Errorf("the image of %s has no hold where one should be", org)
		}
		b.Holds[h.ID] = h
	}
	for _, c := range i.Counters {
		if b.Counters[c.Window] == nil {
			b.Counters[c.Window] = map[credit.Subject]credit.Counter{}
		}
		b.Counters[c.Window][c.Subject] = c.Counter
	}
	for day, m := range i.Days {
		if m != nil {
			s.days[day] = m
		}
	}
	s.placed, s.compared, s.all = i.Placed, i.Compared, i.All
	for _, id := range i.Touched {
		s.touched[id] = true
	}
	for _, w := range i.Windows {
		s.windows[w] = true
	}
	return s, nil
}
