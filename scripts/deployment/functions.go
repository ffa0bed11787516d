package main

import (
	"errors"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/fluxori/ai-credits/shared/events"
)

// row is what a function is given in the cloud, beside its bounds.
type row struct {
	// Invokers are who may call it beside Pub/Sub and Cloud Scheduler: everyone, the AI services, or nobody.
	Invokers    string            `json:"invokers"`
	Publishes   []string          `json:"publishes"`
	Environment []string          `json:"environment"`
	Secrets     map[string]string `json:"secrets"`
	Reason      string            `json:"reason"`
}

// public are the functions that anybody may reach; each proves its callers itself.
var public = []string{"account", "purchasewebhook"}

// secretPattern names settings that nobody may read.
var secretPattern = regexp.MustCompile(`(_KEYS?|_SECRETS?|_PASSWORD|_TOKEN)$`)

// checkFunctions holds each function's row to its folder, its bounds and its configuration.
func (p *project) checkFunctions() error {
	for _, name := range slices.Sorted(maps.Keys(p.rows)) {
		p.must(slices.Contains(p.folders, name), "terraform/functions.json has a row for %s, which is no function", name)
	}
	for _, f := range p.limits.Functions {
		p.must(slices.Contains(p.folders, f.Name), "limits.json has a row for %s, which is no function", f.Name)
	}
	for _, name := range p.folders {
		bounds := p.limits.Function(name)
		p.must(bounds.Concurrency > 0, "limits.json has no row for %s: it would not be deployed", name)
		r, ok := p.rows[name]
		if !ok {
			p.must(false, "terraform/functions.json has no row for %s: it says who may call it and what it is given", name)
			continue
		}
		p.checkRow(name, r, bounds.Bounds != nil)
		wanted, err := settings(p.root, name)
		if err != nil {
			return err
		}
		p.checkSettings(name, r, wanted)
	}
	return nil
}

func (p *project) checkRow(name string, r row, ledger bool) {
	p.must(r.Reason != "", "%s: its row does not say why", name)
	p.must(slices.Contains([]string{"everyone", "services", "triggers"}, r.Invokers), "%s: invokers are %q, not everyone, services or triggers", name, r.Invokers)
	p.must((r.Invokers == "everyone") == slices.Contains(public, name), "%s: only %s are called by everyone, and they are", name, strings.Join(public, " and "))
	for _, topic := range r.Publishes {
		p.must(p.topic(topic), "%s: publishes to %q, which wiring.json does not list", name, topic)
	}
	p.must(!ledger || slices.Contains(r.Publishes, events.CreditEvents) && slices.Contains(r.Publishes, events.CreditAlerts),
		"%s: it has a ledger, and so publishes %s and %s", name, events.CreditEvents, events.CreditAlerts)
	p.must(slices.IsSorted(r.Environment) && slices.IsSorted(r.Publishes), "%s: its lists are not sorted", name)
	pushed, fired := false, false
	for _, s := range p.wiring.Subscriptions {
		pushed = pushed || s.Function == name
	}
	for _, j := range p.wiring.Jobs {
		fired = fired || j.Function == name
	}
	p.must(slices.Contains(r.Environment, "PUSH_ACCOUNT") == pushed, "%s: PUSH_ACCOUNT is for functions that are pushed to, and this one is: %t", name, pushed)
	p.must(slices.Contains(r.Environment, "SCHEDULER_ACCOUNT") == fired, "%s: SCHEDULER_ACCOUNT is for functions that jobs fire, and this one is: %t", name, fired)
	p.must(r.Invokers != "triggers" || pushed || fired, "%s: nothing calls it", name)
}

// checkSettings holds what a function is given to what its configuration wants.
func (p *project) checkSettings(name string, r row, wanted map[string]bool) {
	given := map[string]bool{}
	for _, key := range r.Environment {
		p.must(!secretPattern.MatchString(key), "%s: %s stands open in its environment", name, key)
		given[key] = true
	}
	for key := range r.Secrets {
		p.must(!given[key], "%s: %s is given twice", name, key)
		given[key] = true
	}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		_, known := wanted[key]
		p.must(known, "%s: is given %s, which its configuration does not know", name, key)
	}
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		p.must(!wanted[key] || given[key], "%s: is not given %s, without which it does not start", name, key)
	}
}

func (p *project) topic(name string) bool {
	for _, t := range p.wiring.Topics {
		if t.Name == name {
			return true
		}
	}
	return false
}

// topicPattern finds the topics that package events names, in its source: those that messages are published to.
var topicPattern = regexp.MustCompile(`(?s)// The topics of the system\.\nconst \((.*?)\n\)`)

var textPattern = regexp.MustCompile(`= "([^"]+)"`)

// checkTopics holds the topics of the code to those that exist.
func (p *project) checkTopics() error {
	source, err := os.ReadFile(p.path("shared", "events", "message.go"))
	if err != nil {
		return err
	}
	block := topicPattern.FindSubmatch(source)
	if block == nil {
		return errors.New("shared/events/message.go does not name the topics of the system")
	}
	for _, m := range textPattern.FindAllSubmatch(block[1], -1) {
		p.must(p.topic(string(m[1])), "messages are published to %q, which wiring.json does not list", m[1])
	}
	return nil
}
