package topups

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/versioned"
)

// storeTimeout bounds one use of the store, with its repeats.
const storeTimeout = 8 * time.Second

const (
	// maxAttempts is how often a record is written before the store counts as unavailable: whoever loses a race finds most of it done.
	maxAttempts = 6
	// retryPause is the mean wait before the first repeat; it doubles with each.
	retryPause = 10 * time.Millisecond
)

type settingsDocument struct {
	V int64 `firestore:"v"`
	Settings
}

type attemptDocument struct {
	V int64 `firestore:"v"`
	Attempt
}

// store keeps settings and attempts. Every write states what it was decided on; one that comes too late, or whose answer is lost, is decided
// again on what is there.
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

// getAttempt reads an organisation's settings, and an attempt; nil for none.
func (s store) getAttempt(ctx context.Context, org string, n int64) (Settings, *Attempt, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	r, err := s.load(ctx, org, n)
	if err != nil {
		return Settings{}, nil, unavailable(fmt.Errorf("read attempt %d of the auto top-up of %s: %w", n, org, err))
	}
	return r.settings, r.attempt, nil
}

// change makes an organisation's settings what do says, and returns them. Doing so again changes nothing more.
func (s store) change(ctx context.Context, org string, do func(Settings) Settings) (out Settings, err error) {
	err = s.insist(ctx, func(ctx context.Context) error {
		old, err := s.load(ctx, org, 0)
		if err != nil {
			return err
		}
		if out = do(old.settings); out == old.settings {
			return nil
		}
		return s.commit(ctx, func(tx *firestore.Transaction) error { return s.writeSettings(tx, old, out) })
	})
	if err != nil {
		return Settings{}, unavailable(fmt.Errorf("change the auto top-up of %s: %w", org, err))
	}
	return out, nil
}

// changeAttempt makes an attempt, nil for one that is not there, what do says, together with the settings.
func (s store) changeAttempt(ctx context.Context, org string, n int64, do func(Settings, *Attempt) (Settings, Attempt)) (out Attempt, err error) {
	err = s.insist(ctx, func(ctx context.Context) error {
		old, err := s.load(ctx, org, n)
		if err != nil {
			return err
		}
		var set Settings
		if set, out = do(old.settings, old.attempt); old.attempt != nil && out == *old.attempt {
			return nil
		}
		return s.commit(ctx, func(tx *firestore.Transaction) error {
			doc := s.attempt(org, n)
			if old.attempt == nil {
				err = tx.Create(doc, attemptDocument{V: schemaVersion, Attempt: out})
			} else {
				err = tx.Update(doc, []firestore.Update{
					{Path: "state", Value: out.State}, {Path: "code", Value: out.Code}, {Path: "ended_at", Value: out.EndedAt},
				}, firestore.LastUpdateTime(old.attemptAt))
			}
			if err != nil || set == old.settings {
				return err
			}
			return s.writeSettings(tx, old, set)
		})
	})
	if err != nil {
		return Attempt{}, unavailable(fmt.Errorf("attempt %d of the auto top-up of %s: %w", n, org, err))
	}
	return out, nil
}

func (s store) writeSettings(tx *firestore.Transaction, old records, next Settings) error {
	doc := s.settings(next.Org)
	if old.settingsAt.IsZero() {
		return tx.Create(doc, settingsDocument{V: schemaVersion, Settings: next})
	}
	return tx.Update(doc, []firestore.Update{
		{Path: "enabled", Value: next.Enabled}, {Path: "threshold", Value: next.Threshold}, {Path: "package", Value: next.Package},
		{Path: "monthly_cap", Value: next.MonthlyCap}, {Path: "currency", Value: next.Currency}, {Path: "revision", Value: next.Revision},
		{Path: "window", Value: next.Window}, {Path: "spent", Value: next.Spent}, {Path: "breaker", Value: next.Breaker},
		{Path: "updated_at", Value: next.UpdatedAt}, {Path: "resuming", Value: next.Resuming}, {Path: "resume_at", Value: orDelete(next.ResumeAt)},
	}, firestore.LastUpdateTime(old.settingsAt))
}

// orDelete is a time, or that its field goes: what has none is not found by it.
func orDelete(t time.Time) any {
	if t.IsZero() {
		return firestore.Delete
	}
	return t
}

// due lists organisations by when their cap's month was over, the longest first.
func (s store) due(ctx context.Context, now time.Time, most int) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	snapshots, err := s.client.Collection("autoTopUps").Where("resume_at", "<=", now).OrderBy("resume_at", firestore.Asc).Limit(most).Documents(ctx).GetAll()
	if err != nil {
		return nil, unavailable(fmt.Errorf("find the caps whose month is over: %w", err))
	}
	out := make([]string, len(snapshots))
	for i, snapshot := range snapshots {
		out[i] = snapshot.Ref.ID
	}
	return out, nil
}

// records are settings and an attempt as stored; the attempt is nil for none. Each time is the document's update time, zero for none.
type records struct {
	settings   Settings
	settingsAt time.Time
	attempt    *Attempt
	attemptAt  time.Time
}

// load reads settings and, but for 0, an attempt, at one moment.
func (s store) load(ctx context.Context, org string, n int64) (r records, err error) {
	refs := []*firestore.DocumentRef{s.settings(org)}
	if n != 0 {
		refs = append(refs, s.attempt(org, n))
	}
	snapshots, err := s.client.GetAll(ctx, refs)
	if err != nil {
		return records{}, err
	}
	set := settingsDocument{Settings: Settings{Org: org}}
	if snapshots[0].Exists() {
		r.settingsAt = snapshots[0].UpdateTime
		err = read(snapshots[0], nil, &set)
	}
	r.settings = set.Settings
	if n != 0 && snapshots[1].Exists() && err == nil {
		var d attemptDocument
		r.attemptAt, r.attempt = snapshots[1].UpdateTime, &d.Attempt
		err = read(snapshots[1], nil, &d)
	}
	return r, err
}

// commit writes all or nothing, on the conditions that the writes state. It reads nothing, so that who dies in it leaves no locks behind.
func (s store) commit(ctx context.Context, write func(*firestore.Transaction) error) error {
	return s.client.RunTransaction(ctx, func(_ context.Context, tx *firestore.Transaction) error { return write(tx) }, firestore.MaxAttempts(1))
}

// insist repeats what reads, decides and writes, while its writes come too late or their outcome is not known. Each time it reads what is
// there, so that what has taken effect is found done.
func (s store) insist(ctx context.Context, do func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	pause := retryPause
	for attempt := 1; ; attempt++ {
		err := do(ctx)
		if code := status.Code(err); err == nil || attempt == maxAttempts || ctx.Err() != nil || code == codes.Unknown || code == codes.PermissionDenied {
			return err
		}
		wait := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return fmt.Errorf("%w, after %w", ctx.Err(), err)
		}
		pause *= 2
	}
}

// read decodes a document into target, which stays as it is for one that is not there.
func read(snapshot *firestore.DocumentSnapshot, err error, target any) error {
	if status.Code(err) == codes.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	return versioned.Read(snapshot, schemaVersion, target)
}
