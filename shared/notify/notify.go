// Package notify tells an organisation of alerts: as an entry of its dashboard's feed, by e-mail to its administrators, both, or not at all,
// as the organisation chose. Requests for higher limits are told to administrators, and what becomes of one to the member who made it, by both.
//
// Invariants:
//   - An alert is told once by each channel, whatever is delivered again, at once or later. The choice is the one in force when the alert
//     was first met. Only a mail that the server took and whose answer was lost may go out twice, with the same message id.
//   - The feed does not wait for the mail server. A mail server that is down leaves the alert to be delivered again, and the mail goes out then.
//   - One address that is refused keeps nobody else from being told.
//   - Addresses, the names of members and what they write are read or sent when they are needed, and kept nowhere.
//
// It does not own alerts (package credit), settings, addresses and the feed (package orgs), or delivery and its repetition (Pub/Sub).
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

	"github.com/fluxori/ai-credits/shared/credit"
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
	// Dashboard is the URL that mails link to.
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
	log             *slog.Logger
	now, machineNow func() time.Time
}

// New returns a Notifier.
func New(o Options) (*Notifier, error) {
	if o.Client == nil || o.Organisations == nil || o.Mailer == nil || o.Logger == nil || o.Now == nil {
		return nil, errors.New("notifying needs a client, organisations, a mailer, a logger and a clock")
	}
	if u, err := url.Parse(o.Dashboard); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("the dashboard %q is not a URL", o.Dashboard)
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
	c, err := n.claim(ctx, o.ID, e.ID, wants(o, e.Type, orgs.Dashboard), wants(o, e.Type, orgs.Email))
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

// wants reports whether an organisation chose to be told of a kind of alert by a channel. Debt goes where a low balance does. Notices of
// limits are in the feed, and by mail if those of a low balance would be, switched on or not: who sets a limit wants to be told. Of limit requests
// everybody concerned is told by each channel: a person waits for the answer. So it is with a cycle's statement, a renewal that did not come,
// and auto top-ups: they are about money that was paid, or should have been.
func wants(o orgs.Org, kind credit.EventKind, channel orgs.Channel) bool {
	switch kind {
	case credit.EventExpiring:
		return o.Alerts.Expiry.Wants(channel)
	case credit.EventLimit, credit.EventLimitFull:
		return channel == orgs.Dashboard || slices.Contains(o.Alerts.LowBalance.Channels, channel)
	case events.LimitRequested, events.LimitRequestGranted, events.LimitRequestDeclined, events.CycleClosed, events.RenewalMissing,
		events.TopUpMade, events.TopUpDeclined, events.TopUpCapped:
		return true
	default:
		return o.Alerts.LowBalance.Wants(channel)
	}
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
	return n.mailAll(ctx, c, e, o)
}

// mailAll sends an alert's mail to everybody it is for who does not have it. The mail of one does not wait for that of another.
func (n *Notifier) mailAll(ctx context.Context, c *claim, e events.Credit, o orgs.Org) error {
	addresses, name, err := n.recipients(ctx, e)
	if err != nil {
		return err
	}
	words, err := n.templates.writeAbout(e, o, name)
	if err != nil {
		return err
	}
	text, html, err := n.templates.mail(words, o, n.dashboard)
	if err != nil {
		return err
	}
	for _, to := range addresses {
		if c.has(to) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return unavailable(fmt.Errorf("alert %s: %w", e.ID, err))
		}
		err := n.mailer.Send(ctx, Mail{To: to, Subject: words.title, Text: text, HTML: html, ID: alertHash(e.ID), Date: n.now()})
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
