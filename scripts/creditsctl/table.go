package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"
)

// cellMax bounds a cell, in characters: what is longer is cut, and whole with -json.
const cellMax = 60

// column is one of a table: its head, what of an item it shows, and whether that is a figure, which stands at the right.
type column[T any] struct {
	head   string
	figure bool
	cell   func(T) string
}

// table writes items under heads.
func table[T any](t *tool, items []T, columns []column[T]) error {
	rows := make([][]string, 1, len(items)+1)
	for _, c := range columns {
		rows[0] = append(rows[0], c.head)
	}
	for _, item := range items {
		row := make([]string, 0, len(columns))
		for _, c := range columns {
			row = append(row, shown(c.cell(item)))
		}
		rows = append(rows, row)
	}
	for i, c := range columns {
		if c.figure {
			alignRight(rows, i)
		}
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

// alignRight fills the cells of a column up to the widest.
func alignRight(rows [][]string, column int) {
	width := 0
	for _, row := range rows {
		width = max(width, utf8.RuneCountInString(row[column]))
	}
	for _, row := range rows {
		row[column] = strings.Repeat(" ", width-utf8.RuneCountInString(row[column])) + row[column]
	}
}

// fact is one line of what is told of a single thing.
type fact struct{ name, value string }

// tell writes facts, but for those without a value.
func (t *tool) tell(facts ...fact) error {
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	for _, f := range facts {
		if f.value != "" {
			fmt.Fprintf(w, "%s\t%s\n", f.name, clean(f.value))
		}
	}
	return w.Flush()
}

// shown is a text as a cell has it.
func shown(s string) string {
	s = clean(s)
	switch {
	case s == "":
		return "-"
	case utf8.RuneCountInString(s) > cellMax:
		return string([]rune(s)[:cellMax-1]) + "…"
	}
	return s
}

// clean keeps what others wrote from steering the terminal, from turning the text around it, and from making lines.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp) {
			return '·'
		}
		return r
	}, s)
}

// moment writes a time in a zone; nothing for none.
func moment(at *time.Time, zone *time.Location) string {
	if at == nil || at.IsZero() {
		return ""
	}
	return at.In(zone).Format("2006-01-02 15:04")
}

// print writes JSON as one line.
func (t *tool) print(data json.RawMessage) error {
	var line bytes.Buffer
	if err := json.Compact(&line, data); err != nil {
		return fmt.Errorf("the answer is no JSON: %w", err)
	}
	line.WriteByte('\n')
	_, err := t.out.Write(line.Bytes())
	return err
}

// printValue writes a value as one line of JSON.
func (t *tool) printValue(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %T: %w", v, err)
	}
	return t.print(data)
}
