package stripestand

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
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

// head is what the stand-in knows beside its objects.
type head struct {
	Version      int               `json:"version"`
	Serial       uint64            `json:"serial"`
	Mode         Mode              `json:"mode"`
	RefundsPend  bool              `json:"refunds_pending"`
	PendingItems map[string][]line `json:"pending_invoice_items"` // by subscription
}

// state is everything that the stand-in knows.
type state struct {
	head
	Customers     table[customer]
	Methods       table[paymentMethod]
	Products      table[product]
	Prices        table[price]
	Coupons       table[coupon]
	Sessions      table[session]
	Intents       table[intent]
	Charges       table[charge]
	Refunds       table[refund]
	Disputes      table[dispute]
	Subscriptions table[subscription]
	Schedules     table[schedule]
	Invoices      table[invoice]
	Portals       table[portalSession]
	Events        table[event]
	Keys          table[keptAnswer]
	Deliveries    backlog
}

// tables are the state's, by the names under which they are kept. The names
// never change.
func (st *state) tables() map[string]rows {
	return map[string]rows{
		"customers": &st.Customers, "payment_methods": &st.Methods, "products": &st.Products, "prices": &st.Prices,
		"coupons": &st.Coupons, "checkout_sessions": &st.Sessions, "payment_intents": &st.Intents, "charges": &st.Charges,
		"refunds": &st.Refunds, "disputes": &st.Disputes, "subscriptions": &st.Subscriptions,
		"subscription_schedules": &st.Schedules, "invoices": &st.Invoices, "billing_portal_sessions": &st.Portals,
		"events": &st.Events, "idempotency_keys": &st.Keys, "deliveries": &st.Deliveries,
	}
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
