package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestAKeptClockGoesOnWhereItWas reads what a process left that was killed between any two of its steps.
func TestAKeptClockGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "clock.json")
	c, err := openClock(file, began)
	if err != nil {
		t.Fatal(err)
	}
	stop, read := make(chan struct{}), make(chan struct{})
	go func() { // whatever is there at any moment can be read
		defer close(read)
		for {
			select {
			case <-stop:
				return
			default:
				if _, err := openClock(file, began); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	for range 1000 {
		if err := c.MoveTo(c.Now().Add(1500 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	<-read
	was := c.Now()
	again, err := openClock(file, began)
	if err != nil {
		t.Fatal(err)
	}
	if now := again.Now(); now.Before(was) {
		t.Errorf("opened again, the clock is at %v, after %v", now, was)
	}
}

func TestTheDataIsKeptInAFolderThatIsMade(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "new", "folder")
	none := func(string) (string, bool) { return "", false }
	for range 2 {
		s, err := start(t.Context(), options{addr: "127.0.0.1:0", data: data, stderr: io.Discard, environ: none})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.stop(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// TestAnInterruptedDemonstrationEndsAtThePresent: a process that is killed while it makes history leaves a clock that is days behind.
func TestAnInterruptedDemonstrationEndsAtThePresent(t *testing.T) {
	t.Parallel()
	o := options{addr: "127.0.0.1:0", data: t.TempDir(), demo: true, stderr: io.Discard, environ: func(string) (string, bool) { return "", false }}
	past := o
	past.demo, past.began = false, time.Now().Add(-9*24*time.Hour)
	s, err := start(t.Context(), past)
	if err != nil {
		t.Fatal(err)
	}
	(&client{t: t, base: s.base}).open(demoOrg)
	if err := s.clock.MoveTo(s.clock.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := s.stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if s, err = start(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if behind := time.Since(s.clock.Now()); behind > time.Minute {
		t.Errorf("the clock is %v behind", behind)
	}
	if err := s.stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestWhatWasPaidOutlivesAKill kills the runner the moment that Stripe's stand-in has answered that a checkout is paid, with its webhooks held.
func TestWhatWasPaidOutlivesAKill(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	want := 0.0
	for round := range 3 {
		c, cmd := child(t, data, "")
		admin := c.open("acme")
		c.must("POST", "/_local/stripe/webhooks", "", `{"mode":"hold"}`)
		c.buy("acme", admin, "credits-100", fmt.Sprint("k", round))
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		cmd.Wait()
		want += 100

		c, cmd = child(t, data, "")
		admin = c.open("acme")
		c.must("POST", "/_local/stripe/webhooks", "", `{"mode":"deliver"}`)
		c.eventually("the purchase", func() bool { return c.available("acme", admin) == want })
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		cmd.Wait()
	}
}

// TestStripesIdsAreNotGivenTwice: what Stripe's stand-in did last before the machine lost its power may not be in its file, but credits may have
// been granted under its ids.
func TestStripesIdsAreNotGivenTwice(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	file := filepath.Join(data, "stripe.db")
	purchase := func(key string) string {
		s, err := start(t.Context(), options{addr: "127.0.0.1:0", data: data, stderr: io.Discard, environ: func(string) (string, bool) { return "", false }})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.stop(context.Background()); err != nil {
				t.Error(err)
			}
		}()
		c := &client{t: t, base: s.base}
		admin := c.open("acme")
		before := c.available("acme", admin)
		reference := c.buy("acme", admin, "credits-100", key)
		var grant string
		c.eventually("the purchase", func() bool {
			grant, _ = c.must("GET", "/account/orgs/acme/purchases/"+reference, admin, "")["grant_id"].(string)
			return grant != "" && c.available("acme", admin) == before+100
		})
		return grant
	}
	purchase("kept")
	kept, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lost := purchase("lost")
	if err := os.WriteFile(file, kept, 0o600); err != nil {
		t.Fatal(err)
	}
	if next := purchase("next"); next == lost {
		t.Errorf("both purchases have the grant %s", next)
	}
}
