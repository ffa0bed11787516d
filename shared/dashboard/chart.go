package dashboard

// The columns' measures, in units of the chart's own.
const (
	columnWidth   = 20
	columnGap     = 4
	columnsHeight = 120
)

// columns is a chart of a value for each day.
type columns struct {
	Width, Height int64
	Max           int64
	Bars          []bar
}

// bar is one column: where it stands, how high it is, and what it says.
type bar struct {
	X, Y, Width, Height int64
	Label               string
	Value               int64
	// Marked bars have their label written beneath.
	Marked bool
}

// newColumns draws values, which are 0 or more, with every seventh labelled.
func newColumns(labels []string, values []int64) columns {
	out := columns{Width: int64(len(values)) * (columnWidth + columnGap), Height: columnsHeight}
	for _, n := range values {
		out.Max = max(out.Max, n)
	}
	for i, n := range values {
		b := bar{X: int64(i) * (columnWidth + columnGap), Width: columnWidth, Label: labels[i], Value: n, Marked: i%7 == 0}
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
	Name  string
	Value int64
	// Percent is the value's part of the greatest; Part its part of all.
	Percent, Part int64
}
