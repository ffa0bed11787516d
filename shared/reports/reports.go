// Package reports sums usage: what was charged on which day, for which feature, by which team and user, grouped and filtered as was asked, and
// written as a table.
//
// Invariants:
//   - A report's rows add up to its total, and its total to the credits of every use that passes its filters: nothing is rounded, estimated or
//     cut off. A report that would have too many rows is refused, not shortened.
//   - The same uses, in any order and split in any way, make the same report.
//   - In a table nothing that somebody named can act as a formula in a spreadsheet.
//
// It does not own where usage comes from (package ledger), who may see it and how it is asked for (the functions), or names of people: teams and
// users are told by their ids.
package reports

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/fluxori/ai-credits/shared/coded"
)

// Use is what was charged on a day, less what was given back on it, in credits. Team and User are empty for work that named none.
type Use struct {
	Day, Feature, Team, User string
	Credits                  int64
}

// Dimension is what a report is grouped by.
type Dimension string

// The dimensions.
const (
	Day     Dimension = "day"
	Feature Dimension = "feature"
	Team    Dimension = "team"
	User    Dimension = "user"
)

// Query says what a report is of.
type Query struct {
	// GroupBy has at least one dimension, none twice; the rows are in their order.
	GroupBy []Dimension
	// Feature, Team and User let pass only uses of that one; nil lets all pass, "" of teams and users those that name none.
	Feature, Team, User *string
}

// rowsMax is how many rows a report may have: in memory some 20 MiB.
const rowsMax = 100_000

// Error says why a report is not made. Its code is `invalid_request`.
type Error struct{ coded.Reason }

func invalid(field, says string) *Error {
	return &Error{coded.Reason{Is: "invalid_request", Says: says, With: map[string]any{"field": field}}}
}

// Row is the sum of a group, in credits. Of the other fields only those are set that the report is grouped by.
type Row = Use

// Report is a sum of uses. It is for one goroutine.
type Report struct {
	query Query
	sums  map[Use]int64 // by uses without credits
	total int64
}

// New begins a report. The error is an *Error.
func New(q Query) (*Report, error) {
	if len(q.GroupBy) == 0 {
		return nil, invalid("group_by", "A report is grouped by day, feature, team or user, or by several of them.")
	}
	for i, d := range q.GroupBy {
		switch d {
		case Day, Feature, Team, User:
		default:
			return nil, invalid("group_by", fmt.Sprintf("A report is grouped by day, feature, team or user, not by %q.", d))
		}
		if slices.Contains(q.GroupBy[:i], d) {
			return nil, invalid("group_by", fmt.Sprintf("The report is grouped by %s twice.", d))
		}
	}
	return &Report{query: q, sums: map[Use]int64{}}, nil
}

// Add counts a use. The error is an *Error, when the report has too many rows.
func (r *Report) Add(u Use) error {
	passes := func(filter *string, value string) bool { return filter == nil || *filter == value }
	if !passes(r.query.Feature, u.Feature) || !passes(r.query.Team, u.Team) || !passes(r.query.User, u.User) {
		return nil
	}
	var group Use
	for _, d := range r.query.GroupBy {
		*group.at(d) = *u.at(d)
	}
	r.sums[group] += u.Credits
	r.total += u.Credits
	if len(r.sums) > rowsMax {
		return invalid("group_by", fmt.Sprintf("The report would have more than %d rows: ask for fewer days, filter, or group by less.", rowsMax))
	}
	return nil
}

// at is the field of a dimension.
func (u *Use) at(d Dimension) *string {
	switch d {
	case Day:
		return &u.Day
	case Feature:
		return &u.Feature
	case Team:
		return &u.Team
	case User:
	}
	return &u.User
}

// Total is the sum of all rows, in credits.
func (r *Report) Total() int64 { return r.total }

// Rows are the groups whose sum is not zero, ordered by the dimensions in the order of the query.
func (r *Report) Rows() []Row {
	out := make([]Row, 0, len(r.sums))
	for group, credits := range r.sums {
		if credits != 0 {
			group.Credits = credits
			out = append(out, group)
		}
	}
	slices.SortFunc(out, func(a, b Row) int {
		for _, d := range r.query.GroupBy {
			if c := cmp.Compare(*a.at(d), *b.at(d)); c != 0 {
				return c
			}
		}
		return 0
	})
	return out
}

// Value is a row's value of a dimension.
func Value(row Row, d Dimension) string { return *row.at(d) }
