package deadletters

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fluxori/ai-credits/shared/coded"
	"github.com/fluxori/ai-credits/shared/versioned"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	collection = "deadLetters"
	// schemaVersion is the form of the documents that this release reads and writes.
	schemaVersion = 1
	// Bounds of a page.
	pageDefault = 50
	pageMax     = 200
)

// Error says why a letter cannot be put aside, found or replayed. Its code is `not_found`, `invalid_request` or `unavailable`.
type Error struct{ coded.Reason }

func unavailable(cause error) *Error {
	return &Error{coded.Reason{Is: "unavailable", Says: "Dead letters cannot be read or written now; repeat the request.", From: cause}}
}

var errNotFound = &Error{coded.Reason{Is: "not_found", Says: "There is no such dead letter."}}

// document is a letter as stored. Its fields have no indexes but those that lists need.
type document struct {
	V          int64             `firestore:"v"`
	Topic      string            `firestore:"topic"`
	MessageID  string            `firestore:"message_id"`
	Code       string            `firestore:"code"`
	Reason     string            `firestore:"reason"`
	Data       []byte            `firestore:"data"`
	Size       int64             `firestore:"size"`
	Cut        bool              `firestore:"cut"`
	Attributes map[string]string `firestore:"attributes"`
	FirstSeen  time.Time         `firestore:"first_seen_at"`
	LastSeen   time.Time         `firestore:"last_seen_at"`
	Failures   int64             `firestore:"failures"`
	Attempts   int64             `firestore:"attempts"`
	State      State             `firestore:"state"`
	Replays    int64             `firestore:"replays"`
	ReplayedAt time.Time         `firestore:"replayed_at,omitempty"`
	ReplayedBy string            `firestore:"replayed_by,omitempty"`
}

func encode(l Letter) document {
	return document{
		V: schemaVersion, Topic: l.Topic, MessageID: l.MessageID, Code: l.Code, Reason: l.Reason, Data: l.Data, Size: l.Size, Cut: l.Cut,
		Attributes: l.Attributes, FirstSeen: l.FirstSeen, LastSeen: l.LastSeen, Failures: l.Failures, Attempts: l.Attempts, State: l.State,
		Replays: l.Replays, ReplayedAt: l.ReplayedAt, ReplayedBy: l.ReplayedBy,
	}
}

func decode(snapshot *firestore.DocumentSnapshot) (Letter, error) {
	var d document
	switch err := versioned.Read(snapshot, schemaVersion, &d); {
	case errors.Is(err, versioned.ErrNewer):
		return Letter{}, unavailable(err)
	case err != nil:
		return Letter{}, err
	}
	return Letter{
		ID: snapshot.Ref.ID, Topic: d.Topic, MessageID: d.MessageID, Code: d.Code, Reason: d.Reason, Data: d.Data, Size: d.Size, Cut: d.Cut,
		Attributes: d.Attributes, FirstSeen: d.FirstSeen, LastSeen: d.LastSeen, Failures: d.Failures, Attempts: d.Attempts, State: d.State,
		Replays: d.Replays, ReplayedAt: d.ReplayedAt, ReplayedBy: d.ReplayedBy,
	}, nil
}

func (s *Store) ref(id string) *firestore.DocumentRef { return s.client.Collection(collection).Doc(id) }

// create adds a letter; one that is there stays as it is.
func (s *Store) create(ctx context.Context, id string, l Letter) error {
	_, err := s.ref(id).Create(ctx, encode(l))
	if err != nil && status.Code(err) != codes.AlreadyExists {
		return unavailable(fmt.Errorf("put letter %s aside: %w", id, err))
	}
	return nil
}

// failAgain records that a letter's replay failed; known is false if there is no such letter, or the message is not its replay.
func (s *Store) failAgain(ctx context.Context, id string, f Failure) (known bool, err error) {
	err = s.change(ctx, id, func(l Letter) (Letter, bool) {
		if known = l.Topic == f.Topic && !l.Cut && string(l.Data) == string(f.Push.Data); !known {
			return l, false
		}
		return s.again(l, f)
	})
	if errors.Is(err, errNotFound) {
		return false, nil
	}
	return known, err
}

