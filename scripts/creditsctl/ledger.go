package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"
)

// ledgerVerbs are the verbs that tell what an organisation has and how it came to it.
func ledgerVerbs() []verb {
	return []verb{
		{
			name: "balance", operands: []string{"ORG"}, who: support, example: "balance kalahari-crafts -at 2026-11-01T00:00:00+02:00",
			summary: "what is there now, by source and by end; or at a past moment",
			prepare: func(t *tool, flags *flag.FlagSet) action {
				a := t.account(flags, support)
				at := flags.String("at", "", "a past moment, as RFC 3339 has it")
				return func(ctx context.Context, o []string) error { return a.balance(ctx, o[0], *at) }
			},
		},
		{
			name: "entries", operands: []string{"ORG"}, who: support, example: "entries kalahari-crafts -limit 20", summary: "the ledger, newest first",
			prepare: func(t *tool, flags *flag.FlagSet) action {
				a, limit := t.account(flags, support), limitFlag(flags)
				return func(ctx context.Context, o []string) error { return a.entries(ctx, o[0], *limit) }
			},
		},
		{
			name: "entry", operands: []string{"ORG", "ID"}, who: support, example: "entry kalahari-crafts report-17",
			summary: "one entry, by its id or the caller's event id: price, grants drawn on, what reversed it",
			prepare: func(t *tool, flags *flag.FlagSet) action {
				a := t.account(flags, support)
				return func(ctx context.Context, o []string) error { return a.entry(ctx, o[0], o[1]) }
			},
		},
		{
			name: "refusals", operands: []string{"ORG"}, who: support, example: "refusals kalahari-crafts -user thandi", summary: "what was refused and why, newest first",
			prepare: func(t *tool, flags *flag.FlagSet) action {
				a, limit := t.account(flags, support), limitFlag(flags)
				user := flags.String("user", "", "one user's only")
				return func(ctx context.Context, o []string) error { return a.refusals(ctx, o[0], *user, *limit) }
			},
		},
	}
}

// running are running figures, in credits.
type running struct {
	Available int64 `json:"available"`
	Held      int64 `json:"held"`
	Debt      int64 `json:"debt"`
}

// balance is what an organisation has.
type balance struct {
	running
	Frozen       *int64           `json:"frozen"`
	WalletFrozen bool             `json:"wallet_frozen"`
	BySource     map[string]int64 `json:"by_source"`
	Expiring     []struct {
		At      time.Time `json:"at"`
		Credits int64     `json:"credits"`
	} `json:"expiring"`
	AsOf time.Time `json:"as_of"`
}

// facts are the balance, line by line, with the times in a zone.
func (b balance) facts(zone *time.Location) []fact {
	out := []fact{{"available", credits(b.Available)}, {"held", credits(b.Held)}, {"debt", credits(b.Debt)}}
	if b.Frozen != nil && *b.Frozen != 0 {
		out = append(out, fact{"in frozen grants", credits(*b.Frozen)})
	}
	if b.WalletFrozen {
		out = append(out, fact{"wallet", "frozen: debits and holds are refused"})
	}
	for _, source := range slices.Sorted(maps.Keys(b.BySource)) {
		if n := b.BySource[source]; n != 0 {
			out = append(out, fact{"from " + source, credits(n)})
		}
	}
	for _, e := range b.Expiring {
		out = append(out, fact{"ends " + moment(&e.At, zone), credits(e.Credits)})
	}
	return append(out, fact{"as of", moment(&b.AsOf, zone)})
}

func (a *account) balance(ctx context.Context, org, at string) error {
	query := url.Values{}
	if at != "" {
		query.Set("at", at)
	}
	b, data, err := read[balance](ctx, a, in(org, "balance"), query)
	if err != nil {
		return err
	}
	if a.json {
		return a.print(data)
	}
	o, _, err := a.organisation(ctx, org)
	if err != nil {
		return err
	}
	fmt.Fprintln(a.out, o.title())
	return a.tell(b.facts(o.zone())...)
}

// entry is one record of the ledger.
type entry struct {
	ID         string    `json:"id"`
	EventID    string    `json:"event_id"`
	Key        string    `json:"key"`
	Kind       string    `json:"kind"`
	At         time.Time `json:"at"`
	Credits    int64     `json:"credits"`
	Subject    string    `json:"subject"`
	Feature    string    `json:"feature"`
	UserID     string    `json:"user_id"`
	TeamID     string    `json:"team_id"`
	DebtChange int64     `json:"debt_change"`
	After      running   `json:"after"`
	Actor      string    `json:"actor"`
	Reason     string    `json:"reason"`
	Changes    []struct {
		GrantID string `json:"grant_id"`
		Source  string `json:"source"`
		Free    int64  `json:"free"`
		Held    int64  `json:"held"`
	} `json:"changes"`
	Replayed bool `json:"replayed"`
}

// about is what an entry concerns.
func (e entry) about() string {
	if e.Feature != "" {
		return e.Feature
	}
	return e.Subject
}

// name is the caller's id of an entry, or the system's.
func (e entry) name() string {
	if e.EventID != "" {
		return e.EventID
	}
	return e.Key
}

