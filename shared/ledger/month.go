package ledger

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/fluxori/ai-credits/shared/credit"
)

// Used is what was charged on a day for a feature, team and user, less what was given back on it, in credits. Team and User are empty where
// the work named none.
type Used struct {
	Day, Feature, Team, User string
	Credits                  int64
}

// monthUsage is a month's usage: credits by cell and day of the month, from 0.
type monthUsage map[string]*[31]int64

// add counts what a day's roll-up document holds.
func (m monthUsage) add(d *pb.Document) error {
	return eachOfDay(d, func(u Used) error {
		day, err := strconv.Atoi(u.Day[len(u.Day)-2:])
		if err != nil || day < 1 || day > 31 {
			return fmt.Errorf("%s: %q is not a day", d.GetName(), u.Day)
		}
		cell := strings.Join([]string{u.Feature, u.Team, u.User}, cellSeparator)
		if m[cell] == nil {
			m[cell] = new([31]int64)
		}
		m[cell][day-1] += u.Credits
		return nil
	})
}

// eachOfDay tells what a day's roll-up document holds.
func eachOfDay(d *pb.Document, each func(Used) error) error {
	r := readDocument(d)
	if err := checkVersion(r); err != nil {
		return err
	}
	day, cells := r.str("day"), r.group("cells")
	if len(day) != len("2006-01-02") {
		return fmt.Errorf("%s has no day", d.GetName())
	}
	for cell := range cells.m {
		u, err := usedIn(d, cell)
		if err != nil {
			return err
		}
		u.Day = day
		if u.Credits = cells.num(cell); *r.err != nil {
			return *r.err
		}
		if err := each(u); err != nil {
			return err
		}
	}
	return *r.err
}

// usedIn reads a cell's name.
func usedIn(d *pb.Document, cell string) (Used, error) {
	parts := strings.Split(cell, cellSeparator)
	if len(parts) != 3 { //nolint:mnd // feature, team, user
		return Used{}, fmt.Errorf("%s: cell %q is not of a feature, team and user", d.GetName(), cell)
	}
	return Used{Feature: parts[0], Team: parts[1], User: parts[2]}, nil
}

// monthPartBytes is how large a month's document may become, about: beyond it the month goes on in another.
const monthPartBytes = 600 << 10

// encodeMonth makes the documents of a month. In each cell the days with usage follow each other as pairs of varints: the day of the month,
// from 0, and the credits, zig-zag. So a user who works each day with one feature takes some hundred bytes a month.
func encodeMonth(org, month string, m monthUsage) []fields {
	var parts []fields
	cells, size := fields{}, 0
	flush := func() {
		parts = append(parts, fields{"v": intValue(schemaVersion)}.str("org", org).str("month", month).group("cells", cells))
		cells, size = fields{}, 0
	}
	for _, cell := range slices.Sorted(maps.Keys(m)) {
		var packed []byte
		for day, n := range m[cell] {
			if n != 0 {
				packed = binary.AppendUvarint(packed, uint64(day)) //nolint:gosec // from 0 to 30
				packed = binary.AppendVarint(packed, n)
			}
		}
		if len(packed) == 0 {
			continue
		}
		if size > monthPartBytes {
			flush()
		}
		cells[cell] = &pb.Value{ValueType: &pb.Value_BytesValue{BytesValue: packed}}
		size += len(cell) + len(packed) + 20
	}
	flush()
	parts[0] = parts[0].num("parts", int64(len(parts)))
	return parts
}

// eachOfMonth tells what a month's document holds.
func eachOfMonth(d *pb.Document, each func(Used) error) error {
	r := readDocument(d)
	if err := checkVersion(r); err != nil {
		return err
	}
	month, cells := r.str("month"), r.group("cells")
	for cell, v := range cells.m {
		u, err := usedIn(d, cell)
		if err != nil {
			return err
		}
		for packed := v.GetBytesValue(); len(packed) > 0; {
			day, n := binary.Uvarint(packed)
			if n <= 0 || day > 30 {
				return fmt.Errorf("%s: cell %q is damaged", d.GetName(), cell)
			}
			credits, k := binary.Varint(packed[n:])
			if k <= 0 {
				return fmt.Errorf("%s: cell %q is damaged", d.GetName(), cell)
			}
			packed = packed[n+k:]
			u.Day, u.Credits = fmt.Sprintf("%s-%02d", month, day+1), credits
			if err := each(u); err != nil {
				return err
			}
		}
	}
	return *r.err
}

// monthName is the name of a month's document.
func (s *store) monthName(org, month string, part int64) string {
	return s.walletName(org) + "/months/" + month + "-" + strconv.FormatInt(part, 10)
}

// monthOf is the month of a day: 2026-03 of 2026-03-01.
func monthOf(day string) string { return day[:min(len(day), len("2006-01"))] }

// fold is a month about to be folded.
type fold struct {
	month string
	// next is the month that is to be folded after it, empty for none; open is the first that cannot be yet.
	next, open string
	writes     []*pb.Write
	bytes      int
}

// takeFold makes a month's documents part of the batch, if the month is still to be folded.
func (r *round) takeFold(f *fold) {
	if f == nil || r.fold != nil || r.actor.usage.unfolded != f.month {
		return
	}
	r.fold = f
	r.bytes += f.bytes
}

// rollup is which roll-up document takes usage, and what is to be folded, once this batch is stored.
func (r *round) rollup() rollup {
	u := r.actor.usage
	if s := r.actor.state; s != nil && s.Zone != r.state.Zone {
		u.zoned = r.ledger.opts.Now().UTC().Format(time.DateOnly)
	}
	if r.fold == nil || u.unfolded != r.fold.month {
		return u
	}
	u.unfolded = r.fold.next
	if u.unfolded == "" && monthOf(u.day) > r.fold.month { // used since that was looked for
		u.unfolded = r.fold.open
	}
	return u
}

// tooLarge says that a month has more cells than one commit takes.
func tooLarge(org, month string) error {
	return credit.Refuse(credit.CodeInvalid, "the month has more usage by feature, team and user than is folded; its days are read one by one",
		map[string]any{"org_id": org, "month": month})
}
