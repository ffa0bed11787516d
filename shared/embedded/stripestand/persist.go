package stripestand

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"
)

const (
	snapshotVersion = 1
	// saveEvery gathers changes into one snapshot.
	saveEvery = 200 * time.Millisecond
	// saveShare keeps saving a large state to a tenth of the time.
	saveShare = 10
)

// Snapshot returns the whole state as JSON.
func (s *Stand) Snapshot() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, err := json.Marshal(&s.st)
	if err != nil {
		return nil, fmt.Errorf("stripestand: encoding the state: %w", err)
	}
	return data, nil
}

// Restore replaces the whole state by what Snapshot returned. Webhooks that
// were waiting wait again, without their back-off.
func (s *Stand) Restore(data []byte) error {
	var st state
	if err := json.Unmarshal(data, &st); err != nil {
		return fmt.Errorf("stripestand: decoding the state: %w", err)
	}
	if st.Version != snapshotVersion {
		return fmt.Errorf("stripestand: the state has version %d, not %d", st.Version, snapshotVersion)
	}
	if st.PendingItems == nil {
		st.PendingItems = map[string][]line{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.st, s.timers, s.changed = st, timerQueue{}, true
	s.armAll()
	s.wake()
	return nil
}

func (s *Stand) load() error {
	if s.opts.Path == "" {
		return nil
	}
	data, err := os.ReadFile(s.opts.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := s.Restore(data); err != nil {
		return err
	}
	s.changed = false
	return nil
}

func (s *Stand) saveForever(ctx context.Context) {
	for pause := saveEvery; sleep(ctx, pause, nil); {
		begun := time.Now()
		if err := s.save(); err != nil {
			s.opts.Logger.LogAttrs(ctx, slog.LevelError, "the state of the Stripe stand-in was not saved", slog.Any("error", err))
		}
		pause = max(saveEvery, saveShare*time.Since(begun))
	}
}

// save writes the state if it changed: to a file beside the old one, which it
// then replaces, so that a crash leaves one or the other whole.
func (s *Stand) save() error {
	if s.opts.Path == "" {
		return nil
	}
	s.saveMu.Lock()
	defer s.saveMu.Unlock()
	s.mu.Lock()
	changed := s.changed
	s.changed = false
	s.mu.Unlock()
	if !changed {
		return nil
	}
	if err := s.write(); err != nil {
		s.mu.Lock()
		s.changed = true
		s.mu.Unlock()
		return fmt.Errorf("stripestand: saving %s: %w", s.opts.Path, err)
	}
	return nil
}

func (s *Stand) write() error {
	data, err := s.Snapshot()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(s.opts.Path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), s.opts.Path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
