package orgs_test

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/orgs"
)

// house is a database with everything on it.
type house struct {
	*engine.Engine
	micros    atomic.Int64
	store     *orgs.Store
	ledger    *ledger.Ledger
	registrar *orgs.Registrar
}

func (h *house) now() time.Time { return time.UnixMicro(h.micros.Load()).UTC() }

func open(t testing.TB) *house { return openOn(t, engine.New(t)) }

func openOn(t testing.TB, e *engine.Engine) *house {
	t.Helper()
	h := &house{Engine: e}
	h.micros.Store(time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC).UnixMicro())
	var err error
	if h.ledger, err = ledger.New(e.Raw, e.Database(), ledger.Options{Now: h.now}); err != nil {
		t.Fatal(err)
	}
	h.store = h.another(t)
	prices := catalogue.NewStore(e.Client, slog.New(slog.DiscardHandler), catalogue.StoreOptions{})
	seed, err := catalogue.Seed()
	if err != nil {
		t.Fatal(err)
	}
	if err := prices.Seed(t.Context(), seed); err != nil {
		t.Fatal(err)
	}
	if h.registrar, err = orgs.NewRegistrar(h.store, h.ledger, prices); err != nil {
		t.Fatal(err)
	}
	return h
}

// another is the store of another process.
func (h *house) another(t testing.TB) *orgs.Store {
	t.Helper()
	s, err := orgs.NewStore(h.Client, slog.New(slog.DiscardHandler), orgs.Options{Now: h.now, MachineNow: h.now})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (h *house) put(t testing.TB, org string, p orgs.Profile) orgs.Org {
	t.Helper()
	o, _, err := h.registrar.Put(t.Context(), org, p)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func code(err error) string {
	if coded, ok := errors.AsType[interface {
		error
		Code() string
	}](err); ok {
		return coded.Code()
	}
	return ""
}

func acme() orgs.Profile {
	return orgs.Profile{Name: "Acme", Country: "ZA", Zone: "Africa/Johannesburg", OwnerEmail: "Owner@acme.example"}
}

func owner() orgs.Visitor {
	return orgs.Visitor{Sub: "owner-1", VerifiedEmail: "owner@ACME.example", Name: "Thandi"}
}

func TestAnOrganisationIsRegisteredAndChanged(t *testing.T) {
	t.Parallel()
	engine.Each(t, func(t *testing.T, e *engine.Engine) {
		h := openOn(t, e)
		p := acme()
		p.Zone = ""
		first, created, err := h.registrar.Put(t.Context(), "acme", p)
		if err != nil || !created {
			t.Fatalf("created: %t, %v", created, err)
		}
		want := orgs.Org{
			ID: "acme", Profile: acme(), Currency: "ZAR", Alerts: orgs.DefaultAlerts(), Revision: 1, CreatedAt: h.now(), UpdatedAt: h.now(),
		}
		if diff := cmp.Diff(want, first, cmpopts.IgnoreUnexported(orgs.Org{})); diff != "" {
			t.Error(diff)
		}
		h.micros.Add(time.Hour.Microseconds())
		again, created, err := h.registrar.Put(t.Context(), "acme", acme())
		if err != nil || created {
			t.Fatalf("repeated: created %t, %v", created, err)
		}
		if diff := cmp.Diff(first, again, cmpopts.IgnoreUnexported(orgs.Org{})); diff != "" {
			t.Errorf("a repeated profile changed something: %s", diff)
		}
		p = acme()
		p.Country, p.Zone = "DE", "Europe/Berlin"
		changed := h.put(t, "acme", p)
		if changed.Currency != "EUR" || changed.Revision != 2 || !changed.CreatedAt.Equal(first.CreatedAt) || !changed.UpdatedAt.Equal(h.now()) {
			t.Errorf("%+v", changed)
		}
		w, err := h.ledger.View(t.Context(), "acme")
		if err != nil || w.Zone != "Europe/Berlin" || w.Low.Threshold != 100 || !w.Low.On {
			t.Errorf("the wallet has zone %s and %+v (%v)", w.Zone, w.Low, err)
		}
		if _, err := h.store.Get(t.Context(), "nobody"); code(err) != "unknown_org" {
			t.Errorf("an organisation that does not exist: %v", err)
		}
	})
}

func TestAProfileIsCheckedWhole(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*orgs.Profile)
		fields []string
	}{
		"as it should be":       {func(*orgs.Profile) {}, nil},
		"everything at once":    {func(p *orgs.Profile) { *p = orgs.Profile{} }, []string{"name", "country", "time_zone", "owner_email"}},
		"name of spaces":        {func(p *orgs.Profile) { p.Name = "  " }, []string{"name"}},
		"name with a line":      {func(p *orgs.Profile) { p.Name = "a\nb" }, []string{"name"}},
		"name too long":         {func(p *orgs.Profile) { p.Name = strings.Repeat("n", 201) }, []string{"name"}},
		"name not text":         {func(p *orgs.Profile) { p.Name = "\xff" }, []string{"name"}},
		"country in small":      {func(p *orgs.Profile) { p.Country = "za" }, []string{"country"}},
		"country not assigned":  {func(p *orgs.Profile) { p.Country = "XX" }, []string{"country"}},
		"country by three":      {func(p *orgs.Profile) { p.Country = "ZAF" }, []string{"country"}},
		"country across two":    {func(p *orgs.Profile) { p.Country = "A " }, []string{"country"}},
		"zone not known":        {func(p *orgs.Profile) { p.Zone = "Africa/Joburg" }, []string{"time_zone"}},
		"zone of the machine":   {func(p *orgs.Profile) { p.Zone = "Local" }, []string{"time_zone"}},
		"zone outside":          {func(p *orgs.Profile) { p.Zone = "../../etc/passwd" }, []string{"time_zone"}},
		"owner with a name":     {func(p *orgs.Profile) { p.OwnerEmail = "A <a@b.example>" }, []string{"owner_email"}},
		"owner with a line":     {func(p *orgs.Profile) { p.OwnerEmail = "a@b.example\r\nBcc: c@d.example" }, []string{"owner_email"}},
		"owner beyond ASCII":    {func(p *orgs.Profile) { p.OwnerEmail = "\u212aate@b.example" }, []string{"owner_email"}},
		"billing not a contact": {func(p *orgs.Profile) { p.BillingContact = "nobody" }, []string{"billing_contact"}},
		"billing contact":       {func(p *orgs.Profile) { p.BillingContact = "bills@acme.example" }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := acme()
			c.change(&p)
			err := p.Check()
			if c.fields == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			refused, ok := errors.AsType[*orgs.Error](err)
			if !ok || refused.Code() != "invalid_request" || refused.Details()["field"] != c.fields[0] {
				t.Fatalf("%v, want invalid_request about %s", err, c.fields[0])
			}
			var fields []string
			for _, p := range refused.Details()["problems"].([]string) {
				field, _, _ := strings.Cut(p, " ")
				fields = append(fields, field)
			}
			if !slices.Equal(fields, c.fields) {
				t.Errorf("faults of %v, want %v", fields, c.fields)
			}
		})
	}
}

