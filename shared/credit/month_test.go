package credit_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fluxori/ai-credits/shared/credit"
)

func TestAWindowIsTheMonthOnTheWall(t *testing.T) {
	t.Parallel()
	zones := []string{
		"UTC", "Africa/Johannesburg", "Pacific/Auckland", "America/Los_Angeles", "Asia/Kathmandu", "Australia/Lord_Howe",
		"America/Asuncion",               // clocks go forward at midnight, on the first of October 2023 too
		"Asia/Amman",                     // and on the first of April 2011
		"America/Sao_Paulo",              // and go back at midnight
		"Pacific/Apia",                   // left out a day at the end of 2011
		"America/Havana",                 // back on the first of November 2009, at one
		"Antarctica/Troll",               // by two hours
		"America/Argentina/Buenos_Aires", // back at midnight, on the first of March 1964 too
		"Asia/Damascus",                  // back at midnight, on the first of October from 1999 to 2005
		"America/Scoresbysund",           // back at midnight
	}
	rapid.Check(t, func(rt *rapid.T) {
		zone, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(rt, "zone"))
		if err != nil {
			rt.Fatal(err)
		}
		at := time.Unix(rapid.Int64Range(-1_000_000_000, 2_500_000_000).Draw(rt, "at"), 0)
		w := credit.WindowAt(at, zone)
		month := func(t time.Time) string { return t.In(zone).Format("2006-01") }
		if w.Key != month(at) || at.Before(w.Start) || !at.Before(w.End) {
			rt.Fatalf("%v in %v is in %+v", at, zone, w)
		}
		if month(w.Start) != w.Key || month(w.End.Add(-time.Nanosecond)) != w.Key || month(w.End) == w.Key {
			rt.Fatalf("%+v in %v does not begin and end with its month", w, zone)
		}
		if before := month(w.Start.Add(-time.Nanosecond)); before >= w.Key {
			rt.Fatalf("%+v in %v begins within %s", w, zone, before)
		}
	})
}
