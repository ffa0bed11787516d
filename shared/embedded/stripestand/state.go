package stripestand

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/big"
)

// text is a string that Stripe renders as null when there is none.
type text string

// MarshalJSON implements json.Marshaler.
func (t text) MarshalJSON() ([]byte, error) {
	if t == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(t))
}

// instant is a moment in Unix seconds that Stripe renders as null when unset.
type instant int64

// MarshalJSON implements json.Marshaler.
func (i instant) MarshalJSON() ([]byte, error) {
	if i == 0 {
		return []byte("null"), nil
	}
	return json.Marshal(int64(i))
}

// list is a list that is part of another object.
type list[T any] struct {
	Object  string `json:"object"`
	Data    []T    `json:"data"`
	HasMore bool   `json:"has_more"`
	URL     string `json:"url"`
}

func newList[T any](url string, data []T) list[T] {
	return list[T]{Object: "list", Data: data, URL: url}
}

// table keeps objects of one kind in the order in which they were made.
type table[T any] struct {
	rows  map[string]*T
	place map[string]int // number of the row since the first ever kept
	order []string
	first int // number of order[0]
}

func (t *table[T]) add(id string, row *T) {
	if t.rows == nil {
		t.rows, t.place = map[string]*T{}, map[string]int{}
	}
	t.rows[id] = row
	t.place[id] = t.first + len(t.order)
	t.order = append(t.order, id)
}

func (t *table[T]) get(id string) (*T, bool) {
	row, ok := t.rows[id]
	return row, ok
}

func (t *table[T]) len() int { return len(t.order) }

// at returns the row at index i, the oldest being 0.
func (t *table[T]) at(i int) *T { return t.rows[t.order[i]] }

// index finds the row's index.
func (t *table[T]) index(id string) (int, bool) {
	n, ok := t.place[id]
	return n - t.first, ok
}

// dropOldest forgets the oldest row.
func (t *table[T]) dropOldest() {
	id := t.order[0]
	delete(t.rows, id)
	delete(t.place, id)
	t.order = t.order[1:]
	t.first++
}

type savedRow[T any] struct {
	ID  string `json:"id"`
	Row *T     `json:"row"`
}

// MarshalJSON writes the rows in order.
func (t *table[T]) MarshalJSON() ([]byte, error) {
	out := make([]savedRow[T], 0, len(t.order))
	for _, id := range t.order {
		out = append(out, savedRow[T]{ID: id, Row: t.rows[id]})
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (t *table[T]) UnmarshalJSON(data []byte) error {
	var in []savedRow[T]
	if err := json.Unmarshal(data, &in); err != nil {
		return fmt.Errorf("decoding a table: %w", err)
	}
	*t = table[T]{}
	for _, r := range in {
		if r.Row == nil {
			return fmt.Errorf("decoding a table: %q has no row", r.ID)
		}
		t.add(r.ID, r.Row)
	}
	return nil
}

// state is everything that the stand-in knows; it is what a snapshot holds.
type state struct {
	Version       int                  `json:"version"`
	Serial        uint64               `json:"serial"`
	Mode          Mode                 `json:"mode"`
	RefundsPend   bool                 `json:"refunds_pending"`
	Customers     table[customer]      `json:"customers"`
	Methods       table[paymentMethod] `json:"payment_methods"`
	Products      table[product]       `json:"products"`
	Prices        table[price]         `json:"prices"`
	Coupons       table[coupon]        `json:"coupons"`
	Sessions      table[session]       `json:"checkout_sessions"`
	Intents       table[intent]        `json:"payment_intents"`
	Charges       table[charge]        `json:"charges"`
	Refunds       table[refund]        `json:"refunds"`
	Disputes      table[dispute]       `json:"disputes"`
	Subscriptions table[subscription]  `json:"subscriptions"`
	Schedules     table[schedule]      `json:"subscription_schedules"`
	Invoices      table[invoice]       `json:"invoices"`
	PendingItems  map[string][]line    `json:"pending_invoice_items"` // by subscription
	Portals       table[portalSession] `json:"billing_portal_sessions"`
	Events        table[event]         `json:"events"`
	Keys          table[keptAnswer]    `json:"idempotency_keys"`
	Deliveries    []*delivery          `json:"deliveries"`
}

// objects counts what is kept without end; events and keys are pruned.
func (st *state) objects() int {
	return st.Customers.len() + st.Methods.len() + st.Products.len() + st.Prices.len() + st.Coupons.len() +
		st.Sessions.len() + st.Intents.len() + st.Charges.len() + st.Refunds.len() + st.Disputes.len() +
		st.Subscriptions.len() + st.Schedules.len() + st.Invoices.len() + st.Portals.len()
}

// idLetters is how long the random part of an id is.
const idLetters = 24

// newID makes the next id: the same seed and the same calls give the same ids.
func (s *Stand) newID(prefix string) string {
	s.st.Serial++
	return prefix + s.letters(s.st.Serial, idLetters)
}

// letters derives n letters and digits from the seed and a serial number.
func (s *Stand) letters(serial uint64, n int) string {
	var in [16]byte
	binary.BigEndian.PutUint64(in[:8], s.opts.Seed)
	binary.BigEndian.PutUint64(in[8:], serial)
	sum := sha256.Sum256(in[:])
	out := new(big.Int).SetBytes(sum[:]).Text(62)
	for len(out) < n {
		out += out
	}
	return out[:n]
}
