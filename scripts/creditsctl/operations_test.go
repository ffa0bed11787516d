package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/webhook"
)

func TestDeadLettersAreListedAndReplayed(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	for _, event := range []string{"one", "two"} {
		o.api(http.MethodPost, "/_local/publish/ai-usage", "", fmt.Sprintf(`{"event_id":%q,"org_id":"late-org","feature":"market-trend-report"}`, event))
	}
	mine := func(state string) (out []map[string]any) {
		o.eventually("the letters", func() bool {
			out = nil
			for _, l := range o.lines("dead-letters", "list", "-json", "-state", state, "-code", "unknown_org") {
				if strings.Contains(l["data"].(string), "late-org") {
					out = append(out, l)
				}
			}
			return len(out) > 0
		})
		return out
	}
	o.eventually("two letters", func() bool { return len(mine("waiting")) == 2 })
	id := mine("waiting")[0]["id"].(string)
	table := o.must("dead-letters", "list", "-code", "unknown_org")
	golden(t, "dead-letters", table)
	shown := o.must("dead-letters", "show", id)
	if !strings.Contains(shown, "late-org") || !strings.Contains(shown, "unknown_org") {
		t.Errorf("%s", shown)
	}
	o.open("late-org", "Late")
	for _, answer := range []string{"no", "late-org", "y"} {
		if code := o.run(answer, "dead-letters", "replay", id); code != exitFailed || !strings.Contains(o.err.String(), "not confirmed") {
			t.Errorf("%q: %d %s", answer, code, &o.err)
		}
	}
	if code := o.run("yes", "dead-letters", "replay", id); code != exitDone || o.out.String() != "1 of 1 were published again\n" {
		t.Fatalf("%d %s%s", code, &o.out, &o.err)
	}
	if code := o.run("yes", "dead-letters", "replay", "all", "-code", "unknown_org"); code != exitDone || o.out.String() != "1 of 1 were published again\n" {
		t.Fatalf("%d %s%s", code, &o.out, &o.err)
	}
	// Usage is charged though nothing is there: as debt.
	o.eventually("the debt", func() bool { return o.object("balance", "late-org")["debt"] == 100.0 })
	if got := mine("replayed"); len(got) != 2 {
		t.Errorf("%v", got)
	}
	if code := o.run("yes", "dead-letters", "replay", "all", "-code", "unknown_org"); code != exitDone || !strings.Contains(o.err.String(), "None wait.") {
		t.Errorf("%d %s", code, &o.err)
	}
	if code := o.run("", "dead-letters", "show", "none"); code != exitFailed {
		t.Errorf("%d", code)
	}
	// What pays a debt back is told before it is done.
	if code := o.run("no", "adjust", "late-org", "-add", "130", "-reason", "r"); code != exitFailed || !strings.Contains(o.err.String(), "available 0 → 30, debt 100 → 0") {
		t.Errorf("%d %s", code, &o.err)
	}
}

// tellWrongly has Stripe tell that a purchase was paid with one cent, and returns the event's id.
func (o *operator) tellWrongly(reference string) string {
	o.t.Helper()
	checkout := path.Base(o.object("purchase", reference)["checkout_url"].(string))
	session := o.api(http.MethodGet, "/_local/stripe-api/v1/checkout/sessions/"+checkout, "sk_test_local", "")
	session["status"], session["payment_status"], session["amount_total"], session["amount_subtotal"] = "complete", "paid", 1, 1
	session["payment_intent"] = "pi_of_" + checkout
	id := "evt_" + strings.ReplaceAll(reference, "-", "")
	payload, err := json.Marshal(map[string]any{
		"id": id, "object": "event", "api_version": stripe.APIVersion, "type": "checkout.session.completed", "created": time.Now().Unix(), "livemode": false,
		"data": map[string]any{"object": session},
	})
	if err != nil {
		o.t.Fatal(err)
	}
	signed := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: payload, Secret: "whsec_local", Timestamp: time.Now()})
	o.api(http.MethodPost, "/purchasewebhook", "", string(signed.Payload), "Stripe-Signature", signed.Header)
	return id
}

func TestQuarantineIsListedReplayedAndResolved(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	reference := o.buy("aside", o.open("aside", "Aside"), "credits-100", false)
	event := o.tellWrongly(reference)
	golden(t, "quarantine", o.must("quarantine", "list"))
	if code := o.run("no", "quarantine", "replay", event); code != exitFailed || !strings.Contains(o.err.String(), "not confirmed") {
		t.Errorf("%d %s", code, &o.err)
	}
	// The stand-in for Stripe never had that event, so it is asked in vain.
	if code := o.run("yes", "quarantine", "replay", event); code == exitUsage || strings.Contains(o.err.String(), "not confirmed") {
		t.Errorf("%d %s%s", code, &o.out, &o.err)
	}
	if code := o.run("", "quarantine", "resolve", event); code != exitUsage {
		t.Errorf("without a note: %d", code)
	}
	if got := o.object("quarantine", "resolve", event, "-note", "A cent too little; finance knows"); got["state"] != "resolved" || got["resolved_by"] != "creditsctl" {
		t.Errorf("%v", got)
	}
	if got := o.lines("quarantine", "list", "-state", "resolved", "-json"); len(got) != 1 || got[0]["event_id"] != event {
		t.Errorf("%v", got)
	}
	if code := o.run("", "quarantine", "resolve", "evt_none", "-note", "n"); code != exitFailed || !strings.Contains(o.err.String(), "not_found (404)") {
		t.Errorf("%d %s", code, &o.err)
	}
	if got := o.available("aside"); got != 0 {
		t.Errorf("%v credits for a cent", got)
	}
}

// TestJSONIsTheAPIsOwn compares what -json prints with what the API answers.
func TestJSONIsTheAPIsOwn(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	o.open("raw", "Raw")
	var line bytes.Buffer
	data, err := json.Marshal(o.api(http.MethodGet, "/account/orgs/raw/members", o.tokenOf(`{"role":"support"}`), "")["items"].([]any)[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Compact(&line, data); err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(o.object("members", "raw"))
	if err != nil || string(got) != line.String() {
		t.Errorf("%s, want %s", got, &line)
	}
}
