package reports_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	high "cloud.google.com/go/firestore"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/reports"
)

const (
	yearEvents = 1_000_000
	yearUsers  = 200
)

// BenchmarkAYear reads a year of a million events by 200 users with six features, as documents of days and as folded months. The days' documents
// are written as those events leave them; all that follows is the ledger's.
func BenchmarkAYear(b *testing.B) {
	e := engine.New(b, engine.Embedded())
	now := time.Date(2025, 1, 1, 8, 0, 0, 0, time.UTC)
	l, err := ledger.New(e.Raw, e.Database(), ledger.Options{Now: func() time.Time { return now }, Deadline: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	where := zone
	for _, c := range []credit.Command{
		credit.Configure{Zone: &where},
		credit.Debit{EventID: "first", Usage: true, Credits: 1, Work: credit.Work{Feature: "feature-0", Team: "team-0", User: "user-0"}},
	} {
		if _, err := l.Do(b.Context(), "acme", c); err != nil {
			b.Fatal(err)
		}
	}
	writeYear(b, e.Client, now)
	now = now.AddDate(1, 0, 7)
	run := func(b *testing.B) {
		for _, by := range []reports.Dimension{reports.Day, reports.Feature, reports.Team, reports.User} {
			b.Run(string(by), func(b *testing.B) { benchmarkReport(b, e, l, by) })
		}
	}
	b.Run("days", run)
	if months, err := l.Fold(b.Context(), "acme"); err != nil || months != 12 {
		b.Fatalf("folded %d months, %v", months, err)
	}
	b.Run("months", run)
}

func benchmarkReport(b *testing.B, e *engine.Engine, l *ledger.Ledger, by reports.Dimension) {
	e.Hooks.Reset()
	b.ReportAllocs()
	for b.Loop() {
		r, err := reports.New(reports.Query{GroupBy: []reports.Dimension{by}})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := l.Usage(b.Context(), "acme", "2025-01-01", "2026-01-01", func(u ledger.Used) error { return r.Add(reports.Use(u)) }); err != nil {
			b.Fatal(err)
		}
		if r.Total() != yearEvents {
			b.Fatalf("%d of %d credits", r.Total(), yearEvents)
		}
	}
	b.ReportMetric(float64(e.Hooks.Counts().Reads)/float64(b.N), "reads/op")
}

// writeYear writes a year's documents of days, a credit to each event. Each user belongs to one of ten teams; identifiers are as long as real ones.
func writeYear(b *testing.B, client *high.Client, first time.Time) {
	b.Helper()
	const days = 365
	n := 0
	for day := range days {
		cells := map[string]any{}
		for until := yearEvents * (day + 1) / days; n < until; n++ {
			user, feature := n*7919%yearUsers, n*104729/yearUsers%6
			name := fmt.Sprintf("feature-%d", feature) + "\x1f" + fmt.Sprintf("team-%d", user%10) + "\x1f" + fmt.Sprintf("auth0|64f1c0ffee%014d", user)
			credits, _ := cells[name].(int64)
			cells[name] = credits + 1
		}
		date := first.AddDate(0, 0, day).Format(time.DateOnly)
		if _, err := client.Doc("wallets/acme/usage/"+date+"-0").Set(b.Context(), map[string]any{"v": 1, "org": "acme", "day": date, "cells": cells}); err != nil {
			b.Fatal(err)
		}
		if len(cells) < yearUsers || strings.Contains(date, "2026") {
			b.Fatalf("%d cells on %s", len(cells), date)
		}
	}
}
