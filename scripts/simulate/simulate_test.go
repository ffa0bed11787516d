package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"testing"
	"testing/synctest"
)

// TestRulesHoldUnderFaults runs a few seeds, or the plan that the environment names.
func TestRulesHoldUnderFaults(t *testing.T) { //nolint:paralleltest // a bubble's time is the process's
	plans := []plan{{Seed: 1, Operations: 300, Rounds: 2, Orgs: 2}, {Seed: 2, Operations: 300, Rounds: 2, Orgs: 3}}
	if named := os.Getenv(planVariable); named != "" {
		var p plan
		if err := json.Unmarshal([]byte(named), &p); err != nil {
			t.Fatal(err)
		}
		plans = []plan{p}
	}
	for _, p := range plans {
		var r Result
		synctest.Test(t, func(*testing.T) { r = simulate(p, slog.New(slog.DiscardHandler)) })
		var history bytes.Buffer
		if r.Broken != "" {
			r.history.print(&history)
			t.Errorf("%s\n%s", r.Broken, history.String())
		}
		if file := os.Getenv(reportVariable); file != "" {
			data, err := json.Marshal(report{Result: r, History: history.String()})
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}
