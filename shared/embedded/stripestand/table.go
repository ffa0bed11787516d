package stripestand

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
)

// table keeps objects of one kind in the order in which they were made.
type table[T any] struct {
	rows  map[string]*T
	place map[string]int // number of the row since the first ever kept
	order []string
	first int // number of order[0]

	// touched are the rows that were handed out since the file was written, and
	// so may have changed; nil while there is no file. dropped are the numbers
	// of rows that the file still has, and sums tell the rows as it has them.
	touched map[string]bool
	dropped []int
	sums    map[string]uint64
}

func (t *table[T]) add(id string, row *T) {
	if t.rows == nil {
		t.rows, t.place = map[string]*T{}, map[string]int{}
	}
	t.rows[id] = row
	t.place[id] = t.first + len(t.order)
	t.order = append(t.order, id)
	t.touch(id)
}

func (t *table[T]) get(id string) (*T, bool) {
	row, ok := t.rows[id]
	if ok {
		t.touch(id)
	}
	return row, ok
}

func (t *table[T]) len() int { return len(t.order) }

// at returns the row at index i, the oldest being 0.
func (t *table[T]) at(i int) *T {
	t.touch(t.order[i])
	return t.rows[t.order[i]]
}

// index finds the row's index.
func (t *table[T]) index(id string) (int, bool) {
	n, ok := t.place[id]
	return n - t.first, ok
}

// dropOldest forgets the oldest row.
func (t *table[T]) dropOldest() {
	id := t.order[0]
	if t.touched != nil {
		t.dropped = append(t.dropped, t.first)
		delete(t.touched, id)
		delete(t.sums, id)
	}
	delete(t.rows, id)
	delete(t.place, id)
	t.order = t.order[1:]
	t.first++
}

func (t *table[T]) touch(id string) {
	if t.touched != nil {
		t.touched[id] = true
	}
}

// rows is a table of any kind, as the file sees it.
type rows interface {
	// restore takes a row that the file has, in the order of the numbers, and
	// track notes from then on what changes.
	restore(key, value []byte) error
	track()
	// changes tells what changed since it was last asked, and rest forgets what
	// was only looked at.
	changes(put func(key, value []byte) error, drop func(key []byte) error) error
	rest()
}

type savedRow[T any] struct {
	ID  string `json:"id"`
	Row *T     `json:"row"`
}

func rowKey(number int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(number)) }

func (t *table[T]) restore(key, value []byte) error {
	var in savedRow[T]
	if err := json.Unmarshal(value, &in); err != nil {
		return fmt.Errorf("decoding a row: %w", err)
	}
	if in.Row == nil || len(key) != 8 {
		return fmt.Errorf("decoding a row: %q has the key %x and %d bytes", in.ID, key, len(value))
	}
	number := int(binary.BigEndian.Uint64(key))
	if len(t.order) == 0 {
		t.first = number
	}
	if number != t.first+len(t.order) {
		return fmt.Errorf("decoding a row: %q has the number %d, after %d", in.ID, number, t.first+len(t.order)-1)
	}
	t.add(in.ID, in.Row)
	return nil
}

func (t *table[T]) track() { t.touched, t.sums = map[string]bool{}, map[string]uint64{} }

var seed = maphash.MakeSeed()

func (t *table[T]) changes(put func(key, value []byte) error, drop func(key []byte) error) error {
	for _, number := range t.dropped {
		if err := drop(rowKey(number)); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(t.touched)) {
		data, err := json.Marshal(savedRow[T]{ID: id, Row: t.rows[id]})
		if err != nil {
			return fmt.Errorf("encoding %s: %w", id, err)
		}
		sum := maphash.Bytes(seed, data)
		if t.sums[id] == sum {
			continue
		}
		if err := put(rowKey(t.place[id]), data); err != nil {
			return err
		}
		t.sums[id] = sum
	}
	t.dropped = nil
	t.rest()
	return nil
}

func (t *table[T]) rest() { clear(t.touched) }
