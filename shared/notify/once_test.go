package notify

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/orgs"
)

// three are an organisation's administrators.
type three struct{}

func (three) Get(context.Context, string) (orgs.Org, error) {
	return orgs.Org{ID: "acme", Profile: orgs.Profile{Name: "Acme", Zone: "Africa/Johannesburg"}, Alerts: orgs.DefaultAlerts()}, nil
}

func (three) Administrators(context.Context, string) ([]string, error) {
	return []string{"a@acme.test", "b@acme.test", "c@acme.test"}, nil
}

func (three) Member(context.Context, string, string) (orgs.Member, error) {
	return orgs.Member{}, errors.New("nobody is asked for")
}

func (three) AddNotification(context.Context, string, orgs.Notification) (bool, error) {
	return true, nil
}

// TestEachMailGoesOutOnceButForAnAnswerThatWasLost drives the whole way to a mail server that fails now and then, as often as Pub/Sub would
// deliver again: nothing is lost, and the one duplicate is that of the one answer that was lost, under the same message id.
func TestEachMailGoesOutOnceButForAnAnswerThatWasLost(t *testing.T) {
	t.Parallel()
	busy := &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "try again later"}
	for name, tc := range map[string]struct {
		host       *host
		mend       func(*host)
		deliveries int
		want       []string
	}{
		"a server that works":         {&host{}, nil, 1, []string{"a", "b", "c"}},
		"hangs up after DATA once":    {&host{drops: 1}, nil, 2, []string{"a", "a", "b", "c"}},
		"hangs up after DATA thrice":  {&host{drops: 3}, nil, 4, []string{"a", "a", "a", "a", "b", "c"}},
		"busy, then not":              {&host{rcpt: busy}, func(h *host) { h.rcpt = nil }, 2, []string{"a", "b", "c"}},
		"takes no mail, then it does": {&host{data: busy}, func(h *host) { h.data, h.mails, h.ids = nil, 0, nil }, 2, []string{"a", "b", "c"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, pool := tc.host.serve(t, startTLS)
			c := local(l, startTLS)
			c.Username, c.Password = "credits", "secret"
			mailer := newSMTP(t, c)
			mailer.tls.RootCAs = pool
			now := func() time.Time { return time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC) }
			n, err := New(Options{
				Client: engine.New(t).Client, Organisations: three{}, Mailer: mailer, Dashboard: "https://credits.test/account/ui/", Logger: slog.New(slog.DiscardHandler), Now: now,
			})
			if err != nil {
				t.Fatal(err)
			}
			threshold := int64(100)
			alert := events.Credit{Version: 1, ID: "low:acme:1", Type: credit.EventLowBalance, OrgID: "acme", At: now(), Credits: 90, Threshold: &threshold}
			for i := range tc.deliveries {
				err := n.Tell(t.Context(), alert)
				if last := i == tc.deliveries-1; (err == nil) != last {
					t.Fatalf("delivery %d: %v", i, err)
				}
				tc.host.mu.Lock()
				if tc.mend != nil {
					tc.mend(tc.host)
					tc.mend = nil
				}
				tc.host.mu.Unlock()
			}
			if err := n.Tell(t.Context(), alert); err != nil { // once more than needed
				t.Error(err)
			}
			var to, ids []string
			for _, id := range tc.host.ids {
				address, message, _ := strings.Cut(id, " ")
				to, ids = append(to, strings.TrimPrefix(address, "<")[:1]), append(ids, message)
			}
			slices.Sort(to)
			if !slices.Equal(to, tc.want) || len(slices.Compact(ids)) != 1 || ids[0] == "" {
				t.Errorf("mails to %v under %v, want %v under one id", to, ids, tc.want)
			}
		})
	}
}
