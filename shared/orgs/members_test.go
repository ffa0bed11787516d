package orgs_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/orgs"
)

func role(t *testing.T, s *orgs.Store, org string, v orgs.Visitor) orgs.Role {
	t.Helper()
	r, err := s.Role(t.Context(), org, v)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTheOwnerBecomesAdministratorOnce(t *testing.T) {
	t.Parallel()
	engine.Each(t, func(t *testing.T, e *engine.Engine) {
		h := openOn(t, e)
		h.put(t, "acme", acme())
		for name, v := range map[string]orgs.Visitor{
			"a stranger":         {Sub: "s", VerifiedEmail: "s@acme.example"},
			"without an address": {Sub: "s"},
			"one that folds":     {Sub: "s", VerifiedEmail: "owner@acme.example\u212a"},
		} {
			if got := role(t, h.store, "acme", v); got != "" {
				t.Errorf("%s is %q", name, got)
			}
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if got, err := h.another(t).Role(t.Context(), "acme", owner()); err != nil || got != orgs.RoleAdmin {
					t.Errorf("the owner is %q, %v", got, err)
				}
			})
		}
		wg.Wait()
		m, err := h.store.Member(t.Context(), "acme", "owner-1")
		if err != nil || m.Role != orgs.RoleAdmin || m.Email != "owner@ACME.example" || m.Name != "Thandi" || !m.JoinedAt.Equal(h.now()) {
			t.Errorf("%+v, %v", m, err)
		}
		if err := h.store.PutMember(t.Context(), "acme", orgs.Member{Sub: "other", Role: orgs.RoleAdmin}); err != nil {
			t.Fatal(err)
		}
		// Another account with the same address, and the owner once made a plain member, do not become administrators by it.
		if got := role(t, h.store, "acme", orgs.Visitor{Sub: "owner-2", VerifiedEmail: "owner@acme.example"}); got != "" {
			t.Errorf("a second account with the owner's address is %q", got)
		}
		m.Role = orgs.RoleMember
		if err := h.store.PutMember(t.Context(), "acme", m); err != nil {
			t.Fatal(err)
		}
		if got := role(t, h.store, "acme", owner()); got != orgs.RoleMember {
			t.Errorf("the former owner is %q", got)
		}
		// A new owner's address is a new invitation.
		p := acme()
		p.OwnerEmail = "new@acme.example"
		h.put(t, "acme", p)
		if got := role(t, h.store, "acme", orgs.Visitor{Sub: "new", VerifiedEmail: "new@acme.example"}); got != orgs.RoleAdmin {
			t.Errorf("the new owner is %q", got)
		}
	})
}

func TestTheOwnersFirstVisitSurvivesALostAnswer(t *testing.T) {
	t.Parallel()
	h := openOn(t, engine.New(t, engine.Embedded()))
	h.put(t, "acme", acme())
	h.Hooks.Set(firedb.Rule{Method: "Commit", Count: 1, Fault: firedb.Fault{Code: codes.Internal, After: true}})
	if _, err := h.store.Role(t.Context(), "acme", owner()); err != nil && code(err) != "unavailable" {
		t.Fatal(err)
	}
	if got := role(t, h.store, "acme", owner()); got != orgs.RoleAdmin {
		t.Errorf("the owner is %q", got)
	}
}

