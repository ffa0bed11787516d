package notify_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/notify"
	"github.com/fluxori/ai-credits/shared/orgs"
	"github.com/fluxori/ai-credits/shared/problem"
)

var _ problem.Coded = (*notify.Error)(nil)

// house is one organisation, its feed, and a mail server.
type house struct {
	*engine.Engine
	micros atomic.Int64 // of the machine's clock

	mu     sync.Mutex
	admins []string
	feed   map[string]int // entries added, by id
	sent   map[string]int // mails, by address
	send   func(to string) error
}

func open(t *testing.T, e *engine.Engine) *house {
	t.Helper()
	h := &house{Engine: e, admins: []string{"a@acme.test", "b@acme.test", "c@acme.test"}, feed: map[string]int{}, sent: map[string]int{}}
	h.micros.Store(time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC).UnixMicro())
	return h
}

func (h *house) now() time.Time { return time.UnixMicro(h.micros.Load()).UTC() }

// notifier is a process of its own.
func (h *house) notifier(t *testing.T) *notify.Notifier {
	t.Helper()
	n, err := notify.New(notify.Options{
		Client: h.Client, Organisations: h, Mailer: h, Dashboard: "https://credits.test/", Logger: slog.New(slog.DiscardHandler), Now: h.now, MachineNow: h.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Get implements notify.Organisations.
func (h *house) Get(_ context.Context, org string) (orgs.Org, error) {
	if org != "acme" {
		return orgs.Org{}, orgs.UnknownOrg()
	}
	return orgs.Org{ID: org, Profile: orgs.Profile{Name: "Acme", Zone: "Africa/Johannesburg"}, Alerts: orgs.DefaultAlerts()}, nil
}

// Administrators implements notify.Organisations.
func (h *house) Administrators(context.Context, string) ([]string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.admins), nil
}

// Member implements notify.Organisations.
func (h *house) Member(ctx context.Context, _, sub string) (orgs.Member, error) {
	if sub != "m" {
		return (*orgs.Store)(nil).Member(ctx, "", "") // as of somebody who is none
	}
	return orgs.Member{Sub: sub, Role: orgs.RoleMember, Name: "Pieter", Email: "m@acme.test"}, nil
}

// AddNotification implements notify.Organisations.
func (h *house) AddNotification(_ context.Context, _ string, n orgs.Notification) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.feed[n.ID]++
	return h.feed[n.ID] == 1, nil
}

// Send implements notify.Mailer.
func (h *house) Send(_ context.Context, m notify.Mail) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.send != nil {
		if err := h.send(m.To); err != nil {
			return err
		}
	}
	h.sent[m.To]++
	return nil
}

var (
	_ notify.Organisations = (*house)(nil)
	_ notify.Organisations = (*orgs.Store)(nil)
	_ notify.Mailer        = (*house)(nil)
	_ notify.Mailer        = (*notify.SMTP)(nil)
)

func low() events.Credit {
	threshold := int64(100)
	return events.Credit{
		Version: 1, ID: "low:acme:1", Type: credit.EventLowBalance, OrgID: "acme", At: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC), Credits: 90, Threshold: &threshold,
	}
}

func code(err error) string {
	if coded, ok := errors.AsType[problem.Coded](err); ok {
		return coded.Code()
	}
	return ""
}

func (h *house) wantSent(t *testing.T, want map[string]int) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !maps.Equal(h.sent, want) {
		t.Errorf("sent %v, want %v", h.sent, want)
	}
}

var all = map[string]int{"a@acme.test": 1, "b@acme.test": 1, "c@acme.test": 1}

func TestAnAlertIsToldOnceByManyAtOnce(t *testing.T) {
	t.Parallel()
	engine.Each(t, func(t *testing.T, e *engine.Engine) {
		h := open(t, e)
		var wg sync.WaitGroup
		var told atomic.Int64
		for range 4 {
			n := h.notifier(t)
			wg.Go(func() {
				for range 50 { // Pub/Sub delivers again until it is acknowledged
					err := n.Tell(t.Context(), low())
					if err == nil {
						told.Add(1)
						return
					}
					if code(err) != "unavailable" {
						t.Error(err)
						return
					}
					time.Sleep(20 * time.Millisecond)
				}
			})
		}
		wg.Wait()
		h.wantSent(t, all)
		if told.Load() != 4 {
			t.Errorf("%d of 4 deliveries came to an end", told.Load())
		}
	})
}

func TestOneRefusedAddressKeepsNobodyFromBeingTold(t *testing.T) {
	t.Parallel()
	h := open(t, engine.New(t))
	h.send = func(to string) error {
		if to == "a@acme.test" {
			return fmt.Errorf("wrapped: %w", &notify.RefusedError{Err: errors.New("no such mailbox")})
		}
		return nil
	}
	for range 2 {
		if err := h.notifier(t).Tell(t.Context(), low()); err != nil {
			t.Fatal(err)
		}
	}
	h.wantSent(t, map[string]int{"b@acme.test": 1, "c@acme.test": 1})
}

