package catalogue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/fluxori/ai-credits/shared/coded"
	"github.com/fluxori/ai-credits/shared/versioned"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Seed makes c the first version, unless there is one already: then it changes nothing, whatever c is. It can be
// called any number of times, by any number at once. An error that is not an *Error is Firestore's.
func (s *Store) Seed(ctx context.Context, c *Catalogue) error {
	data, err := c.encode()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	seedOnce := func(_ context.Context, tx *firestore.Transaction) error {
		if seeded, err := s.seeded(tx.Get(s.pointer())); seeded || err != nil {
			return err
		}
		return s.write(tx, c, data, "")
	}
	if err := s.client.RunTransaction(ctx, seedOnce); err != nil {
		// A commit whose answer was lost has seeded all the same, as has somebody who was quicker.
		if seeded, readErr := s.seeded(s.pointer().Get(ctx)); readErr != nil || !seeded {
			return failed(fmt.Errorf("seed catalogue %d: %w", c.Version(), errors.Join(err, readErr)))
		}
	}
	return nil
}

// seeded reports whether a read of the pointer found it.
func (s *Store) seeded(snapshot *firestore.DocumentSnapshot, err error) (bool, error) {
	if status.Code(err) == codes.NotFound {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the pointer to the current catalogue: %w", err)
	}
	_, err = decodePointer(snapshot)
	return err == nil, err
}

// Publish makes c the current version, and notes who published it. Its number must be higher than the current one's; to publish the same document
// again is no error and changes nothing. What would break for those who rely on the current version is refused; [Store.Propose] tells.
//
// Errors are an *InvalidError; an *Error, `not_found` if nothing has been seeded, `invalid_request` if the number is
// taken, `unavailable` if a newer release has written; or Firestore's.
func (s *Store) Publish(ctx context.Context, c *Catalogue, by string) error {
	data, err := c.encode()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	begin := s.opts.Now()
	var current bool
	publish := func(_ context.Context, tx *firestore.Transaction) (err error) {
		current, err = s.publish(tx, c, data, by)
		return err
	}
	if err := s.client.RunTransaction(ctx, publish); err != nil {
		if explained(err) {
			return fmt.Errorf("publish catalogue %d: %w", c.Version(), err)
		}
		// A commit whose answer was lost has published all the same: the transaction, repeated, finds its own work.
		if again := s.client.RunTransaction(ctx, publish); again != nil {
			return failed(fmt.Errorf("publish catalogue %d: %w", c.Version(), errors.Join(err, again)))
		}
	}
	s.versions.Put(c.Version(), c)
	if current {
		s.adopt(c, begin, nil)
	}
	return nil
}

// publish is the body of Publish's transaction. It reports whether c is now the current version: a version that was
// published before need not be.
func (s *Store) publish(tx *firestore.Transaction, c *Catalogue, data []byte, by string) (current bool, err error) {
	snapshot, err := tx.Get(s.pointer())
	if status.Code(err) == codes.NotFound {
		return false, &Error{coded.Reason{Is: "not_found", Says: "There is no catalogue yet: seed it first."}}
	}
	if err != nil {
		return false, fmt.Errorf("read the pointer to the current catalogue: %w", err)
	}
	p, err := decodePointer(snapshot)
	if err != nil {
		return false, err
	}
	if c.Version() <= p.Version {
		return c.Version() == p.Version, s.samePublished(tx, c, data, p.Version)
	}
	if snapshot, err = tx.Get(s.version(p.Version)); err != nil {
		return false, fmt.Errorf("read catalogue %d: %w", p.Version, err)
	}
	before, _, err := decodeVersion(snapshot, p.Version)
	if err != nil {
		return false, err
	}
	if broken := before.brokenBy(c); len(broken) > 0 {
		return false, &InvalidError{Version: c.Version(), Problems: broken}
	}
	return true, s.write(tx, c, data, by)
}

// samePublished returns nil if what is published under c's number is c.
func (s *Store) samePublished(tx *firestore.Transaction, c *Catalogue, data []byte, current int64) error {
	taken := &Error{coded.Reason{
		Is:   "invalid_request",
		Says: fmt.Sprintf("The current version is %d; a new one must have a higher number than that, not %d.", current, c.Version()),
		With: map[string]any{"field": "version", "current": current},
	}}
	snapshot, err := tx.Get(s.version(c.Version()))
	if status.Code(err) == codes.NotFound {
		return taken
	}
	if err != nil {
		return fmt.Errorf("read catalogue %d: %w", c.Version(), err)
	}
	_, published, err := decodeVersion(snapshot, c.Version())
	if err != nil {
		return err
	}
	if published.Document != string(data) {
		return taken
	}
	return nil
}

// write creates c's document, which fails if there is one, and points to it.
func (s *Store) write(tx *firestore.Transaction, c *Catalogue, data []byte, by string) error {
	if err := tx.Create(s.version(c.Version()), record{V: schemaVersion, Version: c.Version(), Document: string(data), PublishedBy: by}); err != nil {
		return fmt.Errorf("create catalogue %d: %w", c.Version(), err)
	}
	if err := tx.Set(s.pointer(), pointer{V: schemaVersion, Version: c.Version()}); err != nil {
		return fmt.Errorf("point to catalogue %d: %w", c.Version(), err)
	}
	return nil
}

// Publication is a version as it was published.
type Publication struct {
	*Catalogue
	At time.Time
	// By is the subject of who published it; empty for what was seeded.
	By string
	// InForce says that it is the current version.
	InForce bool
}

// Published reads a version that was published, or with 0 the current one, as it is in the store now. Errors are an *Error: `not_found` if there is
// no such version, or `unavailable`.
func (s *Store) Published(ctx context.Context, version int64) (Publication, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	snapshot, err := s.pointer().Get(ctx)
	if err != nil {
		return Publication{}, unavailable(fmt.Errorf("read the pointer to the current catalogue: %w", err))
	}
	p, err := decodePointer(snapshot)
	if err != nil {
		return Publication{}, unavailable(err)
	}
	if version == 0 {
		version = p.Version
	}
	snapshot, err = s.version(version).Get(ctx)
	if status.Code(err) == codes.NotFound {
		return Publication{}, notFound("version", strconv.FormatInt(version, 10))
	}
	if err != nil {
		return Publication{}, unavailable(fmt.Errorf("read catalogue %d: %w", version, err))
	}
	c, r, err := decodeVersion(snapshot, version)
	if err != nil {
		return Publication{}, unavailable(err)
	}
	return Publication{Catalogue: c, At: r.CreatedAt, By: r.PublishedBy, InForce: version == p.Version}, nil
}

// explained reports whether err explains itself to the caller, so that nothing about it is unclear.
func explained(err error) bool {
	_, refused := errors.AsType[*Error](err)
	_, invalid := errors.AsType[*InvalidError](err)
	return refused || invalid
}

// failed makes what a newer release has written `unavailable`, and leaves other errors as they are.
func failed(err error) error {
	if errors.Is(err, versioned.ErrNewer) {
		return unavailable(err)
	}
	return err
}
