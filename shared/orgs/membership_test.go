package orgs_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/orgs"
)

func TestTheLastAdministratorStays(t *testing.T) {
	t.Parallel()
	engine.Each(t, func(t *testing.T, e *engine.Engine) {
		h := openOn(t, e)
		h.people(t, "acme", []string{"m"}, nil)
		last := func(name string, err error) {
			t.Helper()
			reason := ""
			if refused, ok := errors.AsType[*orgs.Error](err); ok {
				reason, _ = refused.Details()["reason"].(string)
			}
			if code(err) != "invalid_request" || reason != "last_administrator" {
				t.Errorf("%s: %v", name, err)
			}
		}
		last("removed", second(h.store.RemoveMember(t.Context(), "acme", "admin")))
		last("demoted", h.store.PutMember(t.Context(), "acme", orgs.Member{Sub: "admin", Role: orgs.RoleMember}))
		// Two administrators who remove each other at once: one stays.
		if err := h.store.PutMember(t.Context(), "acme", orgs.Member{Sub: "m", Role: orgs.RoleAdmin}); err != nil {
			t.Fatal(err)
		}
		errs := make([]error, 2)
		var wg sync.WaitGroup
		for i, sub := range []string{"admin", "m"} {
			wg.Go(func() { errs[i] = second(h.another(t).RemoveMember(t.Context(), "acme", sub)) })
		}
		wg.Wait()
		admins := 0
		for _, sub := range []string{"admin", "m"} {
			if _, err := h.store.Member(t.Context(), "acme", sub); err == nil {
				admins++
			}
		}
		if admins != 1 {
			t.Errorf("%d administrators are left: %v", admins, errs)
		}
	})
}

func TestWhoIsRemovedIsNobodyAndCanComeBack(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.people(t, "acme", []string{"m"}, []string{"design"})
	h.join(t, "acme", "design", "m")
	v := orgs.Visitor{Sub: "m"}
	if r, err := h.store.RecentRole(t.Context(), "acme", v); err != nil || r != orgs.RoleMember {
		t.Fatal(r, err)
	}
	if m, err := h.store.RemoveMember(t.Context(), "acme", "m"); err != nil || m.Team != "design" {
		t.Fatalf("%+v, %v", m, err)
	}
	if r, err := h.store.RecentRole(t.Context(), "acme", v); err != nil || r != "" {
		t.Errorf("removed by this very process, the role is %q, %v", r, err)
	}
	if team, err := h.store.TeamOf(t.Context(), "acme", "m"); err != nil || team != "" {
		t.Errorf("removed, the team is %q, %v", team, err)
	}
	if err := second(h.store.RemoveMember(t.Context(), "acme", "m")); code(err) != "not_found" {
		t.Errorf("removed twice: %v", err)
	}
	h.micros.Add(time.Hour.Microseconds())
	if err := h.store.PutMember(t.Context(), "acme", orgs.Member{Sub: "m", Role: orgs.RoleMember}); err != nil {
		t.Fatal(err)
	}
	if m, err := h.store.Member(t.Context(), "acme", "m"); err != nil || m.Team != "" || !m.JoinedAt.Equal(h.now()) {
		t.Errorf("back again: %+v, %v", m, err)
	}
}

func TestAChangeOfAMemberLeavesWhatItDoesNotName(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.people(t, "acme", nil, nil)
	email, name := "m@acme.example", "Em"
	first, created, err := h.store.ChangeMember(t.Context(), "acme", orgs.MemberChange{Sub: "m", Role: orgs.RoleMember, Email: &email, Name: &name})
	if err != nil || !created {
		t.Fatal(created, err)
	}
	h.micros.Add(time.Hour.Microseconds())
	got, created, err := h.store.ChangeMember(t.Context(), "acme", orgs.MemberChange{Sub: "m", Role: orgs.RoleAdmin})
	first.Role = orgs.RoleAdmin
	if err != nil || created || got != first {
		t.Errorf("%+v, %t, %v, want %+v", got, created, err, first)
	}
}
