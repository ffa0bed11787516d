package topups

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// storeTimeout bounds one use of the store, with its repeats.
const storeTimeout = 8 * time.Second

type settingsDocument struct {
	V int64 `firestore:"v"`
	Settings
}

type attemptDocument struct {
	V int64 `firestore:"v"`
	Attempt
}

// store keeps settings and attempts.
type store struct{ client *firestore.Client }

func (s store) settings(org string) *firestore.DocumentRef {
	return s.client.Collection("autoTopUps").Doc(org)
}

func (s store) attempt(org string, n int64) *firestore.DocumentRef {
	return s.settings(org).Collection("attempts").Doc(strconv.FormatInt(n, 10))
}

// get reads an organisation's settings; those of one that never wished anything are empty.
func (s store) get(ctx context.Context, org string) (Settings, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	snapshot, err := s.settings(org).Get(ctx)
	d := settingsDocument{Settings: Settings{Org: org}}
	if err := read(snapshot, err, &d); err != nil {
		return Settings{}, unavailable(fmt.Errorf("read the auto top-up of %s: %w", org, err))
	}
	return d.Settings, nil
}

// change makes an organisation's settings what do says, and returns them. Doing so again changes nothing more.
func (s store) change(ctx context.Context, org string, do func(Settings) Settings) (out Settings, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	err = s.client.RunTransaction(ctx, func(_ context.Context, tx *firestore.Transaction) error {
		old, err := s.load(tx, org)
		if err != nil {
			return err
		}
		if out = do(old); out == old {
			return nil
		}
		return tx.Set(s.settings(org), settingsDocument{V: schemaVersion, Settings: out})
	})
	if err != nil {
		return Settings{}, unavailable(fmt.Errorf("change the auto top-up of %s: %w", org, err))
	}
	return out, nil
}

// changeAttempt makes an attempt, nil for one that is not there, what do says, together with the settings.
func (s store) changeAttempt(ctx context.Context, org string, n int64, do func(Settings, *Attempt) (Settings, Attempt)) (set Settings, out Attempt, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	err = s.client.RunTransaction(ctx, func(_ context.Context, tx *firestore.Transaction) error {
		old, err := s.load(tx, org)
		if err != nil {
			return err
		}
		snapshot, err := tx.Get(s.attempt(org, n))
		var d attemptDocument
		if err := read(snapshot, err, &d); err != nil {
			return err
		}
		var was *Attempt
		if d.V != 0 {
			was = &d.Attempt
		}
		if set, out = do(old, was); was != nil && out == *was {
			return nil
		}
		if err := tx.Set(s.attempt(org, n), attemptDocument{V: schemaVersion, Attempt: out}); err != nil {
			return err
		}
		return tx.Set(s.settings(org), settingsDocument{V: schemaVersion, Settings: set})
	})
	if err != nil {
		return Settings{}, Attempt{}, unavailable(fmt.Errorf("attempt %d of the auto top-up of %s: %w", n, org, err))
	}
	return set, out, nil
}

func (s store) load(tx *firestore.Transaction, org string) (Settings, error) {
	snapshot, err := tx.Get(s.settings(org))
	d := settingsDocument{Settings: Settings{Org: org}}
	err = read(snapshot, err, &d)
	return d.Settings, err
}

// read decodes a document into target, which stays as it is for one that is not there, after making sure that its form is known.
func read(snapshot *firestore.DocumentSnapshot, err error, target any) error {
	if status.Code(err) == codes.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	v, err := snapshot.DataAt("v")
	if err != nil {
		return fmt.Errorf("document %s has no schema version: %w", snapshot.Ref.Path, err)
	}
	if n, ok := v.(int64); !ok || n != schemaVersion {
		return fmt.Errorf("document %s has the schema version %v: %w", snapshot.Ref.Path, v, errNewer)
	}
	return snapshot.DataTo(target)
}
