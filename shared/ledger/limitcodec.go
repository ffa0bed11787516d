package ledger

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/fluxori/ai-credits/shared/credit"
)

// encodeLimits are the limits in force, as they stand in the wallet document. A hard limit is a number, a soft one a map of it.
func encodeLimits(l *credit.Limits) fields {
	if l == nil {
		return nil
	}
	thresholds := make([]*pb.Value, len(l.Thresholds))
	for i, percent := range l.Thresholds {
		thresholds[i] = intValue(percent)
	}
	f := fields{"v": intValue(schemaVersion)}.num("revision", l.Revision).list("thresholds", thresholds).
		group("teams", encodeLimitsOf(l.Teams)).group("users", encodeLimitsOf(l.Users))
	if l.Organisation != nil {
		f["organisation"] = limitValue(*l.Organisation)
	}
	if l.DefaultUser != nil {
		f["default_user"] = limitValue(*l.DefaultUser)
	}
	return f
}

func encodeLimitsOf(limits map[string]credit.Limit) fields {
	f := make(fields, len(limits))
	for id, l := range limits {
		f[idField(id)] = limitValue(l)
	}
	return f
}

// idField is an id as a field's name, idOf what it was made of. Firestore takes no name that begins and ends with two underscores, and one that
// it does not take would keep the whole wallet from being written. Ids have no control characters, so no two share a name.
func idField(id string) string {
	if strings.HasPrefix(id, "__") {
		return cellSeparator + id
	}
	return id
}

func idOf(field string) string { return strings.TrimPrefix(field, cellSeparator) }

func limitValue(l credit.Limit) *pb.Value {
	if l.Soft {
		return mapValue(fields{"soft": intValue(l.Credits)})
	}
	return intValue(l.Credits)
}

func decodeLimits(r reader) *credit.Limits {
	if r.m == nil {
		return nil
	}
	if v := r.num("v"); v > schemaVersion && *r.err == nil {
		*r.err = checkVersion(r)
	}
	l := &credit.Limits{
		Revision: r.num("revision"), Thresholds: r.nums("thresholds"),
		Teams: decodeLimitsOf(r.group("teams")), Users: decodeLimitsOf(r.group("users")),
	}
	if _, ok := r.m["organisation"]; ok {
		one := decodeLimit(r, "organisation")
		l.Organisation = &one
	}
	if _, ok := r.m["default_user"]; ok {
		one := decodeLimit(r, "default_user")
		l.DefaultUser = &one
	}
	return l
}

func decodeLimitsOf(r reader) map[string]credit.Limit {
	out := make(map[string]credit.Limit, len(r.m))
	for field := range r.m {
		out[idOf(field)] = decodeLimit(r, field)
	}
	return out
}

func decodeLimit(r reader, field string) credit.Limit {
	if r.m[field].GetMapValue() != nil {
		return credit.Limit{Credits: r.group(field).num("soft"), Soft: true}
	}
	return credit.Limit{Credits: r.num(field)}
}

// nums reads a list of numbers.
func (r reader) nums(field string) []int64 {
	vs := r.list(field)
	out := make([]int64, len(vs))
	for i, v := range vs {
		n, ok := v.ValueType.(*pb.Value_IntegerValue)
		if !ok {
			r.wrong(field, v, "a list of integers")
			return nil
		}
		out[i] = n.IntegerValue
	}
	return out
}

func encodeWindows(windows []credit.CountedWindow) []*pb.Value {
	out := make([]*pb.Value, len(windows))
	for i, w := range windows {
		out[i] = mapValue(fields{}.str("window", w.Key).num("pages", w.Pages))
	}
	return out
}

func decodeWindows(rs []reader) []credit.CountedWindow {
	out := make([]credit.CountedWindow, len(rs))
	for i, r := range rs {
		out[i] = credit.CountedWindow{Key: r.str("window"), Pages: r.num("pages")}
	}
	return out
}