// TestWhoHasTheMailDoesNotGetItAgain: the server goes down between two administrators, one of whom is replaced.
func TestWhoHasTheMailDoesNotGetItAgain(t *testing.T) {
	t.Parallel()
	h := open(t, engine.New(t))
	h.send = func(to string) error {
		if to == "b@acme.test" {
			return errors.New("down")
		}
		return nil
	}
	if err := h.notifier(t).Tell(t.Context(), low()); code(err) != "unavailable" {
		t.Errorf("%v", err)
	}
	h.wantSent(t, map[string]int{"a@acme.test": 1})
	h.mu.Lock()
	h.send, h.admins = nil, []string{"A@acme.test", "b@acme.test", "d@acme.test"}
	h.mu.Unlock()
	for range 2 {
		if err := h.notifier(t).Tell(t.Context(), low()); err != nil {
			t.Fatal(err)
		}
	}
	h.wantSent(t, map[string]int{"a@acme.test": 1, "b@acme.test": 1, "d@acme.test": 1})
	if h.feed["low:acme:1"] == 0 {
		t.Error("the feed has nothing")
	}
}

// TestAProcessThatDiesIsRelievedAfterItsLease: until then nobody else sends, since it may only be slow.
func TestAProcessThatDiesIsRelievedAfterItsLease(t *testing.T) {
	t.Parallel()
	h := open(t, engine.New(t))
	died := errors.New("killed")
	h.send = func(string) error {
		// Whatever it would record from here on does not arrive.
		h.Hooks.Set(firedb.Rule{Method: "Commit", Fault: firedb.Fault{Code: codes.PermissionDenied}})
		return died
	}
	if err := h.notifier(t).Tell(t.Context(), low()); !errors.Is(err, died) {
		t.Fatal(err)
	}
	h.Hooks.Set()
	h.mu.Lock()
	h.send = nil
	h.mu.Unlock()
	if err := h.notifier(t).Tell(t.Context(), low()); code(err) != "unavailable" {
		t.Errorf("at once: %v", err)
	}
	h.wantSent(t, map[string]int{})
	h.micros.Add((90 * time.Second).Microseconds())
	if err := h.notifier(t).Tell(t.Context(), low()); err != nil {
		t.Error(err)
	}
	h.wantSent(t, all)
}

// TestALostAnswerToTheClaimIsRecognised: the claim was written, and nobody else has it.
func TestALostAnswerToTheClaimIsRecognised(t *testing.T) {
	t.Parallel()
	h := open(t, engine.New(t, engine.Embedded()))
	h.Hooks.Set(firedb.Rule{Method: "Commit", Count: 1, Fault: firedb.Fault{Code: codes.Unavailable, After: true}})
	if err := h.notifier(t).Tell(t.Context(), low()); err != nil {
		t.Error(err)
	}
	h.wantSent(t, all)
}

func TestWhatANewerReleaseWroteIsLeftAlone(t *testing.T) {
	t.Parallel()
	h := open(t, engine.New(t))
	n := h.notifier(t)
	if err := n.Tell(t.Context(), low()); err != nil {
		t.Fatal(err)
	}
	docs, err := h.Client.Collection("orgs").Doc("acme").Collection("deliveries").Documents(t.Context()).GetAll()
	if err != nil || len(docs) != 1 {
		t.Fatalf("%d deliveries, %v", len(docs), err)
	}
	if _, err := docs[0].Ref.Set(t.Context(), map[string]any{"v": 2, "done": "perhaps"}); err != nil {
		t.Fatal(err)
	}
	if err := n.Tell(t.Context(), low()); code(err) != "unavailable" {
		t.Errorf("%v", err)
	}
	h.wantSent(t, all)
}

func TestNoAddressIsKept(t *testing.T) {
	t.Parallel()
	h := open(t, engine.New(t))
	if err := h.notifier(t).Tell(t.Context(), low()); err != nil {
		t.Fatal(err)
	}
	docs, err := h.Client.Collection("orgs").Doc("acme").Collection("deliveries").Documents(t.Context()).GetAll()
	if err != nil || len(docs) != 1 {
		t.Fatalf("%d deliveries, %v", len(docs), err)
	}
	d := docs[0].Data()
	if settled, ok := d["settled"].([]any); !ok || len(settled) != 3 {
		t.Errorf("settled: %v", d["settled"])
	}
	for _, a := range h.admins {
		if got := fmt.Sprint(d); strings.Contains(strings.ToLower(got), a) {
			t.Errorf("%s stands in %s", a, got)
		}
	}
}

func TestWhatCanNeverBeToldIsRefused(t *testing.T) {
	t.Parallel()
	h := open(t, engine.New(t))
	n := h.notifier(t)
	unknown, kind := low(), low()
	unknown.OrgID, kind.Type = "nobody", "party"
	if err := n.Tell(t.Context(), unknown); code(err) != "unknown_org" {
		t.Errorf("unknown organisation: %v", err)
	}
	if err := n.Tell(t.Context(), kind); code(err) != "invalid_request" {
		t.Errorf("unknown kind: %v", err)
	}
}
