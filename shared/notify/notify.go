// Package notify tells an organisation of alerts: as an entry of its dashboard's feed, by e-mail to its administrators and its billing contact, both,
// or not at all, as the organisation chose for their kind. Requests for higher limits are told to administrators, and what becomes of one to the
// member who made it.
//
// Invariants:
//   - An alert is told once by each channel, whatever is delivered again, at once or later. The choice is the one in force when the alert
//     was first met; that of the recipients the one in force when a mail goes out. Only a mail that the server took and whose answer was lost may go out twice, with the same message id.
//   - The feed does not wait for the mail server. A mail server that is down leaves the alert to be delivered again, and the mail goes out then.
//   - One address that is refused keeps nobody else from being told.
//   - Each mail can be left by one click, without signing in: then its address gets no more mails of that topic, until it comes back. The feed stays.
//   - Addresses, the names of members and what they write are read or sent when they are needed, and kept nowhere.
//
// It does not own alerts (package credit), their kinds, settings, addresses and the feed (package orgs), or delivery and its repetition (Pub/Sub).
package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"time"

	"github.com/fluxori/ai-credits/shared/coded"

	"cloud.google.com/go/firestore"

	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/orgs"
)

// Organisations knows organisations and keeps their feeds, as an *orgs.Store does.
type Organisations interface {
	Get(ctx context.Context, org string) (orgs.Org, error)
	Administrators(ctx context.Context, org string) ([]string, error)
	Member(ctx context.Context, org, sub string) (orgs.Member, error)
	AddNotification(ctx context.Context, org string, n orgs.Notification) (added bool, err error)
}

// Mailer sends mail, as an *SMTP does.
type Mailer interface {
	Send(ctx context.Context, m Mail) error
}

// Options are what a Notifier needs. All but MachineNow are required.
type Options struct {
	Client        *firestore.Client
	Organisations Organisations
	Mailer        Mailer
	// Dashboard is the URL that mails link to. The page by which an address leaves a topic is beside it, ../unsubscribe.
	Dashboard string
	Logger    *slog.Logger
	// Now is the system's clock, which dates mails and documents; MachineNow the machine's, by which leases run. The default of the latter
	// is time.Now.
	Now, MachineNow func() time.Time
}

// Notifier tells organisations of alerts. It is safe for concurrent use.
type Notifier struct {
	client          *firestore.Client
	orgs            Organisations
	mailer          Mailer
	templates       *templates
	dashboard       string
	leave           url.URL
	optOuts         *OptOuts
	log             *slog.Logger
	now, machineNow func() time.Time
}

// New returns a Notifier.
func New(o Options) (*Notifier, error) {
	if o.Client == nil || o.Organisations == nil || o.Mailer == nil || o.Logger == nil || o.Now == nil {
		return nil, errors.New("notifying needs a client, organisations, a mailer, a logger and a clock")
	}
	u, err := url.Parse(o.Dashboard)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("the dashboard %q is not a URL", o.Dashboard)
	}
	optOuts, err := NewOptOuts(o.Client, o.Now)
	if err != nil {
		return nil, err
	}
	if o.MachineNow == nil {
		o.MachineNow = time.Now
	}
	t, err := parseTemplates()
	if err != nil {
		return nil, err
	}
	return &Notifier{
		client: o.Client, orgs: o.Organisations, mailer: o.Mailer, templates: t, dashboard: o.Dashboard, log: o.Logger,
		leave: *u.ResolveReference(&url.URL{Path: "../unsubscribe"}), optOuts: optOuts,
		now: o.Now, machineNow: o.MachineNow,
	}, nil
}

// Error says why an alert is not told. Its code is `invalid_request`, for one that never can be, or `unavailable`.
type Error struct{ coded.Reason }

func unavailable(cause error) *Error {
	return &Error{coded.Reason{Is: "unavailable", Says: "The alert cannot be told now; deliver it again.", From: cause}}
}

// Tell tells an organisation of an alert, and returns when nothing is left to do about it. Errors are an *Error, or one of package orgs:
// `unknown_org`, or what keeps an alert from being in the feed. After `unavailable` the alert is to be delivered again.
func (n *Notifier) Tell(ctx context.Context, e events.Credit) error {
	o, err := n.orgs.Get(ctx, e.OrgID)
	if err != nil {
		return fmt.Errorf("alert %s: %w", e.ID, err)
	}
	words, err := n.templates.write(e, o)
	if err != nil {
		return err
	}
	channels := o.Alerts.Channels(words.kind)
	c, err := n.claim(ctx, o.ID, e.ID, slices.Contains(channels, orgs.Dashboard), slices.Contains(channels, orgs.Email))
	if errors.Is(err, errDone) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := n.deliver(ctx, c, e, o, words); err != nil {
		return errors.Join(err, c.release(ctx))
	}
	return c.finish(ctx)
}

// deliver does what is left to do of a delivery: the feed first, for it does not depend on anybody else.
func (n *Notifier) deliver(ctx context.Context, c *claim, e events.Credit, o orgs.Org, words written) error {
	if c.Dashboard {
		entry := orgs.Notification{ID: e.ID, Kind: string(e.Type), At: e.At, Title: words.title, Text: words.text, Credits: e.Credits, Audience: audience(e)}
		if e.Threshold != nil {
			entry.Threshold = *e.Threshold
		}
		if _, err := n.orgs.AddNotification(ctx, o.ID, entry); err != nil {
			return fmt.Errorf("alert %s: %w", e.ID, err)
		}
	}
	if !c.Email {
		return nil
	}
	return n.mailAll(ctx, c, e, o, words.kind)
}

// mailAll sends an alert's mail to everybody it is for who does not have it. The mail of one does not wait for that of another.
func (n *Notifier) mailAll(ctx context.Context, c *claim, e events.Credit, o orgs.Org, kind orgs.KindRow) error {
	addresses, name, err := n.recipients(ctx, e, o, kind)
	if err != nil {
		return err
	}
	words, err := n.templates.writeAbout(e, o, name)
	if err != nil {
		return err
	}
	if addresses, err = n.optOuts.staying(ctx, o.ID, kind.Topic, addresses); err != nil {
		return err
	}
	for _, to := range addresses {
		if c.has(to) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return unavailable(fmt.Errorf("alert %s: %w", e.ID, err))
		}
		m, err := n.compose(ctx, e, o, words, to)
		if err != nil {
			return err
		}
		err = n.mailer.Send(ctx, m)
		if _, no := errors.AsType[*RefusedError](err); no {
			n.log.WarnContext(ctx, "an address is refused", slog.String("org", o.ID), slog.String("alert", e.ID)) // what the server said holds the address
		} else if err != nil {
			return unavailable(fmt.Errorf("alert %s: %w", e.ID, err))
		}
		if err := c.settle(ctx, to); err != nil {
			return err
		}
	}
	return nil
}

// compose makes an alert's mail to an address, with the link by which that address leaves the topic.
func (n *Notifier) compose(ctx context.Context, e events.Credit, o orgs.Org, words written, to string) (Mail, error) {
	token, err := n.optOuts.Token(ctx, o.ID, words.kind.Topic, to)
	if err != nil {
		return Mail{}, err
	}
	leave := n.leave
	leave.RawQuery = url.Values{"token": {token}}.Encode()
	text, html, err := n.templates.mail(words, o, n.dashboard, leave.String())
	if err != nil {
		return Mail{}, err
	}
	return Mail{To: to, Subject: words.title, Text: text, HTML: html, ID: alertHash(e.ID), Date: n.now(), Unsubscribe: leave.String()}, nil
}
