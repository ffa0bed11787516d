package orgs_test

import (
	"fmt"
	"testing"

	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/orgs"
)

// BenchmarkRole finds a member's role in the store, and in memory.
func BenchmarkRole(b *testing.B) {
	h := openOn(b, engine.New(b, engine.Embedded()))
	h.put(b, "acme", acme())
	if err := h.store.PutMember(b.Context(), "acme", orgs.Member{Sub: "m", Role: orgs.RoleMember}); err != nil {
		b.Fatal(err)
	}
	v := orgs.Visitor{Sub: "m"}
	for name, find := range map[string]func() (orgs.Role, error){
		"store":  func() (orgs.Role, error) { return h.store.Role(b.Context(), "acme", v) },
		"memory": func() (orgs.Role, error) { return h.store.RecentRole(b.Context(), "acme", v) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			h.Hooks.Reset()
			for b.Loop() {
				if r, err := find(); err != nil || r != orgs.RoleMember {
					b.Fatal(r, err)
				}
			}
			b.ReportMetric(float64(h.Hooks.Counts().Reads)/float64(b.N), "reads/op")
		})
	}
}

// BenchmarkTeamOf finds the teams of 2,000 members in turn, as a busy wallet's debits do.
func BenchmarkTeamOf(b *testing.B) {
	h := openOn(b, engine.New(b, engine.Embedded()))
	subs := make([]string, 2000)
	for i := range subs {
		subs[i] = fmt.Sprintf("m%d", i)
	}
	h.people(b, "acme", subs, []string{"design"})
	for _, sub := range subs {
		h.join(b, "acme", "design", sub)
		if team, err := h.store.TeamOf(b.Context(), "acme", sub); err != nil || team != "design" {
			b.Fatal(team, err)
		}
	}
	for _, sub := range subs {
		if _, err := h.store.TeamOf(b.Context(), "acme", sub); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	h.Hooks.Reset()
	i := 0
	for b.Loop() {
		if team, err := h.store.TeamOf(b.Context(), "acme", subs[i%len(subs)]); err != nil || team != "design" {
			b.Fatal(team, err)
		}
		i++
	}
	b.ReportMetric(float64(h.Hooks.Counts().Reads)/float64(b.N), "reads/op")
}
