// Package table reads the tables that the system is described by: JSON files of this tree, which people write and Go and Terraform read.
//
// Invariants: what is read is one value whose members are all known, so that a misspelt one is an error and not silence; all that is wrong
// with a table is told at once.
//
// It does not own what the tables mean, nor what callers send (package strictjson), who are told of one mistake in the contract's words.
package table

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Read reads a table: one JSON value without unknown members, and nothing after it.
func Read[T any](data []byte) (T, error) {
	var value T
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&value); err != nil {
		return value, fmt.Errorf("decode the table: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return value, errors.New("data follows the table")
	}
	return value, nil
}

// Findings are all that is wrong with a table. The zero value has none.
type Findings struct{ wrong []error }

// Must notes what is said unless ok.
func (f *Findings) Must(ok bool, format string, args ...any) {
	if !ok {
		f.wrong = append(f.wrong, fmt.Errorf(format, args...))
	}
}

// Within notes a figure that is less than least or more than most.
func (f *Findings) Within(what string, n, least, most int) {
	f.Must(n >= least && n <= most, "%s is %d, not within %d and %d", what, n, least, most)
}

// Err returns everything that was noted, or nil.
func (f *Findings) Err() error { return errors.Join(f.wrong...) }
