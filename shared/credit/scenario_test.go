package credit_test

import (
	"errors"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
)

// The commands of the tables, short enough to be read as a story.

func buy(payment string, n int64) credit.NewGrant {
	return credit.NewGrant{Key: credit.SystemKey("grant", payment), Terms: credit.Terms{Source: credit.Purchase, Granted: n, Payment: payment}}
}

// subscribe is a paid line of item i for the hours from start to end of the tests' first day, with a grace of two hours.
func subscribe(line string, n int64, start, end int) credit.NewGrant {
	return credit.NewGrant{Key: credit.SystemKey("grant", "in", line), Terms: credit.Terms{
		Source: credit.Subscription, Granted: n, Item: "si", EffectiveAt: hour(start), ExpiresAt: hour(end), UsableUntil: hour(end + 2),
	}}
}

// promote is a bonus that lasts until the hour.
func promote(code string, n int64, end int) credit.NewGrant {
	return credit.NewGrant{Key: credit.SystemKey("promotion", code), Terms: credit.Terms{
		Source: credit.Promotion, Granted: n, ExpiresAt: hour(end), UsableUntil: hour(end),
	}}
}

func linked(c credit.NewGrant, payment string) credit.NewGrant {
	c.Terms.LinkedTo = paidBy(payment)
	return c
}

func from(c credit.NewGrant, start int) credit.NewGrant {
	c.Terms.EffectiveAt = hour(start)
	return c
}

func debit(event string, n int64) credit.Debit {
	return credit.Debit{EventID: event, Credits: n, Work: credit.Work{Feature: "custom-query"}}
}

func usage(event string, n int64) credit.Debit {
	c := debit(event, n)
	c.Usage = true
	return c
}

func reverse(event, of string, n int64) credit.Reverse {
	return credit.Reverse{EventID: event, Debit: of, Credits: n}
}

// refund is a clawback after so much of a hundred was returned.
func refund(payment string, returned int64) credit.ClawBack {
	return credit.ClawBack{Grant: paidBy(payment), Returned: returned, Paid: 100}
}

func freeze(payment string, frozen bool) credit.FreezeGrant {
	return credit.FreezeGrant{Grant: paidBy(payment), Frozen: frozen, Reason: "dispute"}
}

// hold sets credits aside until so many hours from now.
func hold(event string, n int64, hours int) credit.PlaceHold {
	return credit.PlaceHold{EventID: event, Credits: n, Work: credit.Work{Feature: "custom-query"}, TTL: time.Duration(hours) * time.Hour}
}

func extend(event string, hours int) credit.Extend {
	return credit.Extend{Hold: credit.HoldID(org, event), TTL: time.Duration(hours) * time.Hour}
}

func capture(event string, n int64) credit.Capture {
	return credit.Capture{Hold: credit.HoldID(org, event), Credits: n}
}

func release(event string) credit.Release { return credit.Release{Hold: credit.HoldID(org, event)} }

func adjust(event string, n int64) credit.Adjust { return credit.Adjust{EventID: event, Credits: n} }

func alertAt(n int64) credit.Configure {
	return credit.Configure{LowBalance: &credit.Threshold{On: true, Credits: n}}
}

func ceiling(n int64) credit.Configure { return credit.Configure{DebtCeiling: &n} }

func paidBy(payment string) string { return credit.GrantID(credit.SystemKey("grant", payment)) }

func hour(n int) time.Time { return day.Add(time.Duration(n) * time.Hour) }

// at does a step at an hour, none to let the clock alone; steps without one follow at the same hour.
type at struct {
	hour int
	step any
}

// refused is a command that must be refused with a code.
type refused struct {
	code    string
	command credit.Command
}

// play does the commands one after another, each in a commit of its own and on a wallet just read, and then lets the clock come to the hour.
func play(t *testing.T, until int, commands ...any) *bank {
	t.Helper()
	b := opened(t)
	now := hour(0)
	for _, c := range commands {
		if a, ok := c.(at); ok {
			now, c = hour(a.hour), a.step
		}
		switch c := c.(type) {
		case nil:
			b.journal(now)
		case refused:
			wantRefusal(t, b, c, now)
		case credit.Command:
			b.must(c, now)
		default:
			t.Fatalf("%T is no step of a story", c)
		}
		b.commit(true)
	}
	if hour(until).After(now) {
		b.journal(hour(until))
		b.commit(true)
	}
	return b
}

func wantRefusal(t *testing.T, b *bank, r refused, now time.Time) {
	t.Helper()
	_, err := b.do(r.command, now)
	var refusal *credit.Refusal
	if !errors.As(err, &refusal) || refusal.Code() != r.code {
		t.Fatalf("%+v gives %v; want a refusal with the code %s", r.command, err, r.code)
	}
}

// kinds counts the entries of a kind.
func (b *bank) kinds(kind credit.Kind) int {
	n := 0
	for _, e := range b.entries {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// story is a row of a table: what is done, and how the wallet stands at the end.
type story struct {
	name      string
	do        []any
	until     int // hour
	available int64
	held      int64
	debt      int64
	entries   map[credit.Kind]int
	free      map[string]int64 // by grant, where it matters
}

func tell(t *testing.T, stories []story) {
	t.Helper()
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			b := play(t, s.until, s.do...)
			if want := (credit.Figures{Available: s.available, Held: s.held, Debt: s.debt}); b.wallet.Figures != want {
				t.Errorf("the wallet stands at %+v; want %+v", b.wallet.Figures, want)
			}
			for kind, n := range s.entries {
				if got := b.kinds(kind); got != n {
					t.Errorf("%d entries of kind %s; want %d", got, kind, n)
				}
			}
			free := b.free()
			for id, n := range s.free {
				if free[id] != n {
					t.Errorf("grant %s has %d free credits; want %d", id, free[id], n)
				}
			}
		})
	}
}
