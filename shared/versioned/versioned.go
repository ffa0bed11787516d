// Package versioned reads Firestore documents that bear the version of their form, the whole number v.
//
// Invariant: of a document that a newer release wrote nothing is read, since its fields may have other types and other meanings; whoever meets
// one answers `unavailable` and writes nothing. Readers are deployed before writers.
//
// It does not own the forms, nor what wallets consist of, which package ledger reads by itself.
package versioned

import (
	"errors"
	"fmt"

	"cloud.google.com/go/firestore"
)

// ErrNewer says that a document was written by a newer release, whose meaning this one cannot know.
var ErrNewer = errors.New("the document was written by a newer release")

// Read reads a document into target, a pointer, after making sure that its version is known or older. What the document lacks target keeps.
// The error about a newer one wraps [ErrNewer].
func Read(snapshot *firestore.DocumentSnapshot, known int64, target any) error {
	v, err := snapshot.DataAt("v")
	if err != nil {
		return fmt.Errorf("document %s has no version: %w", snapshot.Ref.Path, err)
	}
	switch n, ok := v.(int64); {
	case !ok || n < 1:
		return fmt.Errorf("document %s has the version %v", snapshot.Ref.Path, v)
	case n > known:
		return fmt.Errorf("document %s has the version %d, this release knows %d: %w", snapshot.Ref.Path, n, known, ErrNewer)
	}
	if err := snapshot.DataTo(target); err != nil {
		return fmt.Errorf("decode document %s: %w", snapshot.Ref.Path, err)
	}
	return nil
}
