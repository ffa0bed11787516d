package main

import (
	"path"
	"strings"
	"testing"
)

func TestAPurchaseIsFoundRefundedInPartsAndOnce(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	reference := o.buy("buyers", o.open("buyers", "Buyers"), "credits-500", true)
	golden(t, "purchases", o.must("purchases", "buyers"))
	golden(t, "purchase", timeless(t, o.must("find", reference)))
	if p := o.object("purchase", reference); p["org_id"] != "buyers" || p["amount"] != 44900.0 {
		t.Errorf("%v", p)
	}

	if code := o.run("buyers", "refund", reference, "-amount", "89,80", "-reason", "Bought too many", "-key", "part"); code != exitDone {
		t.Fatalf("%d %s", code, &o.err)
	}
	golden(t, "refund-part", o.err.String()+"---\n"+o.out.String())
	if code := o.run("buyers", "refund", reference); code != exitDone {
		t.Fatalf("%d %s", code, &o.err)
	}
	golden(t, "refund-rest", o.err.String()+"---\n"+o.out.String())
	if got := o.available("buyers"); got != 0 {
		t.Errorf("%v are left after all is refunded", got)
	}
	// The same again under its key is the same, though nothing is left; under another it is refused.
	if code := o.run("", "refund", reference, "-amount", "89,80", "-reason", "Bought too many", "-key", "part", "-yes", "-json"); code != exitDone || !strings.Contains(o.out.String(), `"replayed":true`) {
		t.Errorf("%d %s%s", code, &o.out, &o.err)
	}
	if code := o.run("buyers", "refund", reference); code != exitFailed || !strings.Contains(o.err.String(), "not_refundable (422)") {
		t.Errorf("%d %s", code, &o.err)
	}
	for _, amount := range []string{"1,299.00", "-5", "five", "0"} {
		if code := o.run("buyers", "refund", reference, "-amount", amount); code != exitUsage {
			t.Errorf("the amount %q ended with %d: %s", amount, code, &o.err)
		}
	}
}

// timeless leaves a purchase's timeline out, since what happens within a second may stand in any order; it must have an order's steps.
func timeless(t *testing.T, told string) string {
	t.Helper()
	var out strings.Builder
	steps := 0
	for line := range strings.Lines(told) {
		if strings.HasPrefix(line, "20") {
			steps++
			continue
		}
		out.WriteString(line)
	}
	if steps != 3 {
		t.Errorf("%d steps, want that it was created, offered and found to be paid: %s", steps, told)
	}
	return out.String()
}

func TestAPurchaseWhoseWebhookNeverCameIsRecovered(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	admin := o.open("waiters", "Waiters")
	o.api("POST", "/_local/stripe/webhooks", "", `{"mode":"drop"}`)
	reference := o.buy("waiters", admin, "credits-100", false)
	if code := o.run("waiters", "recover", reference); code != exitDone || !strings.Contains(o.out.String(), "created") {
		t.Fatalf("%d %s%s", code, &o.out, &o.err)
	}
	started := o.object("purchase", reference)
	o.api("POST", "/_local/stripe/checkouts/"+path.Base(started["checkout_url"].(string))+"/pay", "", "{}")
	if code := o.run("waiters", "recover", reference); code != exitDone {
		t.Fatalf("%d %s", code, &o.err)
	}
	golden(t, "recover", o.err.String()+"---\n"+timeless(t, o.out.String()))
	if got := o.available("waiters"); got != 100 {
		t.Errorf("%v are available, want 100", got)
	}
	if got := o.must("reconciliation"); !strings.Contains(got, "paid and not credited") {
		t.Errorf("%s", got)
	}
	if got := o.object("reconciliation"); got["uncredited"] == nil {
		t.Errorf("%v", got)
	}
}
