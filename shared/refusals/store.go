package refusals

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/fluxori/ai-credits/shared/coded"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/versioned"
)

const (
	// schemaVersion is the form of the documents that this release reads and writes.
	schemaVersion = 1
	timeoutRead   = 5 * time.Second
	maxPage       = 500
)

// Error says why refusals cannot be listed. Its code is `invalid_request` or `unavailable`.
type Error struct{ coded.Reason }

func unavailable(format string, args ...any) *Error {
	return &Error{coded.Reason{Is: "unavailable", Says: "Refusals cannot be read or written now; repeat the request.", From: fmt.Errorf(format, args...)}}
}

// document is a refusal in orgs/{org}/refusals.
type document struct {
	V        int64     `firestore:"v"`
	Org      string    `firestore:"org"`
	User     string    `firestore:"user"`
	Team     string    `firestore:"team,omitempty"`
	Feature  string    `firestore:"feature,omitempty"`
	Kind     Kind      `firestore:"kind,omitempty"`
	Credits  int64     `firestore:"credits,omitempty"`
	EventID  string    `firestore:"event_id,omitempty"`
	Actor    string    `firestore:"actor,omitempty"`
	Code     string    `firestore:"code"`
	Blocker  string    `firestore:"blocker,omitempty"`
	Detail   string    `firestore:"detail,omitempty"`
	Details  string    `firestore:"details,omitempty"`
	Count    int64     `firestore:"count"`
	Sampled  bool      `firestore:"sampled,omitempty"`
	FirstAt  time.Time `firestore:"first_at"`
	LastAt   time.Time `firestore:"last_at"`
	ExpireAt time.Time `firestore:"expire_at"`
}

// Store keeps refusals in Firestore. It is safe for concurrent use.
type Store struct {
	client *firestore.Client
	now    func() time.Time
}

var _ Writer = (*Store)(nil)

// NewStore returns a Store. now is the system's clock, by which refusals are forgotten.
func NewStore(client *firestore.Client, now func() time.Time) (*Store, error) {
	if client == nil || now == nil {
		return nil, errors.New("refusals need a client and a clock")
	}
	return &Store{client: client, now: now}, nil
}

func (s *Store) collection(org string) *firestore.CollectionRef {
	return s.client.Collection("orgs").Doc(org).Collection("refusals")
}

// Write implements Writer: one write for each refusal, all in one commit.
func (s *Store) Write(ctx context.Context, rs []Refusal) error {
	var err error
	if len(rs) == 1 { // without a transaction it takes one call instead of two
		_, err = s.collection(rs[0].Org).Doc(rs[0].ID).Set(ctx, encode(rs[0]))
	} else {
		err = s.client.RunTransaction(ctx, func(_ context.Context, tx *firestore.Transaction) error {
			for _, r := range rs {
				if err := tx.Set(s.collection(r.Org).Doc(r.ID), encode(r)); err != nil {
					return err //nolint:wrapcheck // the client decides by the bare error whether to try again
				}
			}
			return nil
		})
	}
	if err != nil {
		return unavailable("write %d refusals: %w", len(rs), err)
	}
	return nil
}

func encode(r Refusal) document {
	return document{
		V: schemaVersion, Org: r.Org, User: r.User, Team: r.Team, Feature: r.Feature, Kind: r.Kind, Credits: r.Credits, EventID: r.EventID,
		Actor: r.Actor, Code: r.Code, Blocker: r.Blocker, Detail: r.Detail, Details: string(r.Details), Count: r.Count, Sampled: r.Sampled,
		FirstAt: r.First, LastAt: r.Last, ExpireAt: r.First.Add(Life),
	}
}

func decode(snapshot *firestore.DocumentSnapshot) (Refusal, error) {
	var d document
	switch err := versioned.Read(snapshot, schemaVersion, &d); {
	case errors.Is(err, versioned.ErrNewer):
		return Refusal{}, unavailable("%w", err)
	case err != nil:
		return Refusal{}, err
	}
	return Refusal{
		ID:      snapshot.Ref.ID,
		Request: Request{Org: d.Org, User: d.User, Team: d.Team, Feature: d.Feature, Kind: d.Kind, Credits: d.Credits, EventID: d.EventID, Actor: d.Actor},
		Code:    d.Code, Blocker: d.Blocker, Detail: d.Detail, Details: json.RawMessage(d.Details), Count: d.Count, Sampled: d.Sampled,
		First: d.FirstAt, Last: d.LastAt,
	}, nil
}

// Query says which refusals are wanted.
type Query struct {
	// User is the user whose refusals are wanted; AnyUser if all are, those too that concern none.
	User    string
	AnyUser bool
	// AfterAt and AfterID are those of the last refusal that was seen: its First and its ID; empty for the newest.
	AfterAt time.Time
	AfterID string
	// Limit is how many are wanted, from 1 to 500.
	Limit int
}

// List returns an organisation's refusals, those first whose first came last. What is older than [Life] is not told, though it may be stored
// for a day longer. A read for each. Errors are an *Error.
func (s *Store) List(ctx context.Context, org string, q Query) ([]Refusal, error) {
	if err := credit.CheckOrg(org); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeoutRead)
	defer cancel()
	found := s.collection(org).OrderBy("first_at", firestore.Desc).OrderBy(firestore.DocumentID, firestore.Desc)
	if !q.AnyUser {
		found = found.Where("user", "==", q.User)
	}
	if q.AfterID != "" {
		if strings.Trim(q.AfterID, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
			return nil, &Error{coded.Reason{Is: "invalid_request", Says: "The page_token is not one that a list gave.", With: map[string]any{"field": "page_token"}}}
		}
		found = found.StartAfter(q.AfterAt, s.collection(org).Doc(q.AfterID))
	}
	snapshots, err := found.Limit(min(max(q.Limit, 1), maxPage)).Documents(ctx).GetAll()
	if err != nil {
		return nil, unavailable("list the refusals of %s: %w", org, err)
	}
	oldest := s.now().Add(-Life)
	out := make([]Refusal, 0, len(snapshots))
	for _, snapshot := range snapshots {
		r, err := decode(snapshot)
		if err != nil {
			return nil, err
		}
		if !r.First.After(oldest) {
			break // and so are all after it
		}
		out = append(out, r)
	}
	return out, nil
}
