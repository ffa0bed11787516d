package limitrequests

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"strings"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/versioned"
)

const (
	// schemaVersion is the form of the documents that this release reads and writes.
	schemaVersion = 1
	// keptFor is how long a request is kept after its decision.
	keptFor = 400 * 24 * time.Hour
)

// requestDoc is the document orgs/{org}/limitRequests/{id}.
type requestDoc struct {
	V           int64        `firestore:"v"`
	By          string       `firestore:"by"`
	Scope       credit.Scope `firestore:"scope"`
	Subject     string       `firestore:"subject,omitempty"`
	SubjectName string       `firestore:"subject_name,omitempty"`
	Credits     int64        `firestore:"credits,omitempty"`
	Limit       int64        `firestore:"limit"`
	Reason      string       `firestore:"reason"`
	State       State        `firestore:"state"`
	Decided     bool         `firestore:"decided"`
	CreatedAt   time.Time    `firestore:"created_at"`
	DecidedAt   time.Time    `firestore:"decided_at,omitempty"`
	DecidedBy   string       `firestore:"decided_by,omitempty"`
	Target      *int64       `firestore:"target,omitempty"`
	Answer      string       `firestore:"answer,omitempty"`
	// ExpireAt is there once it is decided.
	ExpireAt time.Time `firestore:"expire_at,omitempty"`
}

// requesterDoc is the document orgs/{org}/limitRequesters/{hash of the subject}.
type requesterDoc struct {
	V      int64             `firestore:"v"`
	Sub    string            `firestore:"sub"`
	Open   map[string]string `firestore:"open"`
	Recent []time.Time       `firestore:"recent"`
}

func (d *Desk) requests(org string) *firestore.CollectionRef {
	return d.o.Documents.Collection("orgs").Doc(org).Collection("limitRequests")
}

func (d *Desk) request(org, id string) *firestore.DocumentRef { return d.requests(org).Doc(id) }

func (d *Desk) requester(org, sub string) *firestore.DocumentRef {
	sum := sha256.Sum256([]byte(sub))
	return d.o.Documents.Collection("orgs").Doc(org).Collection("limitRequesters").Doc(hex.EncodeToString(sum[:16]))
}

// validID reports whether a string can be a request's id: 26 of the base 32 alphabet, in small letters.
func validID(id string) bool {
	return len(id) == 26 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

func encode(r Request) requestDoc {
	out := requestDoc{
		V: schemaVersion, By: r.By, Scope: r.Subject.Scope, Subject: r.Subject.ID, SubjectName: r.SubjectName, Credits: r.Credits, Limit: r.Limit,
		Reason: r.Reason, State: r.State, Decided: r.Decided(), CreatedAt: r.CreatedAt, DecidedAt: r.DecidedAt, DecidedBy: r.DecidedBy,
		Target: r.Target, Answer: r.Answer,
	}
	if r.Decided() {
		out.ExpireAt = r.DecidedAt.Add(keptFor)
	}
	return out
}

func decode(snapshot *firestore.DocumentSnapshot) (Request, error) {
	d, err := known[requestDoc](snapshot)
	if err != nil {
		return Request{}, err
	}
	return Request{
		ID: snapshot.Ref.ID, By: d.By, Subject: credit.Subject{Scope: d.Scope, ID: d.Subject}, SubjectName: d.SubjectName, Credits: d.Credits,
		Limit: d.Limit, Reason: d.Reason, State: d.State, CreatedAt: d.CreatedAt, DecidedAt: d.DecidedAt, DecidedBy: d.DecidedBy,
		Target: d.Target, Answer: d.Answer,
	}, nil
}

func encodeRequester(sub string, q requester) requesterDoc {
	return requesterDoc{V: schemaVersion, Sub: sub, Open: q.open, Recent: q.recent}
}

// readRequest reads a request in a transaction.
func readRequest(tx *firestore.Transaction, ref *firestore.DocumentRef) (Request, error) {
	snapshot, err := tx.Get(ref)
	if status.Code(err) == codes.NotFound {
		return Request{}, notFound()
	}
	if err != nil {
		return Request{}, err //nolint:wrapcheck // the client decides by the bare error whether to try again
	}
	return decode(snapshot)
}

// readRequester reads what is remembered of a member, in a transaction.
func readRequester(tx *firestore.Transaction, ref *firestore.DocumentRef) (requester, error) {
	snapshot, err := tx.Get(ref)
	if status.Code(err) == codes.NotFound {
		return requester{}, nil
	}
	if err != nil {
		return requester{}, err //nolint:wrapcheck // the client decides by the bare error whether to try again
	}
	d, err := known[requesterDoc](snapshot)
	return requester{open: d.Open, recent: d.Recent}, err
}

// known reads a document that this release knows the form of.
func known[D any](snapshot *firestore.DocumentSnapshot) (D, error) {
	var d D
	err := versioned.Read(snapshot, schemaVersion, &d)
	if errors.Is(err, versioned.ErrNewer) {
		err = unavailable("%w", err)
	}
	return d, err
}

// notice is what is to be told: a document of the outbox, in the form that its sweep knows (package ledger).
type notice struct {
	ref     *firestore.DocumentRef
	doc     outboxDoc
	message events.Message
}

type outboxDoc struct {
	V        int64           `firestore:"v"`
	Org      string          `firestore:"org"`
	At       time.Time       `firestore:"at"`
	Messages []outboxMessage `firestore:"messages"`
}

type outboxMessage struct {
	Topic string `firestore:"topic"`
	ID    string `firestore:"id"`
	Data  string `firestore:"data"`
}

// notice words what a request's state asks to be told.
func (d *Desk) notice(org string, r Request) (*notice, error) {
	e := events.Credit{ID: "limit-request:" + r.ID, Type: events.LimitRequested, OrgID: org, At: r.CreatedAt}
	l := events.LimitRequest{
		RequestID: r.ID, UserID: r.By, Scope: string(r.Subject.Scope), SubjectID: r.Subject.ID, SubjectName: r.SubjectName, Credits: r.Credits,
		Limit: &r.Limit, Reason: r.Reason,
	}
	switch r.State {
	case Granted:
		e.ID, e.Type, e.At, l.Limit, l.Reason = e.ID+":granted", events.LimitRequestGranted, r.DecidedAt, r.Target, ""
	case Declined:
		e.ID, e.Type, e.At, l.Reason = e.ID+":declined", events.LimitRequestDeclined, r.DecidedAt, r.Answer
	case Open, Granting:
	}
	e.LimitRequest = &l
	m, err := events.EncodeAlert(e)
	if err != nil {
		return nil, err
	}
	return &notice{
		ref: d.o.Documents.Collection("outbox").Doc(strings.ReplaceAll(e.ID, ":", "-")), message: m,
		doc: outboxDoc{V: 1, Org: org, At: e.At, Messages: []outboxMessage{{Topic: m.Topic, ID: m.ID, Data: string(m.Data)}}},
	}, nil
}

// publish tells what a transaction wrote down, and removes it from the outbox. What it does not manage, the outbox's sweep does.
func (d *Desk) publish(ctx context.Context, n *notice) {
	if n == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTimeout)
	defer cancel()
	err := d.o.Publisher.Publish(ctx, []events.Message{n.message})
	if err == nil {
		_, err = n.ref.Delete(ctx)
	}
	if err != nil {
		d.o.Logger.WarnContext(ctx, "a limit request's notice is left to the outbox", slog.String("notice", n.message.ID), slog.Any("error", err))
	}
}
