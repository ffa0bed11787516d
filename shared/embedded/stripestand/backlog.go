package stripestand

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
)

// backlog is the line of deliveries that wait or are being sent, the oldest
// first.
type backlog struct {
	line []*delivery
	next int // number of the next

	// touched and gone are what the file is to learn; touched is nil while there
	// is none.
	touched map[*delivery]bool
	gone    []int
}

func (b *backlog) add(d *delivery) {
	d.number = b.next
	b.next++
	b.line = append(b.line, d)
	b.touch(d)
}

// drop removes those of a kind from the line.
func (b *backlog) drop(kind func(*delivery) bool) {
	b.line = slices.DeleteFunc(b.line, func(d *delivery) bool {
		yes := kind(d)
		if yes && b.touched != nil {
			b.gone = append(b.gone, d.number)
			delete(b.touched, d)
		}
		return yes
	})
}

func (b *backlog) touch(d *delivery) {
	if b.touched != nil {
		b.touched[d] = true
	}
}

func (b *backlog) restore(key, value []byte) error {
	d := &delivery{}
	if err := json.Unmarshal(value, d); err != nil || len(key) != 8 {
		return fmt.Errorf("decoding delivery %x: %w", key, err)
	}
	b.next = int(binary.BigEndian.Uint64(key))
	b.add(d)
	return nil
}

func (b *backlog) track() { b.touched = map[*delivery]bool{} }

func (b *backlog) changes(put func(key, value []byte) error, drop func(key []byte) error) error {
	for d := range b.touched {
		data, err := json.Marshal(d)
		if err != nil {
			return fmt.Errorf("encoding the delivery of %s: %w", d.Event, err)
		}
		if err := put(rowKey(d.number), data); err != nil {
			return err
		}
	}
	for _, number := range b.gone {
		if err := drop(rowKey(number)); err != nil {
			return err
		}
	}
	clear(b.touched)
	b.gone = nil
	return nil
}

// rest forgets nothing: a delivery is touched by what changes it alone.
func (b *backlog) rest() {}
