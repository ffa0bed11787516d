package limitrequests

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/orgs"
)

// timeouts of what is done.
const (
	storeTimeout   = 5 * time.Second        // of each read and each transaction
	publishTimeout = 200 * time.Millisecond // of telling; what is not told by then the outbox's sweep tells
)

// Limits knows limits and changes them, as a *ledger.Ledger does.
type Limits interface {
	LimitOf(ctx context.Context, org string, s credit.Subject) (credit.Window, ledger.LimitUse, error)
	Do(ctx context.Context, org string, c credit.Command) (ledger.Result, error)
}

// People knows members and teams, as an *orgs.Store does.
type People interface {
	Member(ctx context.Context, org, sub string) (orgs.Member, error)
	Team(ctx context.Context, org, team string) (orgs.Team, error)
}

// Publisher publishes messages, as an *events.Publisher does.
type Publisher interface {
	Publish(ctx context.Context, messages []events.Message) error
}

// Options are what a Desk needs. All are required.
type Options struct {
	Documents *firestore.Client
	Limits    Limits
	People    People
	Publisher Publisher
	Logger    *slog.Logger
	// Now is the system's clock.
	Now func() time.Time
}

// Desk is where requests are made and decided. It is safe for concurrent use.
type Desk struct{ o Options }

// New returns a Desk.
func New(o Options) (*Desk, error) {
	if o.Documents == nil || o.Limits == nil || o.People == nil || o.Publisher == nil || o.Logger == nil || o.Now == nil {
		return nil, errors.New("limit requests need documents, limits, people, a publisher, a logger and a clock")
	}
	return &Desk{o: o}, nil
}

// Ask is what a member asks for.
type Ask struct {
	// By is the subject of the member.
	By string
	// Scope is whose limit is in the way: the organisation's, the member's team's or the member's own.
	Scope credit.Scope
	// Subject is the team's id or the member's, and may be empty: nobody asks for others.
	Subject string
	// Credits is how many more are asked for, in a month; 0 leaves it open.
	Credits int64
	Reason  string
}

// Ask makes a request, or finds the one that the member has open for the same limit; created tells which. Administrators are told of a new
// one. Errors are an *Error, or those of limits and people.
func (d *Desk) Ask(ctx context.Context, org string, a Ask) (out Request, created bool, err error) {
	if err := checkAsk(a); err != nil {
		return Request{}, false, err
	}
	subject, name, err := d.subject(ctx, org, a)
	if err != nil {
		return Request{}, false, err
	}
	now, err := d.limitOf(ctx, org, subject)
	if err != nil {
		return Request{}, false, err
	}
	if now == nil {
		return Request{}, false, invalid("scope", "no_limit", "There is no such limit.")
	}
	fresh := Request{
		ID: strings.ToLower(rand.Text()), By: a.By, Subject: subject, SubjectName: name, Credits: a.Credits, Limit: now.Credits, Reason: a.Reason,
		State: Open, CreatedAt: d.now(),
	}
	var told *notice
	err = d.change(ctx, "ask for a higher limit of "+org, func(tx *firestore.Transaction) error {
		created, told = false, nil
		asker := d.requester(org, a.By)
		q, err := readRequester(tx, asker)
		if err != nil {
			return err
		}
		if id := q.open[slot(subject)]; id != "" {
			out, err = readRequest(tx, d.request(org, id))
			return err
		}
		if err := q.admit(subject, fresh.ID, fresh.CreatedAt); err != nil {
			return err
		}
		out, created = fresh, true
		if told, err = d.notice(org, out); err != nil {
			return err
		}
		return errors.Join(tx.Create(d.request(org, out.ID), encode(out)), tx.Set(asker, encodeRequester(a.By, q)), tx.Create(told.ref, told.doc))
	})
	if err != nil {
		return Request{}, false, err
	}
	d.publish(ctx, told)
	return out, created, nil
}