// markReplayed records a replay of a letter that was read before it. If it has failed since, it goes on waiting.
func (s *Store) markReplayed(ctx context.Context, read Letter, by string) (out Letter, err error) {
	err = s.change(ctx, read.ID, func(l Letter) (Letter, bool) {
		l.Replays++
		l.ReplayedAt, l.ReplayedBy = s.now().UTC().Truncate(time.Microsecond), by
		if l.Failures == read.Failures {
			l.State = Replayed
		}
		out = l
		return l, true
	})
	return out, err
}

// change replaces a letter by what edit makes of it, unless edit says that there is nothing to change.
func (s *Store) change(ctx context.Context, id string, edit func(Letter) (Letter, bool)) error {
	err := s.client.RunTransaction(ctx, func(_ context.Context, tx *firestore.Transaction) error {
		snapshot, err := tx.Get(s.ref(id))
		if status.Code(err) == codes.NotFound {
			return errNotFound
		}
		if err != nil {
			return err //nolint:wrapcheck // the client decides by the bare error whether to try again
		}
		l, err := decode(snapshot)
		if err != nil {
			return err
		}
		l, changed := edit(l)
		if !changed {
			return nil
		}
		return tx.Set(s.ref(id), encode(l))
	})
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return fmt.Errorf("change letter %s: %w", id, err)
	}
	return unavailable(fmt.Errorf("change letter %s: %w", id, err))
}

// Get returns a letter. Errors are an *Error, `not_found` or `unavailable`.
func (s *Store) Get(ctx context.Context, id string) (Letter, error) {
	if !validID(id) {
		return Letter{}, errNotFound
	}
	snapshot, err := s.ref(id).Get(ctx)
	if status.Code(err) == codes.NotFound {
		return Letter{}, errNotFound
	}
	if err != nil {
		return Letter{}, unavailable(fmt.Errorf("read letter %s: %w", id, err))
	}
	return decode(snapshot)
}

// Query says which letters are wanted.
type Query struct {
	// State is Waiting or Replayed; empty for all.
	State State
	// Size is how many are wanted: 50 if zero, at most 200.
	Size int
	// Token is the Next of the page before; empty for the first.
	Token string
}

// Page is a part of a list.
type Page struct {
	Letters []Letter
	// Next asks for the page after this one; empty after the last.
	Next string
}

// List returns letters, those first that were put aside last. A read for each. Errors are an *Error: `invalid_request` for a token that
// List did not give, or `unavailable`.
func (s *Store) List(ctx context.Context, q Query) (Page, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	size := q.Size
	if size <= 0 {
		size = pageDefault
	}
	size = min(size, pageMax)
	query := s.client.Collection(collection).OrderBy("first_seen_at", firestore.Desc).OrderBy(firestore.DocumentID, firestore.Desc).Limit(size + 1)
	if q.State != "" {
		query = query.Where("state", "==", string(q.State))
	}
	if q.Token != "" {
		at, id, ok := parseToken(q.Token)
		if !ok {
			return Page{}, &Error{coded.Reason{Is: "invalid_request", Says: "The page_token is not one that a list gave."}}
		}
		query = query.StartAfter(at, s.ref(id))
	}
	snapshots, err := query.Documents(ctx).GetAll()
	if err != nil {
		return Page{}, unavailable(fmt.Errorf("list letters: %w", err))
	}
	var out Page
	for i, snapshot := range snapshots {
		if i == size {
			last := out.Letters[size-1]
			out.Next = token(last.FirstSeen, last.ID)
			break
		}
		l, err := decode(snapshot)
		if err != nil {
			return Page{}, err
		}
		out.Letters = append(out.Letters, l)
	}
	return out, nil
}

func token(at time.Time, id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(at.UnixMicro(), 10) + "." + id))
}

func parseToken(t string) (at time.Time, id string, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(t)
	if err != nil {
		return time.Time{}, "", false
	}
	micros, id, _ := strings.Cut(string(raw), ".")
	n, err := strconv.ParseInt(micros, 10, 64)
	return time.UnixMicro(n).UTC(), id, err == nil && validID(id)
}
