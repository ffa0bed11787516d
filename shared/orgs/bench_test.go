package orgs_test

import (
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