// subject is the limit that is asked about, and the name of a team.
func (d *Desk) subject(ctx context.Context, org string, a Ask) (s credit.Subject, name string, err error) {
	s = credit.Subject{Scope: a.Scope}
	switch a.Scope {
	case credit.ScopeOrganisation:
	case credit.ScopeUser:
		s.ID = a.By
	case credit.ScopeTeam:
		m, err := d.o.People.Member(ctx, org, a.By)
		if err != nil {
			return s, "", fmt.Errorf("find the team of who asks: %w", err)
		}
		if m.Team == "" {
			return s, "", invalid("scope", "no_team", "You are in no team.")
		}
		t, err := d.o.People.Team(ctx, org, m.Team)
		if err != nil {
			return s, "", fmt.Errorf("find the team of who asks: %w", err)
		}
		s.ID, name = t.ID, t.Name
	default:
		return s, "", invalid("scope", "unknown", "scope must be organisation, team or user.")
	}
	if a.Subject != "" && a.Subject != s.ID {
		return s, "", invalid("subject", "not_yours", "You can ask for yourself, your own team and your organisation.")
	}
	return s, name, nil
}

// Grant raises the limit that a request is about, to a figure or, with nil, by what was asked for, and tells the member. Errors are an *Error, or
// those of limits.
func (d *Desk) Grant(ctx context.Context, org, id string, limit *int64, by string) (Request, error) {
	r, err := d.Request(ctx, org, id)
	if err != nil {
		return Request{}, err
	}
	now, err := d.limitOf(ctx, org, r.Subject)
	if err != nil {
		return Request{}, err
	}
	at := d.now()
	r, err = d.step(ctx, org, id, func(r Request) (Request, bool, error) { return r.grant(limit, now, by, at) })
	if err != nil || r.State != Granting {
		return r, err
	}
	// From here on whoever comes again does the rest.
	if c := r.raise(now); c != nil {
		if _, err := d.o.Limits.Do(ctx, org, c); err != nil {
			return Request{}, d.giveUp(ctx, org, id, err)
		}
	}
	return d.step(ctx, org, id, func(r Request) (Request, bool, error) {
		if r.State != Granting {
			return r, false, nil
		}
		r.State = Granted
		return r, true, nil
	})
}

// giveUp opens a request again whose grant the wallet refuses for good; after any other failure it is to be granted again.
func (d *Desk) giveUp(ctx context.Context, org, id string, cause error) error {
	if _, refused := errors.AsType[*credit.Refusal](cause); !refused {
		return fmt.Errorf("raise the limit of request %s: %w", id, cause)
	}
	_, err := d.step(ctx, org, id, func(r Request) (Request, bool, error) {
		if r.State != Granting {
			return r, false, nil
		}
		r.State, r.Target, r.DecidedBy, r.DecidedAt = Open, nil, "", time.Time{}
		return r, true, nil
	})
	return errors.Join(fmt.Errorf("raise the limit of request %s: %w", id, cause), err)
}

// Decline decides that a limit stays, and tells the member. Errors are an *Error, or those of limits.
func (d *Desk) Decline(ctx context.Context, org, id, reason, by string) (Request, error) {
	at := d.now()
	return d.step(ctx, org, id, func(r Request) (Request, bool, error) { return r.decline(reason, by, at) })
}

