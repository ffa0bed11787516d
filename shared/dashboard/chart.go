package dashboard

import "github.com/fluxori/ai-credits/shared/numerals"

// The columns' measures, in units of the chart's own.
const (
	columnWidth   = 20
	columnGap     = 4
	columnsHeight = 120
	columnsSides  = 64 // for the figures at the left, and the end of the last label
)

// columns is a chart of a value for each day.
type columns struct {
	// Width is that of the columns, Box that of the drawing with the figures at its sides.
	Width, Box, Max int64
	// Top is Max as it is written.
	Top  string
	Bars []bar
}

// bar is one column: where it stands, how high it is, and what it says.
type bar struct {
	X, Y, Width, Height int64
	Label               string
	Value               int64
	// Text is Value as it is written.
	Text string
	// Marked bars have their label written beneath.
	Marked bool
}

// newColumns draws values, which are 0 or more, with every seventh labelled.
func newColumns(labels []string, values []int64) columns {
	width := int64(len(values)) * (columnWidth + columnGap)
	out := columns{Width: width, Box: width + columnsSides}
	for _, n := range values {
		out.Max = max(out.Max, n)
	}
	out.Top = numerals.Whole(out.Max)
	for i, n := range values {
		b := bar{X: int64(i) * (columnWidth + columnGap), Width: columnWidth, Label: labels[i], Value: n, Text: numerals.Whole(n), Marked: i%7 == 0}
		if out.Max > 0 {
			b.Height = n * columnsHeight / out.Max
		}
		if n > 0 {
			b.Height = max(b.Height, 2)
		}
		b.Y = columnsHeight - b.Height
		out.Bars = append(out.Bars, b)
	}
	return out
}

// ranked is a chart of a value for each name, the greatest first.
type ranked struct {
	ID, Name string
	Value    int64
	// Percent is the value's part of the greatest; Part its part of all, and Begin that of those before it.
	Percent, Part, Begin int64
}
