package notify_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/orgs"
)

// chooser is an office with settings of its own.
type chooser struct {
	*desk
	alerts orgs.Alerts
}

// Get implements notify.Organisations.
func (c *chooser) Get(context.Context, string) (orgs.Org, error) {
	p := orgs.Profile{Name: "Acme", Zone: "Africa/Johannesburg", BillingContact: "billing@acme.test"}
	return orgs.Org{ID: "acme", Profile: p, Alerts: c.alerts}, nil
}

// whole is an alert with everything that words of its type may be about.
func whole(e credit.EventKind) events.Credit {
	day := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	out := events.Credit{Version: 1, ID: string(e) + ":acme:1", Type: e, OrgID: "acme", At: day, Credits: 90, ExpiresAt: &day}
	switch e {
	case credit.EventLimit, credit.EventLimitFull:
		out.Limit = &events.Limit{Scope: "team", Subject: "design", Percent: 90}
	case events.CycleClosed, events.RenewalMissing:
		out.Cycle = &events.Cycle{Plan: "Starter", Start: day, End: day}
	case events.LimitRequested, events.LimitRequestGranted, events.LimitRequestDeclined:
		out.LimitRequest = &events.LimitRequest{RequestID: "1", UserID: "m", Scope: "user", SubjectID: "m"}
	default:
	}
	return out
}

// TestEachKindGoesWhereItIsChosenToGo tries every alert of every kind with every choice of channels, and with and without the billing contact.
func TestEachKindGoesWhereItIsChosenToGo(t *testing.T) {
	t.Parallel()
	administrators := []string{"a@acme.test", "b@acme.test", "c@acme.test"}
	for _, row := range orgs.Kinds() {
		t.Run(string(row.Kind), func(t *testing.T) {
			t.Parallel()
			for i, channels := range [][]orgs.Channel{nil, {orgs.Dashboard}, {orgs.Email}, {orgs.Email, orgs.Dashboard}} {
				for _, contact := range []bool{false, true} {
					d, _ := newDesk(t)
					c := &chooser{desk: d, alerts: chosen(t, row, channels, contact)}
					n := newNotifier(t, d, c)
					for _, e := range row.Events {
						d.mails, d.feed = nil, nil
						if err := n.Tell(t.Context(), whole(e)); err != nil {
							t.Fatalf("%s: %v", e, err)
						}
						want, inFeed := administrators, 0
						switch {
						case !slices.Contains(channels, orgs.Email):
							want = nil
						case row.Personal:
							want = []string{"m@acme.test"}
						case contact:
							want = append(slices.Clone(administrators), "billing@acme.test")
						}
						if slices.Contains(channels, orgs.Dashboard) {
							inFeed = 1
						}
						var to []string
						for _, m := range d.mails {
							to = append(to, m.To)
						}
						if !slices.Equal(to, want) || len(d.feed) != inFeed {
							t.Errorf("%s, choice %d, contact %v: mails to %v, want %v; in the feed %v", e, i, contact, to, want, d.feed)
						}
					}
				}
			}
		})
	}
}

// chosen are settings by which one kind goes by some channels, and every other kind by the others.
func chosen(t *testing.T, row orgs.KindRow, channels []orgs.Channel, contact bool) orgs.Alerts {
	t.Helper()
	others := slices.DeleteFunc([]orgs.Channel{orgs.Email, orgs.Dashboard}, func(c orgs.Channel) bool { return slices.Contains(channels, c) })
	of := func(k orgs.Kind) []orgs.Channel {
		if k == row.Kind {
			return channels
		}
		return others
	}
	a := orgs.Alerts{Chosen: map[orgs.Kind][]orgs.Channel{}, Contact: []orgs.Kind{}}
	for _, r := range orgs.Kinds() {
		switch r.Kind {
		case orgs.KindLowBalance:
			a.LowBalance = orgs.LowBalance{Enabled: len(of(r.Kind)) > 0, Channels: of(r.Kind)}
		case orgs.KindExpiry:
			a.Expiry = orgs.Expiry{Enabled: len(of(r.Kind)) > 0, Channels: of(r.Kind)}
		default:
			a.Chosen[r.Kind] = of(r.Kind)
		}
		if (r.Kind == row.Kind) == contact && !r.Personal {
			a.Contact = append(a.Contact, r.Kind)
		}
	}
	if err := a.Check(); err != nil {
		t.Fatal(err)
	}
	return a
}
