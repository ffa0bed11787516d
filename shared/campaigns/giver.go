package campaigns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/orgs"
	"github.com/fluxori/ai-credits/shared/versioned"
)

const (
	// schemaVersion is the form of the documents that this release reads and writes.
	schemaVersion = 1
	// changeTimeout bounds one change with its repeats, grantTimeout one grant.
	changeTimeout = 10 * time.Second
	grantTimeout  = 8 * time.Second
	// maxAttempts is how often a change is begun whose outcome is not known; the client repeats those that lost a race by itself.
	maxAttempts = 4
	retryPause  = 20 * time.Millisecond
)

// Ledger carries out commands on wallets.
type Ledger interface {
	Do(ctx context.Context, org string, c credit.Command) (ledger.Result, error)
	// Redo is Do for a command that has probably been carried out before.
	Redo(ctx context.Context, org string, c credit.Command) (ledger.Result, error)
}

// Organisations knows organisations, as an *orgs.Store does.
type Organisations interface {
	Get(ctx context.Context, org string) (orgs.Org, error)
}

// Prices finds the catalogue in force, which says what referrals give.
type Prices interface {
	Current(ctx context.Context) (*catalogue.Catalogue, error)
}

// Options are what a Giver works with. All are required.
type Options struct {
	Documents *firestore.Client
	Ledger    Ledger
	Orgs      Organisations
	Prices    Prices
	// Now is the system's clock.
	Now func() time.Time
	Log *slog.Logger
}

// Giver gives what promotions and referrals promise. It is safe for concurrent use.
type Giver struct{ opts Options }

// NewGiver makes a Giver.
func NewGiver(o Options) (*Giver, error) {
	if o.Documents == nil || o.Ledger == nil || o.Orgs == nil || o.Prices == nil || o.Now == nil || o.Log == nil {
		return nil, errors.New("giving credits away needs a store, a ledger, organisations, prices, a clock and a logger")
	}
	return &Giver{opts: o}, nil
}

// Request is a code that somebody enters for an organisation.
type Request struct {
	Org string
	// By is who enters it: the person's subject.
	By   string
	Code string
	// Key is the caller's idempotency key, 1–128 bytes, one space per organisation and kind of code: the same code again is the same result.
	Key string
}

func (r Request) check() error {
	if err := errors.Join(credit.CheckOrg(r.Org), credit.CheckID("Idempotency-Key", r.Key)); err != nil {
		return fmt.Errorf("a code for %q: %w", r.Org, err)
	}
	return nil
}

func (g *Giver) doc(collection, id string) *firestore.DocumentRef {
	return g.opts.Documents.Collection(collection).Doc(id)
}

func (g *Giver) standing(org string) *firestore.DocumentRef { return g.doc("campaigns", org) }

// now is the moment that documents are dated with, in Firestore's precision.
func (g *Giver) now() time.Time { return g.opts.Now().UTC().Truncate(time.Microsecond) }

// change runs a transaction. Its body finds what it has done before, so that it can be run again when its outcome is not known: an answer that was
// lost is no second change. What the body returns of an *Error is the reason; any other failure is `unavailable`.
func (g *Giver) change(ctx context.Context, what string, body func(tx *firestore.Transaction) error) error {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	var err error
	for attempt := range maxAttempts {
		err = g.opts.Documents.RunTransaction(ctx, func(_ context.Context, tx *firestore.Transaction) error { return body(tx) })
		if _, explained := errors.AsType[*Error](err); err == nil || explained {
			return err //nolint:wrapcheck // the error is what the body returned
		}
		wait := time.NewTimer(retryPause/2<<attempt + rand.N(retryPause<<attempt))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return unavailable(fmt.Errorf("%s: %w, after %w", what, ctx.Err(), err))
		}
	}
	return unavailable(fmt.Errorf("%s: %w", what, err))
}

// read reads a document into target unless it does not exist, after making sure that its form is the one that is known.
func read[T any](snapshot *firestore.DocumentSnapshot, target *T) error {
	if !snapshot.Exists() {
		return nil
	}
	err := versioned.Read(snapshot, schemaVersion, target)
	if errors.Is(err, versioned.ErrNewer) {
		return unavailable(err)
	}
	return err
}

// into reads a document into target.
func into[T any](target *T) func(*firestore.DocumentSnapshot) error {
	return func(s *firestore.DocumentSnapshot) error { return read(s, target) }
}

// written is a document to be written.
type written struct {
	ref   *firestore.DocumentRef
	value any
}

func set(tx *firestore.Transaction, writes ...written) error {
	for _, w := range writes {
		if err := tx.Set(w.ref, w.value); err != nil {
			return fmt.Errorf("write %s: %w", w.ref.Path, err)
		}
	}
	return nil
}

// give grants a reward. Again says that it has probably been granted before.
func (g *Giver) give(ctx context.Context, r reward, again bool) error {
	ctx, cancel := context.WithTimeout(ctx, grantTimeout)
	defer cancel()
	do := g.opts.Ledger.Do
	if again {
		do = g.opts.Ledger.Redo
	}
	if _, err := do(ctx, r.Org, r.grant()); err != nil {
		return fmt.Errorf("grant %s to %s: %w", r.Key, r.Org, err)
	}
	return nil
}
