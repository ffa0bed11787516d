package notify_test

import (
	"context"
	"net/url"
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

func optOuts(t *testing.T, h *house) *notify.OptOuts {
	t.Helper()
	o, err := notify.NewOptOuts(h.Client, h.now)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestWhoLeavesATopicGetsNoMoreOfItsMails goes by the link in a mail: another topic, another address and another organisation stay as they were.
func TestWhoLeavesATopicGetsNoMoreOfItsMails(t *testing.T) {
	t.Parallel()
	d, n := newDesk(t)
	request := func(id string) events.Credit {
		e := about(events.LimitRequested, events.LimitRequest{RequestID: "1", UserID: "m", Scope: "user", SubjectID: "m"})
		e.ID = id
		return e
	}
	tell := func(e events.Credit, want string) {
		t.Helper()
		d.mails = nil
		if err := n.Tell(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		var to []string
		for _, m := range d.mails {
			to = append(to, m.To)
		}
		if got := strings.Join(to, ","); got != want {
			t.Errorf("%s went to %q, want %q", e.ID, got, want)
		}
	}
	tell(request("1"), "a@acme.test,b@acme.test,c@acme.test")
	link, err := url.Parse(d.mails[1].Unsubscribe)
	if err != nil || link.Path != "/unsubscribe" || link.Host != "credits.test" {
		t.Fatalf("%v, %v", link, err)
	}
	for _, m := range d.mails {
		if !strings.Contains(m.Text, m.Unsubscribe) || m.Unsubscribe == d.mails[1].Unsubscribe && m.To != "b@acme.test" {
			t.Errorf("the link of %s is %s", m.To, m.Unsubscribe)
		}
	}
	o := optOuts(t, d.house)
	c, err := o.Read(t.Context(), link.Query().Get("token"))
	if err != nil || c.Org != "acme" || c.Topic != orgs.TopicRequests {
		t.Fatalf("%+v, %v", c, err)
	}
	for range 2 {
		if err := o.Set(t.Context(), c, true); err != nil {
			t.Fatal(err)
		}
	}
	tell(request("2"), "a@acme.test,c@acme.test")
	if len(d.feed) != 2 {
		t.Errorf("%d in the feed", len(d.feed))
	}
	elsewhere := c
	elsewhere.Org = "globex"
	if err := o.Set(t.Context(), elsewhere, false); err != nil {
		t.Fatal(err)
	}
	tell(request("3"), "a@acme.test,c@acme.test")
	if err := o.Set(t.Context(), c, false); err != nil {
		t.Fatal(err)
	}
	tell(request("4"), "a@acme.test,b@acme.test,c@acme.test")
}

func TestALinkThatIsNotOursLeavesNothing(t *testing.T) {
	t.Parallel()
	h := open(t, engine.New(t))
	o := optOuts(t, h)
	token, err := o.Token(t.Context(), "acme", orgs.TopicBalance, "a@acme.test")
	if err != nil {
		t.Fatal(err)
	}
	if c, err := optOuts(t, h).Read(t.Context(), token); err != nil || c.Org != "acme" { // by another process
		t.Errorf("%+v, %v", c, err)
	}
	body, signature, _ := strings.Cut(token, ".")
	other, err := o.Token(t.Context(), "globex", orgs.TopicBalance, "a@acme.test")
	if err != nil {
		t.Fatal(err)
	}
	foreign, _, _ := strings.Cut(other, ".")
	stranger, err := optOuts(t, open(t, engine.New(t))).Token(t.Context(), "acme", orgs.TopicBalance, "a@acme.test")
	if err != nil {
		t.Fatal(err)
	}
	for name, wrong := range map[string]string{
		"nothing": "", "no signature": body, "an empty one": body + ".", "half of one": body + "." + signature[:10], "another's": foreign + "." + signature,
		"of another key": stranger, "not base64": "!" + token, "more after it": token + "A", "endless": token + strings.Repeat("A", 10_000),
	} {
		if _, err := o.Read(t.Context(), wrong); code(err) != "invalid_request" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if strings.Contains(token, "acme.test") {
		t.Errorf("%s holds the address", token)
	}
}

// TestTheKeyIsMadeOnce: processes that need it at the same time end with the same.
func TestTheKeyIsMadeOnce(t *testing.T) {
	t.Parallel()
	h := open(t, engine.New(t))
	tokens := make([]string, 6)
	var all sync.WaitGroup
	for i := range tokens {
		o := optOuts(t, h)
		all.Go(func() {
			var err error
			if tokens[i], err = o.Token(t.Context(), "acme", orgs.TopicLimits, "a@acme.test"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, token := range tokens[1:] {
		if token != tokens[0] {
			t.Errorf("%s and %s", token, tokens[0])
		}
	}
}

// office is a desk whose organisation has a billing contact.
type office struct {
	*desk
	contact string
}

func (o *office) Get(context.Context, string) (orgs.Org, error) {
	return orgs.Org{ID: "acme", Profile: orgs.Profile{Name: "Acme", Zone: "Africa/Johannesburg", BillingContact: o.contact}, Alerts: orgs.DefaultAlerts()}, nil
}

func TestTheBillingContactIsToldOfPaymentsOnly(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		contact, want string
		kind          credit.EventKind
	}{
		"a refund":               {"billing@acme.test", "a@acme.test,b@acme.test,c@acme.test,billing@acme.test", credit.EventTakenBack},
		"a dispute":              {"billing@acme.test", "a@acme.test,b@acme.test,c@acme.test,billing@acme.test", credit.EventDisputed},
		"a low balance":          {"billing@acme.test", "a@acme.test,b@acme.test,c@acme.test", credit.EventLowBalance},
		"no contact":             {"", "a@acme.test,b@acme.test,c@acme.test", credit.EventTakenBack},
		"an administrator is it": {"B@acme.test", "a@acme.test,b@acme.test,c@acme.test", credit.EventTakenBack},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, _ := newDesk(t)
			o := &office{d, tc.contact}
			n := newNotifier(t, d, o)
			e := low()
			e.Type, e.At = tc.kind, time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
			if err := n.Tell(t.Context(), e); err != nil {
				t.Fatal(err)
			}
			var to []string
			for _, m := range d.mails {
				to = append(to, m.To)
			}
			if got := strings.Join(to, ","); got != tc.want {
				t.Errorf("went to %q, want %q", got, tc.want)
			}
		})
	}
}