// encodeCounts are what an entry, or the placing of a hold, counted: scope, window, change, used after it, limit, id, one string each. An entry
// has up to three, and a busy wallet many entries.
func encodeCounts(counts []credit.Count) []*pb.Value {
	out := make([]*pb.Value, len(counts))
	for i, c := range counts {
		b := make([]byte, 0, 64+len(c.ID))
		b = append(append(b, c.Scope...), ' ')
		b = append(append(b, c.Window...), ' ')
		for _, n := range [...]int64{c.Credits, c.Used, c.Limit} {
			b = append(strconv.AppendInt(b, n, 10), ' ')
		}
		out[i] = stringValue(string(append(b, c.ID...)))
	}
	return out
}

// countParts is how many parts a count has; the last, an id, may have spaces of its own.
const countParts = 6

func decodeCounts(r reader) []credit.Count {
	texts := r.strings("counts")
	if len(texts) == 0 {
		return nil
	}
	out := make([]credit.Count, len(texts))
	for i, text := range texts {
		parts := strings.SplitN(text, " ", countParts)
		if len(parts) != countParts {
			r.bad("count %q has %d parts", text, len(parts))
			return nil
		}
		out[i] = credit.Count{Subject: credit.Subject{Scope: credit.Scope(parts[0]), ID: parts[5]}, Window: parts[1]}
		for j, n := range [...]*int64{&out[i].Credits, &out[i].Used, &out[i].Limit} {
			var err error
			if *n, err = strconv.ParseInt(parts[2+j], 10, 64); err != nil {
				r.bad("count %q: %v", text, err)
				return nil
			}
		}
	}
	return out
}

// bad keeps what else is wrong with a document, if it is the first.
func (r reader) bad(format string, args ...any) {
	if *r.err == nil {
		*r.err = fmt.Errorf("%s: %s", r.name, fmt.Sprintf(format, args...))
	}
}

// subjectField is a subject's field in a document of counters.
func subjectField(s credit.Subject) string { return string(s.Scope) + ":" + s.ID }

// counterWrite writes counters: all of a document, or beside those it has. A counter is a number, or, below what it once was, used and peak. Each
// is written as it stands and not as an increment, for the wallet's version says that it is known.
func (s *store) counterWrite(org string, c credit.Counters) *pb.Write {
	by := make(fields, len(c.By))
	for subject, n := range c.By {
		v := intValue(n.Used)
		if n.Peak != n.Used {
			v = &pb.Value{ValueType: &pb.Value_ArrayValue{ArrayValue: &pb.ArrayValue{Values: []*pb.Value{v, intValue(n.Peak)}}}}
		}
		by[subjectField(subject)] = v
	}
	f := fields{"v": intValue(schemaVersion)}.str("org", org).str("window", c.Window).num("index", c.Index).group("by", by)
	w := setWrite(s.counterName(org, c.CounterPage), f)
	if c.Whole {
		return w
	}
	w.UpdateMask = &pb.DocumentMask{FieldPaths: append(make([]string, 0, len(by)+4), "v", "org", "window", "index")}
	for _, field := range slices.Sorted(maps.Keys(by)) {
		w.UpdateMask.FieldPaths = append(w.UpdateMask.FieldPaths, "by."+quoteField(field))
	}
	return w
}

func decodeCounters(d *pb.Document) (credit.Counters, error) {
	r := readDocument(d)
	if err := checkVersion(r); err != nil {
		return credit.Counters{}, err
	}
	by := r.group("by")
	c := credit.Counters{
		CounterPage: credit.CounterPage{Window: r.str("window"), Index: r.num("index")}, By: make(map[credit.Subject]credit.Counter, len(by.m)),
		Whole: true,
	}
	for field, v := range by.m {
		scope, id, _ := strings.Cut(field, ":")
		subject := credit.Subject{Scope: credit.Scope(scope), ID: id}
		if v.GetArrayValue() == nil {
			n := by.num(field)
			c.By[subject] = credit.Counter{Used: n, Peak: n}
			continue
		}
		ns := by.nums(field)
		if len(ns) != 2 {
			by.bad("%s has %d numbers", field, len(ns))
			break
		}
		c.By[subject] = credit.Counter{Used: ns[0], Peak: ns[1]}
	}
	return c, *r.err
}
