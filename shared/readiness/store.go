package readiness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"cloud.google.com/go/firestore"
	"golang.org/x/sync/singleflight"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/lru"
	"github.com/fluxori/ai-credits/shared/versioned"
)

const (
	// Staleness is how old what is told may be.
	Staleness = 5 * time.Second
	// schemaVersion is the form of the documents that this release reads and writes.
	schemaVersion = 1
	// documentsMax is how many documents are kept in memory: the one about all features, and an organisation's each. They have a few hundred
	// bytes, at most 64 KiB.
	documentsMax = 1000
	timeoutRead  = 2 * time.Second
	timeoutWrite = 5 * time.Second
)

// Features knows the features there are, as a *catalogue.Store does.
type Features interface {
	Current(ctx context.Context) (*catalogue.Catalogue, error)
}

// Options are what a Store stands on.
type Options struct {
	Documents *firestore.Client
	Features  Features
	Log       *slog.Logger
	// Now is the system's clock, by which ends pass.
	Now func() time.Time
	// MachineNow is the machine's clock, by which what is in memory ages. The default is time.Now.
	MachineNow func() time.Time
}

// Store keeps in Firestore what was said of features. It is safe for concurrent use.
type Store struct {
	opts   Options
	flight singleflight.Group
	// read are documents as they were read, by path.
	read *lru.Cache[string, reading]
}

// reading is a document as it was when a read of it began.
type reading struct {
	document document
	at       time.Time
}

// document is what was said of features: availability/features of all organisations, orgs/{org}/readiness/features of one. What can be run has
// no statement.
type document struct {
	V        int64                `firestore:"v"`
	Features map[string]statement `firestore:"features"`
}

type statement struct {
	Reason    string    `firestore:"reason,omitempty"`
	Until     time.Time `firestore:"until,omitempty"`
	Missing   []string  `firestore:"missing,omitempty"`
	ChangedAt time.Time `firestore:"changed_at"`
	ChangedBy string    `firestore:"changed_by"`
}

// NewStore returns a Store.
func NewStore(o Options) (*Store, error) {
	if o.Documents == nil || o.Features == nil || o.Log == nil || o.Now == nil {
		return nil, errors.New("readiness needs documents, features, a logger and a clock")
	}
	if o.MachineNow == nil {
		o.MachineNow = time.Now
	}
	return &Store{opts: o, read: lru.New[string, reading](documentsMax)}, nil
}

func (s *Store) availability() *firestore.DocumentRef {
	return s.opts.Documents.Collection("availability").Doc("features")
}

func (s *Store) readiness(org string) *firestore.DocumentRef {
	return s.opts.Documents.Collection("orgs").Doc(org).Collection("readiness").Doc("features")
}

// Against lists what stands against beginning work of a feature for an organisation: that it is unavailable, then that data is missing. No
// read while what is known is fresh, else one for each of the two. The error is an *Error, `unavailable`.
func (s *Store) Against(ctx context.Context, org, feature string) ([]*Error, error) {
	if err := credit.CheckOrg(org); err != nil {
		return nil, err
	}
	all, err := s.recent(ctx, s.availability())
	if err != nil {
		return nil, err
	}
	one, err := s.recent(ctx, s.readiness(org))
	if err != nil {
		return nil, err
	}
	var out []*Error
	if said, ok := all.Features[feature]; ok {
		if e := (Availability{Reason: said.Reason, Until: said.Until}).against(feature, s.opts.Now()); e != nil {
			out = append(out, e)
		}
	}
	if said, ok := one.Features[feature]; ok {
		out = append(out, Readiness{Missing: said.Missing}.against(feature))
	}
	return out, nil
}

// recent is a document as it was no longer than Staleness ago. Those who want it at the same time share one read.
func (s *Store) recent(ctx context.Context, ref *firestore.DocumentRef) (document, error) {
	if r, ok := s.read.Get(ref.Path); ok {
		if age := s.opts.MachineNow().Sub(r.at); age >= 0 && age < Staleness {
			return r.document, nil
		}
	}
	done := s.flight.DoChan(ref.Path, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeoutRead) // one caller going away must not fail the others
		defer cancel()
		begin := s.opts.MachineNow()
		snapshot, err := ref.Get(ctx)
		d, err := decode(snapshot, err)
		if err == nil {
			s.keep(ref, d, begin)
		}
		return d, err
	})
	select {
	case r := <-done:
		d, _ := r.Val.(document)
		return d, r.Err
	case <-ctx.Done():
		return document{}, unavailable("wait for %s: %w", ref.Path, context.Cause(ctx))
	}
}