func TestARoleIsRememberedForFiveSeconds(t *testing.T) {
	t.Parallel()
	h := openOn(t, engine.New(t, engine.Embedded()))
	h.put(t, "acme", acme())
	v := orgs.Visitor{Sub: "m"}
	recent := func() orgs.Role {
		t.Helper()
		r, err := h.store.RecentRole(t.Context(), "acme", v)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if got := recent(); got != "" {
		t.Fatalf("a stranger is %q", got)
	}
	elsewhere := h.another(t)
	set := func(s *orgs.Store, r orgs.Role) {
		t.Helper()
		if err := s.PutMember(t.Context(), "acme", orgs.Member{Sub: "m", Role: r}); err != nil {
			t.Fatal(err)
		}
	}
	set(elsewhere, orgs.RoleMember)
	if got := recent(); got != orgs.RoleMember {
		t.Errorf("a new member is %q; strangers must not be remembered", got)
	}
	h.Hooks.Reset()
	for range 10 {
		recent()
	}
	if reads := h.Hooks.Counts().Reads; reads != 0 {
		t.Errorf("%d reads for what is remembered", reads)
	}
	set(elsewhere, orgs.RoleAdmin)
	h.micros.Add((5*time.Second - time.Microsecond).Microseconds())
	if got := recent(); got != orgs.RoleMember {
		t.Errorf("%q just before five seconds", got)
	}
	h.micros.Add(1)
	if got := recent(); got != orgs.RoleAdmin {
		t.Errorf("%q after five seconds", got)
	}
	if err := elsewhere.PutMember(t.Context(), "acme", orgs.Member{Sub: "other", Role: orgs.RoleAdmin}); err != nil {
		t.Fatal(err)
	}
	set(h.store, orgs.RoleMember)
	if got := recent(); got != orgs.RoleMember {
		t.Errorf("%q after a change of this process's own", got)
	}
}

func TestAMembersAddressFollowsTheIssuer(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.put(t, "acme", acme())
	role(t, h.store, "acme", owner())
	moved := owner()
	moved.VerifiedEmail = "thandi@acme.example"
	role(t, h.store, "acme", moved)
	moved.VerifiedEmail = "" // an address that is not verified any more changes nothing
	role(t, h.store, "acme", moved)
	if m, err := h.store.Member(t.Context(), "acme", "owner-1"); err != nil || m.Email != "thandi@acme.example" {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestAdministratorsAreTold(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.put(t, "acme", acme())
	told := func(want ...string) {
		t.Helper()
		got, err := h.store.Administrators(t.Context(), "acme")
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%v (%v), want %v", got, err, want)
		}
	}
	told("Owner@acme.example")
	for _, m := range []orgs.Member{
		{Sub: "1", Role: orgs.RoleMember, Email: "m@acme.example"}, {Sub: "2", Role: orgs.RoleAdmin, Email: "z@acme.example"},
		{Sub: "3", Role: orgs.RoleAdmin, Email: "a@acme.example"}, {Sub: "4", Role: orgs.RoleAdmin, Email: "A@acme.example"}, {Sub: "5", Role: orgs.RoleAdmin},
	} {
		if err := h.store.PutMember(t.Context(), "acme", m); err != nil {
			t.Fatal(err)
		}
	}
	got, err := h.store.Administrators(t.Context(), "acme")
	if err != nil || len(got) != 2 || got[1] != "z@acme.example" {
		t.Errorf("%v (%v), want a and z, once each", got, err)
	}
	if _, err := h.store.Administrators(t.Context(), "nobody"); code(err) != "unknown_org" {
		t.Errorf("an organisation that does not exist: %v", err)
	}
}

func TestAnySubjectCanBeAMember(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.put(t, "acme", acme())
	subs := []string{"auth0|7", "a/b", "..", ".", "__x__", "%2E", "%5F_x__", "a%2Fb", "a b", "../../wallets/acme", "é"}
	for i, sub := range subs {
		if err := h.store.PutMember(t.Context(), "acme", orgs.Member{Sub: sub, Role: orgs.RoleMember, Name: fmt.Sprint(i)}); err != nil {
			t.Errorf("%q: %v", sub, err)
		}
	}
	for i, sub := range subs {
		if m, err := h.store.Member(t.Context(), "acme", sub); err != nil || m.Sub != sub || m.Name != fmt.Sprint(i) {
			t.Errorf("%q: %+v, %v", sub, m, err)
		}
	}
	for _, m := range []orgs.Member{{Role: orgs.RoleMember}, {Sub: "x"}, {Sub: "a\nb", Role: orgs.RoleMember}, {Sub: "x", Role: "root"}, {Sub: "x", Role: orgs.RoleAdmin, Email: "no"}} {
		if err := h.store.PutMember(t.Context(), "acme", m); code(err) != "invalid_request" {
			t.Errorf("%+v: %v", m, err)
		}
	}
	if err := h.store.PutMember(t.Context(), "nobody", orgs.Member{Sub: "x", Role: orgs.RoleAdmin}); code(err) != "unknown_org" {
		t.Errorf("an organisation that does not exist: %v", err)
	}
	if _, err := h.store.Member(t.Context(), "acme", "absent"); code(err) != "not_found" {
		t.Errorf("a member who is none: %v", err)
	}
}

func notification(id string, at time.Time) orgs.Notification {
	return orgs.Notification{ID: id, Kind: "low_balance", At: at, Title: "Low balance", Text: "100 credits are left.", Credits: 90, Threshold: 100}
}

func TestTheFeedIsPagedNewestFirst(t *testing.T) {
	t.Parallel()
	engine.Each(t, func(t *testing.T, e *engine.Engine) {
		h := openOn(t, e)
		var want []string
		for i := range 25 { // five to a moment
			id := fmt.Sprintf("low:acme:%02d", i)
			added, err := h.store.AddNotification(t.Context(), "acme", notification(id, h.now().Add(time.Duration(i/5)*time.Hour)))
			if err != nil || !added {
				t.Fatalf("%s: added %t, %v", id, added, err)
			}
			want = append([]string{id}, want...)
		}
		if _, err := h.store.AddNotification(t.Context(), "other", notification("low:other:1", h.now())); err != nil {
			t.Fatal(err)
		}
		var got []string
		page := orgs.Page{Limit: 4}
		for range 10 {
			items, err := h.store.Notifications(t.Context(), "acme", page)
			if err != nil {
				t.Fatal(err)
			}
			if len(items) == 0 {
				break
			}
			for _, n := range items {
				got = append(got, n.ID)
			}
			page.AfterAt, page.AfterID = items[len(items)-1].At, items[len(items)-1].ID
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestTheFeedShowsEachReaderWhatIsForThem(t *testing.T) {
	t.Parallel()
	engine.Each(t, func(t *testing.T, e *engine.Engine) {
		h := openOn(t, e)
		for i, audience := range []orgs.Audience{"", orgs.Administrators, orgs.Only("m"), orgs.Only("n"), orgs.Everybody} {
			n := notification(fmt.Sprint(i), h.now().Add(time.Duration(i)*time.Hour))
			n.Audience = audience
			if _, err := h.store.AddNotification(t.Context(), "acme", n); err != nil {
				t.Fatal(err)
			}
		}
		for name, c := range map[string]struct {
			of   []orgs.Audience
			want []string
		}{
			"all there are":    {nil, []string{"4", "3", "2", "1", "0"}},
			"a member":         {[]orgs.Audience{orgs.Everybody, orgs.Only("m")}, []string{"4", "2", "0"}},
			"an administrator": {[]orgs.Audience{orgs.Everybody, orgs.Only("n"), orgs.Administrators}, []string{"4", "3", "1", "0"}},
		} {
			var got []string
			p := orgs.Page{For: c.of, Limit: 2}
			for range 4 {
				items, err := h.store.Notifications(t.Context(), "acme", p)
				if err != nil {
					t.Fatal(err)
				}
				for _, n := range items {
					got = append(got, n.ID)
					p.AfterAt, p.AfterID = n.At, n.ID
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%s sees %v, want %v", name, got, c.want)
			}
		}
		if _, err := h.store.MarkRead(t.Context(), "acme", "1", "m", orgs.Everybody, orgs.Only("m")); code(err) != "not_found" {
			t.Errorf("a member reads what is for administrators: %v", err)
		}
	})
}

func TestANotificationIsAddedAndReadOnce(t *testing.T) {
	t.Parallel()
	h := open(t)
	n := notification("low:acme:1", h.now())
	for i := range 3 {
		again := n
		again.Title = fmt.Sprint("Low balance ", i)
		if added, err := h.store.AddNotification(t.Context(), "acme", again); err != nil || added != (i == 0) {
			t.Errorf("time %d: added %t, %v", i, added, err)
		}
	}
	readAt := h.now()
	for _, by := range []string{"first", "second"} {
		got, err := h.store.MarkRead(t.Context(), "acme", n.ID, by)
		if err != nil || got.ReadBy != "first" || !got.ReadAt.Equal(readAt) || got.Title != "Low balance 0" {
			t.Errorf("%+v, %v", got, err)
		}
		h.micros.Add(time.Hour.Microseconds())
	}
	for _, id := range []string{"absent", "..", "a/b", "__x__", ""} {
		if _, err := h.store.MarkRead(t.Context(), "acme", id, "x"); code(err) != "not_found" {
			t.Errorf("%q: %v, want not_found", id, err)
		}
	}
	for name, change := range map[string]func(*orgs.Notification){
		"path": func(n *orgs.Notification) { n.ID = "a/b" }, "no id": func(n *orgs.Notification) { n.ID = "" }, "no kind": func(n *orgs.Notification) { n.Kind = "" },
		"no time": func(n *orgs.Notification) { n.At = time.Time{} }, "no title": func(n *orgs.Notification) { n.Title = "" }, "not text": func(n *orgs.Notification) { n.Text = "\xff" },
	} {
		wrong := n
		change(&wrong)
		if _, err := h.store.AddNotification(t.Context(), "acme", wrong); code(err) != "invalid_request" {
			t.Errorf("%s: %v, want invalid_request", name, err)
		}
	}
}

func TestAnOutageIsUnavailable(t *testing.T) {
	t.Parallel()
	h := openOn(t, engine.New(t, engine.Embedded()))
	h.put(t, "acme", acme())
	h.Hooks.Set(firedb.Rule{Fault: firedb.Fault{Code: codes.PermissionDenied}})
	for name, call := range map[string]func() error{
		"get":            func() error { _, err := h.store.Get(t.Context(), "acme"); return err },
		"role":           func() error { _, err := h.store.Role(t.Context(), "acme", owner()); return err },
		"member":         func() error { _, err := h.store.Member(t.Context(), "acme", "m"); return err },
		"administrators": func() error { _, err := h.store.Administrators(t.Context(), "acme"); return err },
		"put member": func() error {
			return h.store.PutMember(t.Context(), "acme", orgs.Member{Sub: "x", Role: orgs.RoleAdmin})
		},
		"members": func() error { _, err := h.store.Members(t.Context(), "acme", orgs.MemberPage{}); return err },
		"remove":  func() error { _, err := h.store.RemoveMember(t.Context(), "acme", "m"); return err },
		"team":    func() error { _, err := h.store.Team(t.Context(), "acme", "t"); return err },
		"teams":   func() error { _, err := h.store.Teams(t.Context(), "acme", orgs.TeamPage{}); return err },
		"change team": func() error {
			_, _, err := h.store.ChangeTeam(t.Context(), "acme", orgs.TeamChange{ID: "t", Name: "T"})
			return err
		},
		"archive":    func() error { _, err := h.store.ArchiveTeam(t.Context(), "acme", "t"); return err },
		"join":       func() error { _, err := h.store.JoinTeam(t.Context(), "acme", "t", "m"); return err },
		"team of":    func() error { _, err := h.store.TeamOf(t.Context(), "acme", "m"); return err },
		"check team": func() error { return h.store.CheckTeam(t.Context(), "acme", "t") },
		"feed":       func() error { _, err := h.store.Notifications(t.Context(), "acme", orgs.Page{}); return err },
		"add": func() error {
			_, err := h.store.AddNotification(t.Context(), "acme", notification("n", h.now()))
			return err
		},
		"mark":   func() error { _, err := h.store.MarkRead(t.Context(), "acme", "n", "m"); return err },
		"alerts": func() error { _, err := h.registrar.SetAlerts(t.Context(), "acme", orgs.DefaultAlerts()); return err },
	} {
		if err := call(); code(err) != "unavailable" || errors.Unwrap(err) == nil {
			t.Errorf("%s: %v, want unavailable with its cause", name, err)
		}
	}
}
