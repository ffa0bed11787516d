package stripestand

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

const (
	snapshotVersion = 1
	// saveEvery gathers changes into one snapshot.
	saveEvery = 200 * time.Millisecond
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
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.save(); err != nil {
			s.opts.Logger.LogAttrs(ctx, slog.LevelError, "the state of the Stripe stand-in was not saved", slog.Any("error", err))
		}
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
	f, err := os.CreateTemp(filepath.Dir(s.opts.Path), filepath.Base(s.opts.Path)+".*")
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
