package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/fluxori/ai-credits/shared/numerals"
)

// lookupVerbs are the verbs that begin with what a customer says.
func lookupVerbs() []verb {
	return []verb{
		{
			name: "find", operands: []string{"WHAT"}, who: support, example: "find thandi@kalahari-crafts.example",
			summary: "a purchase by its reference, people by an e-mail address, organisations by id or the beginning of a name",
			prepare: func(t *tool, flags *flag.FlagSet) action {
				a, limit := t.account(flags, support), limitFlag(flags)
				return func(ctx context.Context, o []string) error { return a.find(ctx, o[0], *limit) }
			},
		},
		{
			name: "org", operands: []string{"ORG"}, who: support, example: "org kalahari-crafts", summary: "an organisation's profile and balance",
			prepare: func(t *tool, flags *flag.FlagSet) action {
				a := t.account(flags, support)
				return func(ctx context.Context, o []string) error { return a.showOrg(ctx, o[0]) }
			},
		},
	}
}

// organisation is the profile.
type organisation struct {
	OrgID          string    `json:"org_id"`
	Name           string    `json:"name"`
	Country        string    `json:"country"`
	TimeZone       string    `json:"time_zone"`
	Currency       string    `json:"currency"`
	OwnerEmail     string    `json:"owner_email"`
	BillingContact string    `json:"billing_contact"`
	CreatedAt      time.Time `json:"created_at"`
}

// zone is the zone that the organisation's times are told in.
func (o organisation) zone() *time.Location {
	zone, err := time.LoadLocation(o.TimeZone)
	if err != nil {
		return time.UTC
	}
	return zone
}

// label names the organisation.
func (o organisation) label() string { return fmt.Sprintf("%s (%s)", clean(o.Name), clean(o.OrgID)) }

// title names the organisation, and the zone of the times below it.
func (o organisation) title() string { return fmt.Sprintf("%s, times in %s", o.label(), o.zone()) }

func (a *account) organisation(ctx context.Context, org string) (organisation, json.RawMessage, error) {
	return read[organisation](ctx, a, in(org), nil)
}

// reference is the form of purchases' references.
var reference = regexp.MustCompile(`^CR[- ]?[0-9A-Z]`)

// find looks for what a customer says it is. A reference is written in capitals and an organisation's id in small letters.
func (a *account) find(ctx context.Context, what string, limit int) error {
	switch {
	case strings.Contains(what, "@"):
		return a.findPeople(ctx, what, limit)
	case reference.MatchString(what):
		return a.showPurchase(ctx, what)
	}
	if err := a.showOrg(ctx, what); err == nil || !refusedAs(err, "unknown_org") {
		return err
	}
	return list(ctx, a, "/organisations", url.Values{"name": {what}}, limit, []column[organisation]{
		{head: "ORGANISATION", cell: func(o organisation) string { return o.OrgID }},
		{head: "NAME", cell: func(o organisation) string { return o.Name }},
		{head: "COUNTRY", cell: func(o organisation) string { return o.Country }},
		{head: "CURRENCY", cell: func(o organisation) string { return o.Currency }},
		{head: "ZONE", cell: func(o organisation) string { return o.TimeZone }},
	})
}

// refusedAs reports whether err is the API's, with a code.
func refusedAs(err error, code string) bool {
	f, ok := errors.AsType[*failure](err)
	return ok && f.Code == code
}

// place is where somebody with an address is.
type place struct {
	OrgID  string `json:"org_id"`
	Name   string `json:"name"`
	UserID string `json:"user_id"`
	Role   string `json:"role"`
}

// findPeople asks for all at once: the API answers with one page.
func (a *account) findPeople(ctx context.Context, email string, limit int) error {
	p, _, err := read[page](ctx, a, "/people", url.Values{"email": {email}})
	if err != nil {
		return err
	}
	return show(a, p.Items[:min(limit, len(p.Items))], []column[place]{
		{head: "ORGANISATION", cell: func(p place) string { return p.OrgID }},
		{head: "NAME", cell: func(p place) string { return p.Name }},
		{head: "ROLE", cell: func(p place) string { return p.Role }},
		{head: "USER", cell: func(p place) string { return p.UserID }},
	})
}

func (a *account) showOrg(ctx context.Context, org string) error {
	o, data, err := a.organisation(ctx, org)
	if err != nil {
		return err
	}
	b, balanceData, err := read[balance](ctx, a, in(org, "balance"), nil)
	if err != nil {
		return err
	}
	if a.json {
		if err := a.print(data); err != nil {
			return err
		}
		return a.print(balanceData)
	}
	if err := a.tell(
		fact{"organisation", o.OrgID}, fact{"name", o.Name}, fact{"country", o.Country}, fact{"currency", o.Currency}, fact{"zone", o.TimeZone},
		fact{"owner", o.OwnerEmail}, fact{"billing contact", o.BillingContact}, fact{"since", moment(&o.CreatedAt, o.zone())},
	); err != nil {
		return err
	}
	fmt.Fprintln(a.out)
	return a.tell(b.facts(o.zone())...)
}

// credits writes a number of credits.
func credits(n int64) string { return numerals.Whole(n) }