// step changes a request in a transaction. When that decides it, its place is free for another, and the member is told.
func (d *Desk) step(ctx context.Context, org, id string, to func(Request) (Request, bool, error)) (out Request, err error) {
	if !validID(id) {
		return Request{}, notFound()
	}
	var told *notice
	err = d.change(ctx, "decide on limit request "+id+" of "+org, func(tx *firestore.Transaction) error {
		told = nil
		before, err := readRequest(tx, d.request(org, id))
		if err != nil {
			return err
		}
		var changed bool
		if out, changed, err = to(before); err != nil || !changed {
			return err
		}
		if !out.Decided() {
			return tx.Set(d.request(org, id), encode(out))
		}
		asker := d.requester(org, out.By)
		q, err := readRequester(tx, asker)
		if err != nil {
			return err
		}
		if q.open[slot(out.Subject)] == id {
			delete(q.open, slot(out.Subject))
		}
		if told, err = d.notice(org, out); err != nil {
			return err
		}
		return errors.Join(tx.Set(d.request(org, id), encode(out)), tx.Set(asker, encodeRequester(out.By, q)), tx.Create(told.ref, told.doc))
	})
	if err != nil {
		return Request{}, err
	}
	d.publish(ctx, told)
	return out, nil
}

// limitOf is the limit that binds a subject now; nil for none.
func (d *Desk) limitOf(ctx context.Context, org string, s credit.Subject) (current, error) {
	_, use, err := d.o.Limits.LimitOf(ctx, org, s)
	if no, ok := errors.AsType[*credit.Refusal](err); ok && no.Code() == credit.CodeUnknownOrg {
		return nil, nil // registered, and without a wallet yet
	}
	if err != nil {
		return nil, fmt.Errorf("find a limit of %s: %w", org, err)
	}
	return use.Limit, nil
}

// change runs a transaction, with a deadline. What it returns of an *Error is the reason; any other failure leaves the outcome unknown.
func (d *Desk) change(ctx context.Context, what string, body func(*firestore.Transaction) error) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	err := d.o.Documents.RunTransaction(ctx, func(_ context.Context, tx *firestore.Transaction) error { return body(tx) })
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return fmt.Errorf("%s: %w", what, err)
	}
	return unavailable("%s: %w", what, err)
}

// Request returns a request. One read. Errors are an *Error, `not_found` or `unavailable`.
func (d *Desk) Request(ctx context.Context, org, id string) (Request, error) {
	if credit.CheckOrg(org) != nil || !validID(id) {
		return Request{}, notFound()
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	snapshot, err := d.request(org, id).Get(ctx)
	if status.Code(err) == codes.NotFound {
		return Request{}, notFound()
	}
	if err != nil {
		return Request{}, unavailable("read limit request %s of %s: %w", id, org, err)
	}
	return decode(snapshot)
}

// Page says which requests are wanted.
type Page struct {
	// Decided asks for those decided instead of those open.
	Decided bool
	// By is the member whose requests are wanted; empty for everybody's.
	By string
	// AfterAt and AfterID are those of the last request that was seen; zero for the first page.
	AfterAt time.Time
	AfterID string
	// Limit is how many are wanted, from 1 to 500.
	Limit int
}

// maxPage is how many requests are read at once, at most.
const maxPage = 500

// Requests returns requests, the newest first. A read for each. Errors are an *Error, `not_found` or `unavailable`.
func (d *Desk) Requests(ctx context.Context, org string, p Page) ([]Request, error) {
	if credit.CheckOrg(org) != nil {
		return nil, notFound()
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	q := d.requests(org).Where("decided", "==", p.Decided)
	if p.By != "" {
		q = q.Where("by", "==", p.By)
	}
	q = q.OrderBy("created_at", firestore.Desc).OrderBy(firestore.DocumentID, firestore.Desc)
	if p.AfterID != "" {
		if !validID(p.AfterID) {
			return nil, notFound()
		}
		q = q.StartAfter(p.AfterAt, d.request(org, p.AfterID))
	}
	snapshots, err := q.Limit(min(max(p.Limit, 1), maxPage)).Documents(ctx).GetAll()
	if err != nil {
		return nil, unavailable("read the limit requests of %s: %w", org, err)
	}
	out := make([]Request, len(snapshots))
	for i, snapshot := range snapshots {
		if out[i], err = decode(snapshot); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// now is the moment that a document is dated with, in Firestore's precision.
func (d *Desk) now() time.Time { return d.o.Now().UTC().Truncate(time.Microsecond) }
