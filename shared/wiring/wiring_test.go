package wiring_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/wiring"
)

func load(t *testing.T) *wiring.List {
	t.Helper()
	l, err := wiring.Load()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestEachTargetIsInItsFunctionsContract holds the list to what the functions say of themselves in their package comments.
func TestEachTargetIsInItsFunctionsContract(t *testing.T) {
	t.Parallel()
	l := load(t)
	check := func(name, function, path string) {
		source, err := os.ReadFile(filepath.Join("..", "..", "functions", function, "function.go"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		contract, _, _ := strings.Cut(string(source), "\npackage ")
		if route := "POST /" + function + path + " "; !strings.Contains(contract, route) {
			t.Errorf("%s: %s does not state %q", name, function, route)
		}
	}
	for _, s := range l.Subscriptions {
		check(s.Name, s.Function, s.Path)
	}
	for _, j := range l.Jobs {
		check(j.Name, j.Function, j.Path)
	}
}

// TestNoTopicLosesWhatIsPublished: a topic without a subscription keeps nothing. credit-events is for subscribers outside the system, and a
// dead-letter topic that is pushed to no function is read by people: Terraform gives it a subscription to pull.
func TestNoTopicLosesWhatIsPublished(t *testing.T) {
	t.Parallel()
	l := load(t)
	pulled := map[string]bool{events.CreditEvents: true}
	for _, s := range l.Subscriptions {
		if s.DeadLetter == nil {
			t.Errorf("%s has no dead letters: what it cannot deliver is lost", s.Name)
			continue
		}
		pulled[s.DeadLetter.Topic] = true
	}
	for _, topic := range l.Topics {
		if !l.Subscribed(topic.Name) && !pulled[topic.Name] {
			t.Errorf("nothing is subscribed to %s", topic.Name)
		}
	}
	for _, name := range []string{events.Usage, events.UsageDead, events.CreditAlerts, events.CreditExpiry, events.BillingCycles} {
		if !l.Subscribed(name) {
			t.Errorf("%s is not wired", name)
		}
	}
}

func TestParseRefusesWhatGoogleWould(t *testing.T) {
	t.Parallel()
	const topic = `"topics":[{"name":"one-topic","reason":"r"},{"name":"dead-topic","reason":"r"}]`
	subscription := func(change string) string {
		s := `"name":"sub","topic":"one-topic","function":"usage","path":"","ack_deadline_seconds":30,"min_backoff_seconds":1,"max_backoff_seconds":10,"retention_seconds":600,"reason":"r"`
		if change != "" {
			name, _, _ := strings.Cut(change, ":")
			var kept []string
			for _, member := range strings.Split(s, ",") {
				if !strings.HasPrefix(member, name+":") {
					kept = append(kept, member)
				}
			}
			s = strings.Join(append(kept, change), ",")
		}
		return fmt.Sprintf(`{%s,"subscriptions":[{%s}],"jobs":[]}`, topic, s)
	}
	job := func(cron, zone string) string {
		return fmt.Sprintf(`{%s,"subscriptions":[],"jobs":[{"name":"job","function":"expiry","path":"","cron":%q,"zone":%q,"attempt_deadline_seconds":60,"retries":0,"reason":"r"}]}`, topic, cron, zone)
	}
	tests := []struct{ name, list, want string }{
		{"a good subscription", subscription(""), ""},
		{"a good dead-letter policy", subscription(`"dead_letter":{"topic":"dead-topic","max_delivery_attempts":5}`), ""},
		{"a good job", job("*/5 8-18/2 1,15 * 1-5", "Africa/Johannesburg"), ""},
		{"an unknown member", subscription(`"color":"red"`), "unknown field"},
		{"something after it", subscription("") + "{}", "follows"},
		{"a topic that is not listed", subscription(`"topic":"other"`), "not listed"},
		{"a function's name", subscription(`"function":"Usage"`), "no function's name"},
		{"a path", subscription(`"path":"settle"`), "no path"},
		{"no reason", subscription(`"reason":""`), "why"},
		{"a short ack deadline", subscription(`"ack_deadline_seconds":9`), "ack_deadline_seconds"},
		{"a long back-off", subscription(`"max_backoff_seconds":601`), "max_backoff_seconds"},
		{"a back-off that begins above its end", subscription(`"min_backoff_seconds":11`), "min_backoff_seconds"},
		{"a short retention", subscription(`"retention_seconds":599`), "retention_seconds"},
		{"few attempts", subscription(`"dead_letter":{"topic":"dead-topic","max_delivery_attempts":4}`), "max_delivery_attempts"},
		{"dead letters that come back", subscription(`"dead_letter":{"topic":"one-topic","max_delivery_attempts":5}`), "come back"},
		{"a topic twice", `{"topics":[{"name":"one-topic","reason":"r"},{"name":"one-topic","reason":"r"}]}`, "twice"},
		{"four fields", job("* * * *", "Etc/UTC"), "4 fields"},
		{"a minute", job("60 * * * *", "Etc/UTC"), "not within"},
		{"a range turned round", job("5-1 * * * *", "Etc/UTC"), "not within"},
		{"a step of nothing", job("*/0 * * * *", "Etc/UTC"), "no step"},
		{"a word", job("* * * jan *", "Etc/UTC"), "no number"},
		{"a zone", job("* * * * *", "Mars/Olympus"), "not known"},
		{"no zone", job("* * * * *", ""), "not known"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := wiring.Parse([]byte(tt.list))
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

func TestNextIsTheFirstMatchAfterwards(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, cron, zone, after, want string }{
		{"each minute", "* * * * *", "Etc/UTC", "2026-03-01T08:00:00Z", "2026-03-01T08:01:00Z"},
		{"a moment within the minute", "* * * * *", "Etc/UTC", "2026-03-01T08:00:59.999Z", "2026-03-01T08:01:00Z"},
		{"each five", "*/5 * * * *", "Etc/UTC", "2026-03-01T23:57:00Z", "2026-03-02T00:00:00Z"},
		{"a morning in another zone", "0 8 * * *", "Africa/Johannesburg", "2026-03-01T06:00:00Z", "2026-03-02T06:00:00Z"},
		{"not reached yet there", "0 8 * * *", "Africa/Johannesburg", "2026-03-01T05:59:00Z", "2026-03-01T06:00:00Z"},
		{"a day of the week", "30 9 * * 1", "Etc/UTC", "2026-03-01T00:00:00Z", "2026-03-02T09:30:00Z"},
		{"a day of the month or of the week", "0 0 15 * 1", "Etc/UTC", "2026-03-10T00:00:00Z", "2026-03-15T00:00:00Z"},
		{"the end of a year", "0 0 1 1 *", "Etc/UTC", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		{"a leap day", "0 0 29 2 *", "Etc/UTC", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"},
		{"an hour that summer time skips", "30 2 * * *", "Europe/Amsterdam", "2026-03-29T00:00:00Z", "2026-03-30T00:30:00Z"},
		{"an hour that it repeats", "30 2 * * *", "Europe/Amsterdam", "2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l, err := wiring.Parse(fmt.Appendf(nil, `{"jobs":[{"name":"job","function":"f","path":"","cron":%q,"zone":%q,"attempt_deadline_seconds":60,"retries":0,"reason":"r"}]}`, tt.cron, tt.zone))
			if err != nil {
				t.Fatal(err)
			}
			after, err := time.Parse(time.RFC3339Nano, tt.after)
			if err != nil {
				t.Fatal(err)
			}
			if got := l.Jobs[0].Next(after).Format(time.RFC3339Nano); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

func TestADateThatDoesNotExistNeverComes(t *testing.T) {
	t.Parallel()
	l, err := wiring.Parse([]byte(`{"jobs":[{"name":"job","function":"f","path":"","cron":"0 0 30 2 *","zone":"Etc/UTC","attempt_deadline_seconds":60,"retries":0,"reason":"r"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if next := l.Jobs[0].Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)); !next.IsZero() {
		t.Errorf("30 February comes on %v", next)
	}
}