// keep remembers a document, unless what is remembered was read later.
func (s *Store) keep(ref *firestore.DocumentRef, d document, at time.Time) {
	if r, ok := s.read.Get(ref.Path); !ok || !r.at.After(at) {
		s.read.Put(ref.Path, reading{d, at})
	}
}

// decode reads a document; one that does not exist says nothing.
func decode(snapshot *firestore.DocumentSnapshot, err error) (document, error) {
	if status.Code(err) == codes.NotFound {
		return document{}, nil
	}
	if err != nil {
		return document{}, unavailable("read what was said of features: %w", err)
	}
	var d document
	if err = versioned.Read(snapshot, schemaVersion, &d); errors.Is(err, versioned.ErrNewer) {
		err = unavailable("%w", err)
	}
	return d, err
}

// SetAvailability says whether a feature is available. Other instances know at most Staleness later. The error is a *catalogue.Error,
// `unknown_feature`, or an *Error, `invalid_request` or `unavailable`.
func (s *Store) SetAvailability(ctx context.Context, feature string, a Availability, actor string) error {
	if err := a.check(s.opts.Now()); err != nil {
		return err
	}
	var said *statement
	if !a.Available {
		said = &statement{Reason: a.Reason, Until: exact(a.Until)}
	}
	return s.set(ctx, s.availability(), feature, said, actor)
}

// SetReadiness says whether an organisation has the data that a feature needs. Whether there is such an organisation is the caller's to know.
// Errors are those of SetAvailability.
func (s *Store) SetReadiness(ctx context.Context, org, feature string, r Readiness, actor string) error {
	if err := credit.CheckOrg(org); err != nil {
		return err
	}
	if err := r.check(); err != nil {
		return err
	}
	var said *statement
	if !r.Ready {
		said = &statement{Missing: r.Missing}
	}
	return s.set(ctx, s.readiness(org), feature, said, actor)
}

// set replaces a feature's statement in a document, or takes it away.
func (s *Store) set(ctx context.Context, ref *firestore.DocumentRef, feature string, said *statement, actor string) error {
	current, err := s.opts.Features.Current(ctx)
	if err != nil {
		return fmt.Errorf("find feature %s: %w", feature, err)
	}
	if err := known(current, feature); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeoutWrite)
	defer cancel()
	var d document
	var read time.Time
	err = s.opts.Documents.RunTransaction(ctx, func(_ context.Context, tx *firestore.Transaction) error {
		read = s.opts.MachineNow()
		snapshot, err := tx.Get(ref)
		if status.Code(err) != codes.NotFound && err != nil {
			return err //nolint:wrapcheck // the client decides by the bare error whether to try again
		}
		before, err := decode(snapshot, err)
		if err != nil {
			return err
		}
		now := exact(s.opts.Now())
		d = document{V: schemaVersion, Features: map[string]statement{}}
		for id, old := range before.Features {
			if id != feature && (old.Until.IsZero() || now.Before(old.Until)) {
				d.Features[id] = old
			}
		}
		if said != nil {
			said.ChangedAt, said.ChangedBy = now, actor
			d.Features[feature] = *said
		}
		if len(d.Features) > maxFeatures {
			return invalid("feature", fmt.Sprintf("At most %d features can be said not to run.", maxFeatures))
		}
		return tx.Set(ref, d)
	})
	if err != nil {
		if _, ok := errors.AsType[*Error](err); ok {
			return fmt.Errorf("say of feature %s whether it runs: %w", feature, err)
		}
		return unavailable("say of feature %s whether it runs: %w", feature, err)
	}
	s.keep(ref, d, read)
	s.opts.Log.InfoContext(ctx, "whether a feature runs was changed", slog.String("document", ref.Path), slog.String("feature", feature),
		slog.Bool("runs", said == nil), slog.String("actor", actor))
	return nil
}

// exact is a time as it is stored: UTC, in whole microseconds.
func exact(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
