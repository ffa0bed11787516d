package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// pagesMax bounds the calls of one erasure: each looks through thousands of entries.
const pagesMax = 100_000

// memberVerbs are the verbs about people.
func memberVerbs() []verb {
	return []verb{
		{
			name: "members", operands: []string{"ORG"}, who: support, example: "members kalahari-crafts", summary: "who is in an organisation",
			prepare: func(t *tool, flags *flag.FlagSet) action {
				a, limit := t.account(flags, support), limitFlag(flags)
				return func(ctx context.Context, o []string) error { return a.members(ctx, o[0], *limit) }
			},
		},
		{
			name: "erase", operands: []string{"ORG", "USER"}, who: support, asks: true, example: "erase kalahari-crafts pieter -timeout 30m",
			summary: "erase a person from an organisation's records, for good; figures stay",
			prepare: func(t *tool, flags *flag.FlagSet) action {
				a := t.account(flags, support)
				from := flags.String("from", "", "where an erasure that was interrupted goes on")
				return func(ctx context.Context, o []string) error { return a.erase(ctx, o[0], o[1], *from) }
			},
		},
	}
}

// member is a person in an organisation.
type member struct {
	UserID   string    `json:"user_id"`
	Role     string    `json:"role"`
	Email    string    `json:"email"`
	Name     string    `json:"name"`
	TeamID   string    `json:"team_id"`
	JoinedAt time.Time `json:"joined_at"`
}

func (a *account) members(ctx context.Context, org string, limit int) error {
	zone, err := a.titled(ctx, org)
	if err != nil {
		return err
	}
	return list(ctx, a, in(org, "members"), nil, limit, []column[member]{
		{head: "USER", cell: func(m member) string { return m.UserID }},
		{head: "ROLE", cell: func(m member) string { return m.Role }},
		{head: "NAME", cell: func(m member) string { return m.Name }},
		{head: "E-MAIL", cell: func(m member) string { return m.Email }},
		{head: "TEAM", cell: func(m member) string { return m.TeamID }},
		{head: "SINCE", cell: func(m member) string { return moment(&m.JoinedAt, zone) }},
	})
}

// erased is what one call of an erasure has done.
type erased struct {
	Entries       int64  `json:"entries"`
	LimitRequests int64  `json:"limit_requests"`
	Removed       bool   `json:"removed"`
	NextPageToken string `json:"next_page_token"`
}

// erase goes on, page by page, until the person is nowhere any more. Each page may be repeated.
func (a *account) erase(ctx context.Context, org, user, from string) error {
	o, _, err := a.organisation(ctx, org)
	if err != nil {
		return err
	}
	who := user
	switch m, _, err := read[member](ctx, a, in(org, "members", user), nil); {
	case err == nil:
		who = fmt.Sprintf("%s, %s %s (%s)", user, m.Role, clean(m.Name), clean(m.Email))
	case !refusedAs(err, "not_found"):
		return err
	default:
		who += ", who is no member any more"
	}
	what := fmt.Sprintf("This ends the membership of %s in %s, and erases name, address and words from its records for good. Figures stay.", who, o.label())
	if err := a.confirm(ctx, what, o.OrgID); err != nil {
		return err
	}
	var all erased
	for n := range pagesMax {
		path := in(org, "members", user, "erasure")
		if from != "" {
			path += "?" + url.Values{"page_token": {from}}.Encode()
		}
		e, data, err := send[erased](ctx, a, http.MethodPost, path, nil, "")
		if err != nil {
			if from != "" {
				err = fmt.Errorf("%w\nrun the same again with -from %s", err, from)
			}
			return err
		}
		if a.json {
			if err := a.print(data); err != nil {
				return err
			}
		}
		all.Entries, all.LimitRequests, all.Removed = all.Entries+e.Entries, all.LimitRequests+e.LimitRequests, all.Removed || e.Removed
		if from = e.NextPageToken; from == "" {
			break
		}
		fmt.Fprintf(a.err, "page %d: %s entries and %s limit requests so far; -from %s goes on from here\n", n+1, credits(all.Entries), credits(all.LimitRequests), from)
	}
	if a.json {
		return nil
	}
	ended := "had ended before"
	if all.Removed {
		ended = "ended"
	}
	return a.tell(fact{"membership", ended}, fact{"entries cleared", credits(all.Entries)}, fact{"limit requests cleared", credits(all.LimitRequests)})
}
