package ledger

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/fluxori/ai-credits/shared/credit"
)

// maxCells is about how many cells one roll-up document takes before the next is begun, those with long names counting more: it keeps
// the document well under 1 MiB.
const maxCells = 4000

// cellWeight is what a cell counts: one for each 200 bytes of its name that it begins. Ids have up to 128 bytes each.
func cellWeight(cell string) int64 { return 1 + int64(len(cell))/200 }

// rollup says which document of wallets/{org}/usage takes the next debits.
type rollup struct {
	day   string // 2006-01-02 in the organisation's zone
	part  int64
	cells int64 // how many the document holds, weighed, at most
	// unfolded is the earliest month, 2006-01, with usage that is not folded; empty for none.
	unfolded string
	// zoned is the day in UTC, 2006-01-02, on which the organisation's zone last changed; empty for never. What was used until then stands on
	// the days of other zones.
	zoned string
}

// next is the roll-up with another document, empty as yet, in use.
func (u rollup) next(day string, part int64) rollup {
	u.day, u.part, u.cells = day, part, 0
	return u
}

// cellSeparator joins a cell's name; ids have no control characters, so no two cells share a name.
const cellSeparator = "\x1f"

// usageOf is what an entry adds to the roll-up: credits by feature, team and user. A reversal takes away on its own day, so that the
// roll-ups of a range always equal the sum of its entries.
func usageOf(e *credit.Entry) (cell string, credits int64) {
	switch e.Kind {
	case credit.KindDebit, credit.KindCapture:
		credits = e.Credits
	case credit.KindReversal:
		credits = -e.Credits
	default:
		return "", 0
	}
	return strings.Join([]string{e.Work.Feature, e.Work.Team, e.Work.User}, cellSeparator), credits
}

// usage gathers a batch's additions, by day and cell.
type usage map[string]map[string]int64

func (u usage) add(zone *time.Location, e *credit.Entry) {
	cell, credits := usageOf(e)
	if credits == 0 {
		return
	}
	day := e.At.In(zone).Format(time.DateOnly)
	if u[day] == nil {
		u[day] = map[string]int64{}
	}
	u[day][cell] += credits
}

// maxIncrements is how many fields of a document one commit adds to: Firestore takes 500 transforms.
const maxIncrements = 500

// full tells whether one more item could ask more of a document than a commit may.
func (u usage) full(fs flows) bool {
	for day, cells := range u {
		if len(cells)+len(fs[day])+flowsPerItem >= maxIncrements {
			return true
		}
	}
	return false
}

// advanceRollup settles which roll-up document takes this batch's usage. The count of its cells is an upper bound, which is made exact by
// reading the document before another one is begun.
func (r *round) advanceRollup(ctx context.Context) error {
	days := make([]string, 0, len(r.usage))
	for day := range r.usage {
		days = append(days, day)
	}
	slices.Sort(days)
	if len(days) == 0 {
		return nil
	}
	a := r.actor
	if month := monthOf(days[0]); a.usage.unfolded == "" || month < a.usage.unfolded {
		a.usage.unfolded = month
	}
	latest := days[len(days)-1]
	if latest > a.usage.day {
		a.usage, a.cells = a.usage.next(latest, 0), map[string]bool{}
	}
	if latest != a.usage.day {
		return nil // an earlier day, after a change of time zone
	}
	if a.cells == nil {
		a.cells = map[string]bool{}
	}
	fresh := a.newCells(r.usage[latest])
	if a.usage.cells+fresh > maxCells {
		if err := a.recount(ctx); err != nil {
			return err
		}
		if fresh = a.newCells(r.usage[latest]); a.usage.cells+fresh > maxCells {
			a.usage = a.usage.next(latest, a.usage.part+1)
			a.cells = map[string]bool{}
			fresh = a.newCells(r.usage[latest])
		}
	}
	a.usage.cells += fresh
	for cell := range r.usage[latest] {
		a.cells[cell] = true
	}
	return nil
}

func (a *actor) newCells(cells map[string]int64) (n int64) {
	for cell := range cells {
		if !a.cells[cell] {
			n += cellWeight(cell)
		}
	}
	return n
}

// recount reads which cells the roll-up document in use really has.
func (a *actor) recount(ctx context.Context) error {
	s := &a.ledger.store
	name := s.rollupName(a.org, a.usage.day, a.usage.part)
	got, err := s.get(ctx, name)
	if err != nil {
		return unavailable(err)
	}
	a.cells, a.usage.cells = map[string]bool{}, 0
	if d := got[name]; d != nil {
		for cell := range readDocument(d).group("cells").m {
			a.cells[cell] = true
			a.usage.cells += cellWeight(cell)
		}
	}
	return nil
}

// rollupDoc is the id of a roll-up document.
func rollupDoc(day string, part int64) string { return day + "-" + strconv.FormatInt(part, 10) }

// rollupWrites adds a batch's usage and flows with increments, which need no read; the wallet's precondition makes each count once. Usage goes
// to the day's document in use, flows to its first, which is mostly the same.
func (s *store) rollupWrites(org string, u usage, fs flows, r rollup) []*pb.Write {
	var out []*pb.Write
	days := map[string]bool{}
	for day := range u {
		days[day] = true
	}
	for day := range fs {
		days[day] = true
	}
	for _, day := range slices.Sorted(maps.Keys(days)) {
		part := int64(0)
		if day == r.day {
			part = r.part
		}
		var cells []*pb.DocumentTransform_FieldTransform
		for _, cell := range slices.Sorted(maps.Keys(u[day])) {
			cells = append(cells, increment("cells", cell, u[day][cell]))
		}
		var moved []*pb.DocumentTransform_FieldTransform
		names, values := fs.fields(day)
		for _, name := range names {
			moved = append(moved, increment("flows", name, values[name]))
		}
		if part == 0 {
			cells, moved = nil, append(cells, moved...)
		}
		if len(moved) > 0 {
			out = append(out, s.rollupWrite(org, day, 0, moved))
		}
		if len(cells) > 0 {
			out = append(out, s.rollupWrite(org, day, part, cells))
		}
	}
	return out
}

func (s *store) rollupWrite(org, day string, part int64, increments []*pb.DocumentTransform_FieldTransform) *pb.Write {
	return &pb.Write{
		Operation: &pb.Write_Update{Update: &pb.Document{
			Name:   s.rollupName(org, day, part),
			Fields: fields{"v": intValue(schemaVersion)}.str("org", org).str("day", day),
		}},
		UpdateMask:       &pb.DocumentMask{FieldPaths: []string{"v", "org", "day"}},
		UpdateTransforms: increments,
	}
}

func (s *store) rollupName(org, day string, part int64) string {
	return s.walletName(org) + "/usage/" + rollupDoc(day, part)
}

func increment(group, name string, n int64) *pb.DocumentTransform_FieldTransform {
	return &pb.DocumentTransform_FieldTransform{
		FieldPath:     group + "." + quoteField(name),
		TransformType: &pb.DocumentTransform_FieldTransform_Increment{Increment: intValue(n)},
	}
}

// quoteField writes a field's name as a path segment.
func quoteField(name string) string {
	if !strings.ContainsAny(name, "\\`") {
		return "`" + name + "`"
	}
	return "`" + strings.NewReplacer("\\", "\\\\", "`", "\\`").Replace(name) + "`"
}