// titled tells whose the list below is; programs are not told.
func (a *account) titled(ctx context.Context, org string) (*time.Location, error) {
	if a.json {
		return time.UTC, nil
	}
	o, _, err := a.organisation(ctx, org)
	if err != nil {
		return nil, err
	}
	fmt.Fprintln(a.out, o.title())
	return o.zone(), nil
}

func (a *account) entries(ctx context.Context, org string, limit int) error {
	zone, err := a.titled(ctx, org)
	if err != nil {
		return err
	}
	return list(ctx, a, in(org, "entries"), nil, limit, []column[entry]{
		{head: "AT", cell: func(e entry) string { return moment(&e.At, zone) }},
		{head: "KIND", cell: func(e entry) string { return e.Kind }},
		{head: "CREDITS", figure: true, cell: func(e entry) string { return credits(e.Credits) }},
		{head: "AVAILABLE", figure: true, cell: func(e entry) string { return credits(e.After.Available) }},
		{head: "HELD", figure: true, cell: func(e entry) string { return credits(e.After.Held) }},
		{head: "DEBT", figure: true, cell: func(e entry) string { return credits(e.After.Debt) }},
		{head: "ABOUT", cell: entry.about},
		{head: "USER", cell: func(e entry) string { return e.UserID }},
		{head: "EVENT OR KEY", cell: entry.name},
	})
}

func (a *account) entry(ctx context.Context, org, id string) error {
	e, data, err := read[explained](ctx, a, in(org, "entries", id), nil)
	if err != nil {
		return err
	}
	if a.json {
		return a.print(data)
	}
	zone, err := a.titled(ctx, org)
	if err != nil {
		return err
	}
	facts := append(e.facts(zone), e.Quote.facts()...)
	for _, c := range e.Changes {
		facts = append(facts, fact{"grant " + c.GrantID, fmt.Sprintf("%s: free %s, held %s", c.Source, signed(c.Free), signed(c.Held))})
	}
	for _, r := range e.ReversedBy {
		facts = append(facts, fact{"reversed", fmt.Sprintf("%s credits at %s by %s: %s", credits(r.Credits), moment(&r.At, zone), r.EventID, r.Reason)})
	}
	return a.tell(facts...)
}

// explained is an entry with where it came from.
type explained struct {
	entry
	Quote      quote `json:"quote"`
	ReversedBy []struct {
		EventID string    `json:"event_id"`
		Credits int64     `json:"credits"`
		At      time.Time `json:"at"`
		Reason  string    `json:"reason"`
	} `json:"reversed_by"`
}

// quote is the price that an entry was charged by.
type quote struct {
	Credits      int64 `json:"credits"`
	PriceVersion int64 `json:"price_version"`
}

func (q quote) facts() []fact {
	if q.PriceVersion == 0 {
		return nil
	}
	return []fact{{"price", fmt.Sprintf("%s credits by catalogue %d", credits(q.Credits), q.PriceVersion)}}
}

// facts are an entry, line by line.
func (e entry) facts(zone *time.Location) []fact {
	out := []fact{
		{"entry", e.ID}, {"event or key", e.name()}, {"kind", e.Kind}, {"at", moment(&e.At, zone)}, {"credits", credits(e.Credits)},
		{"about", e.about()}, {"user", e.UserID}, {"team", e.TeamID}, {"actor", e.Actor}, {"reason", e.Reason},
		{"available after", credits(e.After.Available)}, {"held after", credits(e.After.Held)}, {"debt after", credits(e.After.Debt)},
	}
	if e.DebtChange != 0 {
		out = append(out, fact{"debt", signed(e.DebtChange)})
	}
	return out
}

// signed writes a change.
func signed(n int64) string {
	if n > 0 {
		return "+" + credits(n)
	}
	return credits(n)
}

// refusal is requests to spend that were refused for one reason within a minute.
type refusal struct {
	UserID  string    `json:"user_id"`
	Feature string    `json:"feature"`
	Code    string    `json:"code"`
	Blocker string    `json:"blocker"`
	Detail  string    `json:"detail"`
	Count   int64     `json:"count"`
	LastAt  time.Time `json:"last_at"`
}

func (a *account) refusals(ctx context.Context, org, user string, limit int) error {
	zone, err := a.titled(ctx, org)
	if err != nil {
		return err
	}
	query := url.Values{}
	if user != "" {
		query.Set("user", user)
	}
	return list(ctx, a, in(org, "refusals"), query, limit, []column[refusal]{
		{head: "LAST", cell: func(r refusal) string { return moment(&r.LastAt, zone) }},
		{head: "TIMES", figure: true, cell: func(r refusal) string { return credits(r.Count) }},
		{head: "CODE", cell: func(r refusal) string { return r.Code }},
		{head: "BLOCKER", cell: func(r refusal) string { return r.Blocker }},
		{head: "FEATURE", cell: func(r refusal) string { return r.Feature }},
		{head: "USER", cell: func(r refusal) string { return r.UserID }},
		{head: "DETAIL", cell: func(r refusal) string { return r.Detail }},
	})
}
