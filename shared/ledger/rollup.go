package ledger

import (
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

// maxIncrements is how many cells of a document one commit adds to: Firestore takes 500 transforms.
const maxIncrements = 500

// full tells whether one more item could ask more of a document than a commit may.
func (u usage) full() bool {
	for _, cells := range u {
		if len(cells) >= maxIncrements {
			return true
		}
	}
	return false
}

// rollupDoc is the id of a roll-up document.
func rollupDoc(day string, part int64) string { return day + "-" + strconv.FormatInt(part, 10) }

// rollupWrites adds a batch's usage with increments, which need no read; the wallet's precondition makes each count once.
func (s *store) rollupWrites(org string, u usage, r rollup) []*pb.Write {
	var out []*pb.Write
	for _, day := range slices.Sorted(maps.Keys(u)) {
		part := int64(0)
		if day == r.day {
			part = r.part
		}
		w := &pb.Write{
			Operation: &pb.Write_Update{Update: &pb.Document{
				Name:   s.walletName(org) + "/usage/" + rollupDoc(day, part),
				Fields: fields{"v": intValue(schemaVersion)}.str("org", org).str("day", day),
			}},
			UpdateMask: &pb.DocumentMask{FieldPaths: []string{"v", "org", "day"}},
		}
		for _, cell := range slices.Sorted(maps.Keys(u[day])) {
			w.UpdateTransforms = append(w.UpdateTransforms, &pb.DocumentTransform_FieldTransform{
				FieldPath:     "cells." + quoteField(cell),
				TransformType: &pb.DocumentTransform_FieldTransform_Increment{Increment: intValue(u[day][cell])},
			})
		}
		out = append(out, w)
	}
	return out
}

// quoteField writes a field's name as a path segment.
func quoteField(name string) string {
	if !strings.ContainsAny(name, "\\`") {
		return "`" + name + "`"
	}
	return "`" + strings.NewReplacer("\\", "\\\\", "`", "\\`").Replace(name) + "`"
}
