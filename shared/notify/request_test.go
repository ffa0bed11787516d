package notify_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/notify"
	"github.com/fluxori/ai-credits/shared/orgs"
)

// desk is a house that keeps what it is told.
type desk struct {
	*house
	mu    sync.Mutex
	feed  []orgs.Notification
	mails []notify.Mail
}

func (d *desk) AddNotification(_ context.Context, _ string, n orgs.Notification) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.feed = append(d.feed, n)
	return true, nil
}

func (d *desk) Send(_ context.Context, m notify.Mail) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mails = append(d.mails, m)
	return nil
}

// Get is an organisation that wants no alerts.
func (d *desk) Get(context.Context, string) (orgs.Org, error) {
	return orgs.Org{ID: "acme", Profile: orgs.Profile{Name: "Acme", Zone: "Africa/Johannesburg"}}, nil
}

func newDesk(t *testing.T) (*desk, *notify.Notifier) {
	t.Helper()
	d := &desk{house: open(t, engine.New(t))}
	return d, newNotifier(t, d, d)
}

// newNotifier sends to a desk what organisations are told.
func newNotifier(t *testing.T, d *desk, o notify.Organisations) *notify.Notifier {
	t.Helper()
	n, err := notify.New(notify.Options{
		Client: d.Client, Organisations: o, Mailer: d, Dashboard: "https://credits.test/", Logger: slog.New(slog.DiscardHandler), Now: d.now, MachineNow: d.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func about(kind credit.EventKind, l events.LimitRequest) events.Credit {
	return events.Credit{Version: 1, ID: string(kind) + ":1", Type: kind, OrgID: "acme", At: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC), LimitRequest: &l}
}

// TestLimitRequestsReachWhomTheyConcern looks at who is told what, and that names and what people wrote are in mails only.
func TestLimitRequestsReachWhomTheyConcern(t *testing.T) {
	t.Parallel()
	limit := int64(1500)
	request := func(scope, subject string, credits int64) events.LimitRequest {
		return events.LimitRequest{RequestID: "1", UserID: "m", Scope: scope, SubjectID: subject, SubjectName: "Design", Credits: credits, Limit: &limit, Reason: "The catalogue"}
	}
	unlimited := request("user", "m", 0)
	unlimited.Limit = nil
	for name, c := range map[string]struct {
		event            events.Credit
		audience         orgs.Audience
		title, text      string // of the feed
		subject, mail    string
		to, footer, none string
	}{
		"asked for oneself": {
			about(events.LimitRequested, request("user", "m", 200)), orgs.Administrators,
			"A member asks for a higher limit",
			"A member asks for 200 AI credits a month more. The limit on what the member uses is 1 500 AI credits a month. An administrator of Acme can grant or decline this.",
			"Pieter asks for a higher limit",
			"Pieter asks for 200 AI credits a month more. The limit on what the member uses is 1 500 AI credits a month. The reason given is: “The catalogue” An administrator of Acme can grant or decline this.",
			"a@acme.test,b@acme.test,c@acme.test", "as an administrator of Acme", "because you asked",
		},
		"asked for a team, without a figure": {
			about(events.LimitRequested, request("team", "design", 0)), orgs.Administrators,
			"A member asks for a higher limit",
			"A member asks for a higher limit. The limit on what team design uses is 1 500 AI credits a month. An administrator of Acme can grant or decline this.",
			"Pieter asks for a higher limit", "Pieter asks for a higher limit. The limit on what team Design uses is", "a@acme.test,b@acme.test,c@acme.test", "as an administrator of Acme", "because you asked",
		},
		"granted": {
			about(events.LimitRequestGranted, request("organisation", "", 200)), orgs.Only("m"),
			"Your request for a higher limit is granted", "The limit on what the whole organisation uses is now 1 500 AI credits a month, says an administrator of Acme.",
			"Your request for a higher limit is granted", "is now 1 500 AI credits", "m@acme.test", "because you asked Acme", "administrator of Acme on Fluxori",
		},
		"granted by taking the limit away": {
			about(events.LimitRequestGranted, unlimited), orgs.Only("m"),
			"Your request for a higher limit is granted", "There is no limit on what you use any more, says an administrator of Acme.",
			"Your request for a higher limit is granted", "no limit", "m@acme.test", "because you asked Acme", "administrator of Acme on Fluxori",
		},
		"declined": {
			about(events.LimitRequestDeclined, request("user", "m", 200)), orgs.Only("m"),
			"Your request for a higher limit is declined", "The limit on what you use stays at 1 500 AI credits a month, says an administrator of Acme.",
			"Your request for a higher limit is declined", "The reason given is: “The catalogue”", "m@acme.test", "because you asked Acme", "administrator of Acme on Fluxori",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, n := newDesk(t)
			for range 3 {
				if err := n.Tell(t.Context(), c.event); err != nil {
					t.Fatal(err)
				}
			}
			plain := func(s string) string { return strings.ReplaceAll(s, "\u00a0", " ") }
			if len(d.feed) != 1 || d.feed[0].Audience != c.audience || plain(d.feed[0].Title) != c.title || plain(d.feed[0].Text) != c.text {
				t.Errorf("the feed has %+v", d.feed)
			}
			var to []string
			for _, m := range d.mails {
				to = append(to, m.To)
				text := plain(m.Text)
				if plain(m.Subject) != c.subject || !strings.Contains(text, c.mail) || !strings.Contains(text, c.footer) || strings.Contains(text, c.none) {
					t.Errorf("%s: %s", m.Subject, text)
				}
			}
			if got := strings.Join(to, ","); got != c.to {
				t.Errorf("mails went to %q, want %q", got, c.to)
			}
		})
	}
}

func TestAFormerMemberIsWrittenNoMail(t *testing.T) {
	t.Parallel()
	d, n := newDesk(t)
	if err := n.Tell(t.Context(), about(events.LimitRequestDeclined, events.LimitRequest{RequestID: "1", UserID: "gone", Scope: "user", SubjectID: "gone"})); err != nil {
		t.Fatal(err)
	}
	if len(d.mails) != 0 || len(d.feed) != 1 {
		t.Errorf("%d mails, %d in the feed", len(d.mails), len(d.feed))
	}
}

func TestALimitRequestThatSaysNothingCannotBeTold(t *testing.T) {
	t.Parallel()
	_, n := newDesk(t)
	e := about(events.LimitRequested, events.LimitRequest{})
	e.LimitRequest = nil
	if err := n.Tell(t.Context(), e); code(err) != "invalid_request" {
		t.Errorf("%v", err)
	}
	if err := n.Tell(t.Context(), about(credit.EventDebt, events.LimitRequest{})); code(err) != "invalid_request" {
		t.Errorf("debt with a limit request: %v", err)
	}
}
