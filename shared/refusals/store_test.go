package refusals_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/refusals"
)

func refusal(i int, user string, at time.Time) refusals.Refusal {
	return refusals.Refusal{
		ID: fmt.Sprintf("A%c", 'A'+i), Code: "in_debt", Detail: "Owes.", Details: []byte(`{"debt":5}`), Count: 2, First: at, Last: at.Add(time.Second),
		Request: refusals.Request{Org: "acme", User: user, Team: "t", Feature: "f", Kind: refusals.Hold, Credits: 7, EventID: "e", Actor: "a"},
	}
}

func ids(rs []refusals.Refusal) (out string) {
	for _, r := range rs {
		out += r.ID + " "
	}
	return out
}

func TestRefusalsAreListedNewestFirstByUserAndInPages(t *testing.T) {
	t.Parallel()
	engine.Each(t, func(t *testing.T, e *engine.Engine) {
		now := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
		s, err := refusals.NewStore(e.Client, func() time.Time { return now })
		if err != nil {
			t.Fatal(err)
		}
		var all []refusals.Refusal
		for i := range 6 {
			all = append(all, refusal(i, []string{"u1", "u2"}[i%2], now.Add(time.Duration(i/2)*time.Minute-refusals.Life+time.Hour)))
		}
		if err := s.Write(t.Context(), all[:5]); err != nil {
			t.Fatal(err)
		}
		for range 2 { // again is the same
			if err := s.Write(t.Context(), all[5:]); err != nil {
				t.Fatal(err)
			}
		}
		list := func(q refusals.Query) []refusals.Refusal {
			t.Helper()
			got, err := s.List(t.Context(), "acme", q)
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		got := list(refusals.Query{AnyUser: true, Limit: 10})
		if ids(got) != "AF AE AD AC AB AA " || fmt.Sprint(got[0]) != fmt.Sprint(all[5]) {
			t.Errorf("all: %s, first %+v", ids(got), got[0])
		}
		if got := list(refusals.Query{User: "u2", Limit: 2}); ids(got) != "AF AD " {
			t.Errorf("a user's: %s", ids(got))
		}
		if got := list(refusals.Query{User: "u2", Limit: 2, AfterAt: all[3].First, AfterID: "AD"}); ids(got) != "AB " {
			t.Errorf("the next page: %s", ids(got))
		}
		if got := list(refusals.Query{AnyUser: true, Limit: 10, AfterAt: all[4].First, AfterID: "AE"}); ids(got) != "AD AC AB AA " {
			t.Errorf("after one of two of a moment: %s", ids(got))
		}
		now = now.Add(time.Hour + time.Minute) // the first four are older than what is told
		if got := list(refusals.Query{AnyUser: true, Limit: 10}); ids(got) != "AF AE " {
			t.Errorf("when their time is over: %s", ids(got))
		}
		if _, err := s.List(t.Context(), "acme", refusals.Query{AfterID: "../x", Limit: 1}); err == nil {
			t.Error("a made-up page is taken")
		} else if e, ok := errors.AsType[*refusals.Error](err); !ok || e.Code() != "invalid_request" {
			t.Error(err)
		}
	})
}
