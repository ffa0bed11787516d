package stripestand

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"
)

const (
	// eventLife is how long Stripe lists events, and tells one of them.
	eventLife     = 30 * 24 * time.Hour
	maxEventTypes = 20
)

// event is something that happened, as Stripe's API shows it.
type event struct {
	ID              string       `json:"id"`
	Object          string       `json:"object"`
	APIVersion      string       `json:"api_version"`
	Created         int64        `json:"created"`
	Data            eventData    `json:"data"`
	Livemode        bool         `json:"livemode"`
	PendingWebhooks int          `json:"pending_webhooks"`
	Request         eventRequest `json:"request"`
	Type            string       `json:"type"`
	Hidden          eventHidden  `json:"_hidden"`
}

// eventHidden names the endpoints that have not yet answered 2xx.
type eventHidden struct {
	Missing []string `json:"missing"`
}

// reached records that an endpoint answered 2xx.
func (e *event) reached(endpoint string) {
	e.Hidden.Missing = slices.DeleteFunc(e.Hidden.Missing, func(id string) bool { return id == endpoint })
	e.PendingWebhooks = len(e.Hidden.Missing)
}

type eventData struct {
	Object             json.RawMessage `json:"object"`
	PreviousAttributes json.RawMessage `json:"previous_attributes,omitempty"`
}

type eventRequest struct {
	ID             text `json:"id"`
	IdempotencyKey text `json:"idempotency_key"`
}

var eventEndpoints = []endpointSpec{
	{"GET /v1/events", newSpec("type", "types[]", "delivery_success bool").with(pageParams, createdParams), (*op).listEvents},
	{"GET /v1/events/{id}", newSpec(), (*op).getEvent},
}

func (o *op) listEvents() (any, error) {
	types := o.p.list("types")
	if len(types) > maxEventTypes {
		return nil, invalid("", "types", "You can filter by at most %d types", maxEventTypes)
	}
	if one := o.p.str("type"); one != "" {
		if len(types) > 0 {
			return nil, invalid("", "type", "You may pass either type or types, but not both")
		}
		types = []string{one}
	}
	oldest := o.oldestEvent()
	return page(o, "/v1/events", &o.st.Events, func(e *event) bool {
		return e.Created >= oldest && o.inCreatedRange(e.Created) &&
			(len(types) == 0 || slices.Contains(types, e.Type)) &&
			(!o.p.has("delivery_success") || o.p.boolean("delivery_success") == (e.PendingWebhooks == 0))
	})
}

// oldestEvent is the moment before which events cannot be asked for any more.
func (o *op) oldestEvent() int64 { return o.now - int64(eventLife.Seconds()) }

func (o *op) getEvent() (any, error) {
	e, err := o.event(o.id, "id")
	if err == nil && e.Created < o.oldestEvent() {
		return nil, missing("event", "id", o.id)
	}
	return e, err
}

func (s *Stand) event(id, param string) (*event, error) {
	e, ok := s.st.Events.get(id)
	if !ok {
		return nil, missing("event", param, id)
	}
	return e, nil
}

// emit records an event about an object as it now is and queues its webhooks.
func (o *op) emit(kind string, object any) error {
	return o.emitChange(kind, object, nil)
}

// change emits an event about an object that was changed by f, with the
// values that the changed fields had.
func (o *op) change(kind string, object any, f func()) error {
	before, err := tree(object)
	if err != nil {
		return err
	}
	f()
	return o.emitChange(kind, object, before)
}

func (o *op) emitChange(kind string, object, before any) error {
	now, err := tree(object)
	if err != nil {
		return err
	}
	var data eventData
	if data.Object, err = json.Marshal(now); err != nil {
		return fmt.Errorf("encoding the object of %s: %w", kind, err)
	}
	if previous := differences(before, now); len(previous) > 0 {
		if data.PreviousAttributes, err = json.Marshal(previous); err != nil {
			return fmt.Errorf("encoding what %s changed: %w", kind, err)
		}
	}
	e := &event{
		ID: o.newID("evt_"), Object: "event", APIVersion: APIVersion, Created: o.now, Data: data,
		Request: eventRequest{ID: text(o.request), IdempotencyKey: text(o.key)}, Type: kind,
	}
	o.st.Events.add(e.ID, e)
	o.pruneEvents()
	o.queue(e)
	return nil
}

// differences returns the old values of the top-level fields that differ.
func differences(before, now any) map[string]any {
	old, okOld := before.(map[string]any)
	current, okNow := now.(map[string]any)
	if !okOld || !okNow {
		return nil
	}
	out := map[string]any{}
	for name, value := range old {
		if !reflect.DeepEqual(value, current[name]) {
			out[name] = value
		}
	}
	return out
}

func (o *op) pruneEvents() {
	oldest := o.now - int64(eventLife.Seconds())
	for o.st.Events.len() > o.opts.MaxEvents || o.st.Events.at(0).Created < oldest {
		o.st.Events.dropOldest()
	}
}
