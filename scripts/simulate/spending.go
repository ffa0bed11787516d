package main

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"time"

	"cloud.google.com/go/pubsub/v2"
)

// work is what a service does for somebody: a feature, and its credits where the feature leaves a choice.
type work struct {
	feature string
	credits int64
	chosen  bool // the service states the credits
}

// prices are what the catalogue's features cost, written down a second time.
var prices = []work{
	{"market-trend-report", 50, false}, {"pricing-recommendation", 15, false}, {"restock-prediction", 25, false}, {"bulk-pricing", 100, false},
	{"competitor-analysis", 75, false}, {"custom-query", 0, true},
}

// some draws what is done, for whom.
func (c *caller) some() (w work, body map[string]any) {
	w = prices[c.rand.IntN(len(prices))]
	body = map[string]any{"org_id": c.org, "feature": w.feature}
	if w.chosen {
		w.credits = 10 + c.rand.Int64N(41)
		body["credits"] = w.credits
	}
	return w, body
}

// user draws a user of the organisation, or nobody.
func (c *caller) user() string {
	return []string{"", "ann", "ben", "cara", "admin-" + c.org}[c.rand.IntN(5)]
}

// debit spends credits. Once in a while the same is asked again later, or something else under the same id.
func (c *caller) debit() {
	w, body := c.some()
	o := c.begin(operation{Kind: "debit", ID: c.id("e"), Feature: w.feature, Credits: w.credits, User: c.user()})
	body["event_id"] = o.ID
	if o.User != "" {
		body["user_id"] = o.User
	}
	if !c.end(o, c.call(o, http.MethodPost, "/debit", c.asService(), body)) {
		return
	}
	c.debits = append(c.debits, o)
	if c.chance(6) {
		c.repeat(o, "/debit", body)
	}
}

// repeat asks for what was done once more: it must be told the same. With other content it must be told so.
func (c *caller) repeat(o *operation, path string, body map[string]any) {
	again := c.begin(operation{Kind: "repeat", ID: o.ID, Subject: o.Kind})
	a := c.call(again, http.MethodPost, path, c.asService(), body)
	if c.end(again, a) && (a.body["replayed"] != true || a.number("credits") != o.Credits) {
		again.Detail = "a repetition was answered as something new"
		again.Code = wrong
	}
	if !c.chance(3) {
		return
	}
	other := maps.Clone(body)
	other["user_id"] = "somebody-else"
	conflict := c.begin(operation{Kind: "repeat", ID: o.ID, Subject: o.Kind, Detail: "with other content"})
	if a := c.call(conflict, http.MethodPost, path, c.asService(), other); !c.end(conflict, a) && conflict.Outcome == refused && conflict.Code != "idempotency_conflict" {
		conflict.Code, conflict.Detail = wrong, "other content under an id that is taken: "+conflict.Code
	} else if conflict.Outcome == done {
		conflict.Code, conflict.Detail = wrong, "other content under an id that is taken was accepted"
	}
}

// wrong marks an operation whose answer cannot be right.
const wrong = "wrong"

// usage reports work already done over Pub/Sub, at times more than once.
func (c *caller) usage() {
	w, body := c.some()
	o := c.begin(operation{Kind: "usage", ID: c.id("u"), Feature: w.feature, Credits: w.credits, User: c.user(), Outcome: unknown})
	body["event_id"] = o.ID
	if o.User != "" {
		body["user_id"] = o.User
	}
	if c.publish(o, body) {
		c.debits = append(c.debits, o)
	}
}

// publish publishes until Pub/Sub has taken it, or the caller gives up.
func (c *caller) publish(o *operation, body any) bool {
	data, err := json.Marshal(body)
	must(err)
	p := c.w.topics.Publisher("ai-usage")
	defer p.Stop()
	times := 1
	if c.chance(8) {
		times = 2
	}
	for range times {
		ctx, cancel := context.WithTimeout(c.ctx, patience)
		o.Attempts++
		if _, err := p.Publish(ctx, &pubsub.Message{Data: data}).Get(ctx); err == nil {
			o.Outcome = done
		}
		cancel()
	}
	o.Ended = c.w.now()
	return o.Outcome == done
}

// hold sets credits aside, works, and captures or releases, or forgets.
func (c *caller) hold() {
	w, body := c.some()
	o := c.begin(operation{Kind: "hold", ID: c.id("h"), Feature: w.feature, Credits: w.credits, User: c.user()})
	body["event_id"] = o.ID
	if o.User != "" {
		body["user_id"] = o.User
	}
	ttl := 60 + c.rand.IntN(600)
	body["ttl_seconds"] = ttl
	a := c.call(o, http.MethodPost, "/debit/holds", c.asService(), body)
	if !c.end(o, a) {
		return
	}
	o.Subject = a.text("hold_id")
	time.Sleep(time.Duration(c.rand.IntN(2*ttl)) * time.Second / 2)
	if c.chance(4) {
		extend := c.begin(operation{Kind: "extend", ID: o.ID, Subject: o.Subject})
		c.end(extend, c.call(extend, http.MethodPost, "/debit/holds/"+url.PathEscape(o.Subject)+"/extend", c.asService(), map[string]any{"ttl_seconds": ttl}))
	}
	switch c.rand.IntN(6) {
	case 0: // forgotten: it times out
	case 1:
		r := c.begin(operation{Kind: "release", ID: o.ID, Subject: o.Subject})
		c.end(r, c.call(r, http.MethodPost, "/debit/holds/"+url.PathEscape(o.Subject)+"/release", c.asService(), map[string]any{}))
	case 2: // reported over Pub/Sub
		used := 1 + c.rand.Int64N(o.Credits)
		r := c.begin(operation{Kind: "capture", ID: o.ID, Subject: o.Subject, Credits: used, Outcome: unknown, Detail: "over Pub/Sub"})
		c.publish(r, map[string]any{"hold_id": o.Subject, "credits": used})
	default:
		used := 1 + c.rand.Int64N(o.Credits*5/4)
		r := c.begin(operation{Kind: "capture", ID: o.ID, Subject: o.Subject, Credits: used})
		if c.end(r, c.call(r, http.MethodPost, "/debit/holds/"+url.PathEscape(o.Subject)+"/capture", c.asService(), map[string]any{"credits": used})) {
			c.holds = append(c.holds, r)
		}
	}
}

// reverse gives back a debit or a capture, all of it or a part.
func (c *caller) reverse() {
	of, ok := pick(c, append(c.debits[:len(c.debits):len(c.debits)], c.holds...))
	if !ok {
		return
	}
	o := c.begin(operation{Kind: "reverse", ID: c.id("r"), Subject: of.ID})
	body := map[string]any{"event_id": o.ID, "org_id": c.org, "debit_event_id": of.ID, "reason": "the work failed"}
	if of.Credits > 1 && c.chance(2) {
		o.Credits = 1 + c.rand.Int64N(of.Credits)
		body["credits"] = o.Credits
	}
	c.end(o, c.call(o, http.MethodPost, "/debit/reverse", c.asService(), body))
}

// check asks before work begins.
func (c *caller) check() {
	_, body := c.some()
	o := c.begin(operation{Kind: "check"})
	c.end(o, c.call(o, http.MethodPost, "/debit/check", c.asService(), body))
}