func TestAlertSettingsReachTheWallet(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.put(t, "acme", acme())
	want := orgs.Alerts{LowBalance: orgs.LowBalance{Enabled: true, Threshold: 70, Channels: []orgs.Channel{orgs.Dashboard}}, Expiry: orgs.Expiry{Channels: []orgs.Channel{}}}
	if _, err := h.registrar.SetAlerts(t.Context(), "acme", want); err != nil {
		t.Fatal(err)
	}
	o, err := h.store.Get(t.Context(), "acme")
	if err != nil || o.Revision != 2 {
		t.Fatalf("%+v, %v", o, err)
	}
	if diff := cmp.Diff(want, o.Alerts, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	w, err := h.ledger.View(t.Context(), "acme")
	if err != nil || w.Low.Threshold != 70 || !w.Low.On {
		t.Errorf("the wallet has %+v (%v)", w.Low, err)
	}
	if _, err := h.registrar.SetAlerts(t.Context(), "nobody", want); code(err) != "unknown_org" {
		t.Errorf("an organisation that does not exist: %v", err)
	}
	for name, wrong := range map[string]orgs.Alerts{
		"below zero":      {LowBalance: orgs.LowBalance{Threshold: -1}},
		"beyond all":      {LowBalance: orgs.LowBalance{Threshold: credit.MaxCredits + 1}},
		"no channel":      {LowBalance: orgs.LowBalance{Enabled: true, Threshold: 1}},
		"unknown channel": {Expiry: orgs.Expiry{Channels: []orgs.Channel{"pigeon"}}},
		"channel twice":   {Expiry: orgs.Expiry{Channels: []orgs.Channel{orgs.Email, orgs.Email}}},
		"unknown kind":    {Chosen: map[orgs.Kind][]orgs.Channel{"party": {orgs.Email}}},
		"a setting twice": {Chosen: map[orgs.Kind][]orgs.Channel{orgs.KindExpiry: {orgs.Email}}},
		"a kind's pigeon": {Chosen: map[orgs.Kind][]orgs.Channel{orgs.KindDebt: {"pigeon"}}},
		"contact: party":  {Contact: []orgs.Kind{"party"}},
		"contact: twice":  {Contact: []orgs.Kind{orgs.KindDebt, orgs.KindDebt}},
		"contact: answer": {Contact: []orgs.Kind{orgs.KindLimitAnswers}},
	} {
		if _, err := h.registrar.SetAlerts(t.Context(), "acme", wrong); code(err) != "invalid_request" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDocumentsOfANewerReleaseAreLeftAlone(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.put(t, "acme", acme())
	if err := h.store.PutMember(t.Context(), "acme", orgs.Member{Sub: "m", Role: orgs.RoleMember}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.store.AddNotification(t.Context(), "acme", notification("n", h.now())); err != nil {
		t.Fatal(err)
	}
	newer := func(path string) {
		t.Helper()
		if _, err := h.Client.Doc(path).Update(t.Context(), []firestore.Update{{Path: "v", Value: 2}}); err != nil {
			t.Fatal(err)
		}
	}
	newer("orgs/acme/members/m")
	newer("orgs/acme/notifications/n")
	if _, _, err := h.store.ChangeTeam(t.Context(), "acme", orgs.TeamChange{ID: "t", Name: "T"}); err != nil {
		t.Fatal(err)
	}
	newer("orgs/acme/teams/t")
	calls := map[string]func() error{
		"member": func() error { _, err := h.store.Member(t.Context(), "acme", "m"); return err },
		"role":   func() error { _, err := h.another(t).Role(t.Context(), "acme", orgs.Visitor{Sub: "m"}); return err },
		"put member": func() error {
			return h.store.PutMember(t.Context(), "acme", orgs.Member{Sub: "m", Role: orgs.RoleAdmin})
		},
		"feed": func() error {
			_, err := h.store.Notifications(t.Context(), "acme", orgs.Page{Limit: 9})
			return err
		},
		"mark":   func() error { _, err := h.store.MarkRead(t.Context(), "acme", "n", "m"); return err },
		"remove": func() error { _, err := h.store.RemoveMember(t.Context(), "acme", "m"); return err },
		"rename": func() error {
			_, _, err := h.store.ChangeTeam(t.Context(), "acme", orgs.TeamChange{ID: "t", Name: "U"})
			return err
		},
		"archive":    func() error { _, err := h.store.ArchiveTeam(t.Context(), "acme", "t"); return err },
		"check team": func() error { return h.store.CheckTeam(t.Context(), "acme", "t") },
		"team of":    func() error { _, err := h.store.TeamOf(t.Context(), "acme", "m"); return err },
	}
	for name, call := range calls {
		if err := call(); code(err) != "unavailable" {
			t.Errorf("%s: %v, want unavailable", name, err)
		}
	}
	newer("orgs/acme")
	for name, call := range map[string]func() error{
		"get": func() error { _, err := h.store.Get(t.Context(), "acme"); return err },
		"put": func() error {
			_, _, err := h.registrar.Put(t.Context(), "acme", orgs.Profile{Name: "B", Country: "ZA", OwnerEmail: "a@b.example"})
			return err
		},
		"alerts": func() error { _, err := h.registrar.SetAlerts(t.Context(), "acme", orgs.DefaultAlerts()); return err },
		"put member": func() error {
			return h.store.PutMember(t.Context(), "acme", orgs.Member{Sub: "x", Role: orgs.RoleAdmin})
		},
		"role": func() error { _, err := h.another(t).Role(t.Context(), "acme", owner()); return err },
	} {
		if err := call(); code(err) != "unavailable" {
			t.Errorf("%s: %v, want unavailable", name, err)
		}
	}
	snapshot, err := h.Client.Doc("orgs/acme").Get(t.Context())
	if err != nil || snapshot.Data()["name"] != "Acme" || snapshot.Data()["revision"] != int64(1) {
		t.Errorf("the document is now %v (%v)", snapshot.Data(), err)
	}
}
