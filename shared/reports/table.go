package reports

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// flushRows is after how many rows of a table what is written is sent on.
const flushRows = 1000

// WriteTable writes rows as a table of RFC 4180 in UTF-8: a line that names the dimensions and `credits`, then a line to each row. It writes
// as it goes and calls sent, if that is not nil, after each thousand rows; an error of either ends it.
func WriteTable(w io.Writer, groupBy []Dimension, rows []Row, sent func() error) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	line := make([]string, len(groupBy)+1)
	for i, d := range groupBy {
		line[i] = string(d)
	}
	line[len(groupBy)] = "credits"
	if err := out.Write(line); err != nil {
		return fmt.Errorf("write a report's head: %w", err)
	}
	for n, row := range rows {
		for i, d := range groupBy {
			line[i] = Inert(Value(row, d))
		}
		line[len(groupBy)] = strconv.FormatInt(row.Credits, 10)
		if err := out.Write(line); err != nil {
			return fmt.Errorf("write row %d of a report: %w", n, err)
		}
		if (n+1)%flushRows != 0 || sent == nil {
			continue
		}
		if out.Flush(); out.Error() != nil {
			break
		}
		if err := sent(); err != nil {
			return fmt.Errorf("send a report after row %d: %w", n, err)
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("write a report of %d rows: %w", len(rows), err)
	}
	return nil
}

// Inert keeps a spreadsheet from taking a text for a formula: one that begins like a formula gets an apostrophe before it. Numbers are not for
// it: theirs is the minus.
func Inert(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r\n|%", rune(text[0])) {
		return "'" + text
	}
	return text
}
