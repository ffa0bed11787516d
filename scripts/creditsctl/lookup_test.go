package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestWhatACustomerSaysItIsIsFound(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	reference := o.buy("karoo-wool", o.open("karoo-wool", "Karoo Wool"), "credits-100", true)
	o.open("karoo-beads", "Karoo Beads")
	golden(t, "find-name", o.must("find", "karoo "))
	golden(t, "find-email", o.must("find", "OWNER-of-karoo-wool@people.example"))
	if got := o.must("find", "karoo-wool"); !strings.HasPrefix(got, "organisation  karoo-wool\n") {
		t.Errorf("by id: %s", got)
	}
	if got := o.must("find", strings.ReplaceAll(reference, "-", " ")); !strings.Contains(got, "reference") || !strings.Contains(got, reference) {
		t.Errorf("by reference: %s", got)
	}
	var ids []string
	for _, org := range o.lines("find", "KAROO", "-json", "-limit", "1") {
		ids = append(ids, org["org_id"].(string))
	}
	if !slices.Equal(ids, []string{"karoo-beads"}) || !strings.Contains(o.err.String(), "There are more") {
		t.Errorf("%q %s", ids, &o.err)
	}
	if got := o.lines("find", "nobody@people.example", "-json"); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func TestAMemberIsErased(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	o.open("erasers", "Erasers")
	o.tokenOf(`{"role":"member","org_id":"erasers","user_id":"pieter-who-goes"}`)
	golden(t, "members", o.must("members", "erasers"))
	// Work whose metadata names the person.
	o.run("erasers", "adjust", "erasers", "-add", "100", "-reason", "Start")
	o.api(http.MethodPost, "/debit", o.tokenOf(`{"role":"service"}`),
		`{"event_id":"e","org_id":"erasers","feature":"market-trend-report","user_id":"pieter-who-goes","metadata":{"for":"pieter-who-goes@people.example"}}`)
	if code := o.run("erasers", "erase", "erasers", "pieter-who-goes"); code != exitDone {
		t.Fatalf("%d %s", code, &o.err)
	}
	golden(t, "erase", o.err.String()+"---\n"+o.out.String())
	if got := o.must("members", "erasers", "-json") + o.must("entries", "erasers", "-json"); strings.Contains(got, "@people.example") && strings.Contains(got, "pieter-who-goes@") {
		t.Errorf("the address stands in %s", got)
	}
	if code := o.run("", "erase", "erasers", "pieter-who-goes", "-yes", "-json"); code != exitDone || !strings.Contains(o.out.String(), `"removed":false`) {
		t.Errorf("again: %d %s%s", code, &o.out, &o.err)
	}
	if code := o.run("erasers", "erase", "erasers", "owner-of-erasers"); code != exitFailed || !strings.Contains(o.err.String(), "invalid_request (400)") {
		t.Errorf("the last administrator: %d %s", code, &o.err)
	}
}
