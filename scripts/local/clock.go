package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"
)

// systemClock is the clock of the credit system: the machine's, moved ahead. It never goes back.
type systemClock struct {
	path string // where the offset is kept; empty for nowhere

	mu     sync.Mutex
	offset time.Duration // ahead of the machine
	last   time.Time
}

// kept is the clock's file.
type kept struct {
	OffsetMicroseconds int64     `json:"offset_microseconds"`
	Last               time.Time `json:"last"`
}

// openClock starts a clock at a moment, or where the file's clock has come to.
func openClock(path string, start time.Time) (*systemClock, error) {
	c := &systemClock{path: path, offset: time.Until(start), last: start}
	if path == "" {
		return c, nil
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the clock: %w", err)
	}
	var k kept
	if err := json.Unmarshal(data, &k); err != nil {
		return nil, fmt.Errorf("read the clock in %s: %w", path, err)
	}
	c.offset, c.last = time.Duration(k.OffsetMicroseconds)*time.Microsecond, k.Last
	return c, nil
}

// Now is the system's time, in whole microseconds as everything keeps it.
func (c *systemClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := time.Now().Add(c.offset).UTC().Truncate(time.Microsecond); t.After(c.last) {
		c.last = t
	}
	return c.last
}

// MoveTo sets the clock ahead to a moment; a moment that has passed changes nothing.
func (c *systemClock) MoveTo(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !t.After(c.last) {
		return nil
	}
	c.offset, c.last = time.Until(t), t.UTC().Truncate(time.Microsecond)
	if c.path == "" {
		return nil
	}
	if err := c.keep(); err != nil {
		return fmt.Errorf("keep the clock: %w", err)
	}
	return nil
}

// keep writes the clock's file. It is there whole, as it was or as it is, whenever the process dies.
func (c *systemClock) keep() error {
	data, err := json.Marshal(kept{OffsetMicroseconds: c.offset.Microseconds(), Last: c.last})
	if err != nil {
		return err
	}
	next := c.path + ".new"
	if err := os.WriteFile(next, data, 0o600); err != nil {
		return err
	}
	return os.Rename(next, c.path)
}
