package limitrequests

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/orgs"
)

// office is an organisation with members, limits and a desk.
type office struct {
	*engine.Engine
	micros atomic.Int64
	ledger *ledger.Ledger
	orgs   *orgs.Store
	desk   *Desk

	mu   sync.Mutex
	told []string
	down bool
}

func (o *office) now() time.Time { return time.UnixMicro(o.micros.Load()).UTC() }

// Publish implements Publisher.
func (o *office) Publish(_ context.Context, messages []events.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.down {
		return errors.New("down")
	}
	for _, m := range messages {
		if m.Topic == events.CreditAlerts {
			o.told = append(o.told, m.ID)
		}
	}
	return nil
}

func open(t *testing.T, e *engine.Engine) *office {
	t.Helper()
	o := &office{Engine: e}
	o.micros.Store(time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC).UnixMicro())
	log := slog.New(slog.DiscardHandler)
	var err error
	if o.ledger, err = ledger.New(e.Raw, e.Database(), ledger.Options{Now: o.now, Publish: o, Logger: log}); err != nil {
		t.Fatal(err)
	}
	if o.orgs, err = orgs.NewStore(e.Client, log, orgs.Options{Now: o.now}); err != nil {
		t.Fatal(err)
	}
	if o.desk, err = New(Options{Documents: e.Client, Limits: o.ledger, People: o.orgs, Publisher: o, Logger: log, Now: o.now}); err != nil {
		t.Fatal(err)
	}
	// The document as package orgs writes it, without a catalogue for its currency.
	if _, err := e.Client.Doc("orgs/acme").Set(t.Context(), map[string]any{"v": 1, "org": "acme", "name": "Acme"}); err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"m", "n"} {
		if err := o.orgs.PutMember(t.Context(), "acme", orgs.Member{Sub: sub, Role: orgs.RoleMember}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := o.orgs.ChangeTeam(t.Context(), "acme", orgs.TeamChange{ID: "design", Name: "Design"}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.orgs.JoinTeam(t.Context(), "acme", "design", "m"); err != nil {
		t.Fatal(err)
	}
	zone := "Africa/Johannesburg"
	o.do(t, credit.Configure{Zone: &zone})
	o.limit(t, credit.Subject{Scope: credit.ScopeUser, ID: "m"}, 300)
	o.limit(t, credit.Subject{Scope: credit.ScopeTeam, ID: "design"}, 1000)
	return o
}

func (o *office) do(t *testing.T, c credit.Command) {
	t.Helper()
	if _, err := o.ledger.Do(t.Context(), "acme", c); err != nil {
		t.Fatal(err)
	}
}

func (o *office) limit(t *testing.T, s credit.Subject, credits int64) {
	t.Helper()
	o.do(t, credit.SetLimits{Changes: []credit.LimitChange{{Subject: s, Limit: &credit.Limit{Credits: credits}}}})
}

func (o *office) wantLimit(t *testing.T, s credit.Subject, want int64) {
	t.Helper()
	_, use, err := o.ledger.LimitOf(t.Context(), "acme", s)
	if err != nil || use.Limit == nil || use.Limit.Credits != want {
		t.Errorf("the limit of %v is %v (%v), want %d", s, use.Limit, err, want)
	}
}

func (o *office) ask(t *testing.T, a Ask) Request {
	t.Helper()
	r, created, err := o.desk.Ask(t.Context(), "acme", a)
	if err != nil || !created {
		t.Fatalf("%+v, %t, %v", r, created, err)
	}
	return r
}

// wantTold compares what was published, each once.
func (o *office) wantTold(t *testing.T, want ...string) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.Equal(o.told, want) {
		t.Errorf("told %v, want %v", o.told, want)
	}
}
