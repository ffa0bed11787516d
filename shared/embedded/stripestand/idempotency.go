package stripestand

import (
	"encoding/json"
	"errors"
	"time"
)

// keyLife is how long an idempotency key is remembered: Stripe prunes keys
// once they are at least 24 hours old.
const keyLife = 24 * time.Hour

const maxKeyLen = 255

// keptAnswer is what a request was answered with, kept under its idempotency
// key.
type keptAnswer struct {
	At      int64           `json:"at"`
	Route   string          `json:"route"`
	Params  string          `json:"params"`
	Status  int             `json:"status"`
	Body    json.RawMessage `json:"body"`
	Request string          `json:"request"`

	replayed bool
}

// once runs work unless the idempotency key is known: then the first answer is
// given again, or an error if the request differs from the first.
func (o *op) once(route, encoded string, work func() (keptAnswer, error)) (keptAnswer, error) {
	o.pruneKeys()
	if o.key == "" {
		return work()
	}
	if len(o.key) > maxKeyLen {
		return keptAnswer{}, invalid("", "", "Idempotency keys can have up to %d characters", maxKeyLen)
	}
	if kept, ok := o.st.Keys.get(o.key); ok {
		if kept.Route != route || !sameForm(kept.Params, encoded) {
			e := invalid("idempotency_key_in_use", "", "Keys for idempotent requests can only be used with the same "+
				"parameters they were first used with. Try using a key other than '%s' if you meant to execute a different request.", o.key)
			e.Type, e.Code = typeIdempotency, ""
			return keptAnswer{}, e
		}
		again := *kept
		again.replayed = true
		return again, nil
	}
	a, err := work()
	var e *apiError
	if errors.As(err, &e) && e.kept() {
		a, err = keptAnswer{Status: e.Status, Body: e.body(), Request: o.request}, nil
	}
	if err != nil {
		return keptAnswer{}, err
	}
	a.At, a.Route, a.Params = o.now, route, encoded
	o.st.Keys.add(o.key, &a)
	return a, nil
}

func (o *op) pruneKeys() {
	oldest := o.now - int64(keyLife.Seconds())
	for o.st.Keys.len() > 0 && (o.st.Keys.len() >= maxKeys || o.st.Keys.at(0).At < oldest) {
		o.st.Keys.dropOldest()
	}
}
