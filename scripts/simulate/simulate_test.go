package main

import (
	"bytes"
	"log/slog"
	"os"
	"testing"
	"testing/synctest"
)

func TestSimulation(t *testing.T) {
	for seed := range uint64(3) {
		var r result
		synctest.Test(t, func(*testing.T) {
			r = simulate(plan{Seed: seed + 1, Operations: 300, Rounds: 2, Orgs: 2}, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
		})
		t.Logf("%+v", r)
		if r.Broken != "" {
			var b bytes.Buffer
			_ = b
			t.Error(r.Broken, b.String())
		}
	}
}
