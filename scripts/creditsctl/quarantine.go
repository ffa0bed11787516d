package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// quarantineVerbs are the verbs about events of Stripe's that wait for a person.
func quarantineVerbs() []verb {
	return []verb{
		{
			name: "quarantine list", who: support, example: "quarantine list", summary: "events of Stripe's that nobody owns, or with a wrong amount, newest first",
			prepare: func(t *tool, flags *flag.FlagSet) action {
				a, limit := t.account(flags, support), limitFlag(flags)
				state := flags.String("state", "waiting", "waiting, resolved, or empty for all")
				return func(ctx context.Context, _ []string) error { return a.quarantine(ctx, *state, *limit) }
			},
		},
		{
			name: "quarantine replay", operands: []string{"EVENT"}, who: support, asks: true, example: "quarantine replay evt_1",
			summary: "receive an event again, once its cause is mended",
			prepare: func(t *tool, flags *flag.FlagSet) action {
				a := t.account(flags, support)
				return func(ctx context.Context, o []string) error { return a.receiveAgain(ctx, o[0]) }
			},
		},
		{
			name: "quarantine resolve", operands: []string{"EVENT"}, who: support, example: `quarantine resolve evt_1 -note "Not ours; finance knows"`,
			summary: "note what was done about an event by hand; no credits move",
			prepare: func(t *tool, flags *flag.FlagSet) action {
				a := t.account(flags, support)
				note := flags.String("note", "", "what was done")
				return func(ctx context.Context, o []string) error { return a.resolve(ctx, o[0], *note) }
			},
		},
	}
}

// aside is an event that was put aside.
type aside struct {
	EventID    string    `json:"event_id"`
	Type       string    `json:"type"`
	Reason     string    `json:"reason"`
	Detail     string    `json:"detail"`
	OrgID      string    `json:"org_id"`
	Reference  string    `json:"reference"`
	Payment    string    `json:"payment"`
	At         time.Time `json:"at"`
	State      string    `json:"state"`
	ResolvedBy string    `json:"resolved_by"`
	Resolution string    `json:"resolution"`
}

func (a *account) quarantine(ctx context.Context, state string, limit int) error {
	query := url.Values{}
	if state != "" {
		query.Set("state", state)
	}
	return list(ctx, a, "/operations/quarantine", query, limit, []column[aside]{
		{head: "AT (UTC)", cell: func(s aside) string { return moment(&s.At, time.UTC) }},
		{head: "EVENT", cell: func(s aside) string { return s.EventID }},
		{head: "TYPE", cell: func(s aside) string { return s.Type }},
		{head: "REASON", cell: func(s aside) string { return s.Reason }},
		{head: "STATE", cell: func(s aside) string { return s.State }},
		{head: "ORGANISATION", cell: func(s aside) string { return s.OrgID }},
		{head: "REFERENCE", cell: func(s aside) string { return s.Reference }},
		{head: "PAYMENT", cell: func(s aside) string { return s.Payment }},
	})
}

func (a *account) receiveAgain(ctx context.Context, event string) error {
	what := fmt.Sprintf("This receives Stripe's event %s again: if its cause is mended, it is settled, and may grant or take credits.", clean(event))
	if err := a.confirm(ctx, what, "yes"); err != nil {
		return err
	}
	return a.changeAside(ctx, event, "replay", nil)
}

func (a *account) resolve(ctx context.Context, event, note string) error {
	if note == "" {
		return fmt.Errorf("%w: -note is missing", errUsage)
	}
	return a.changeAside(ctx, event, "resolve", map[string]any{"resolution": note})
}

// changeAside does something about an event, and tells how it stands then.
func (a *account) changeAside(ctx context.Context, event, what string, body any) error {
	s, data, err := send[aside](ctx, a, http.MethodPost, "/operations/quarantine/"+url.PathEscape(event)+"/"+what, body, "")
	if err != nil {
		return err
	}
	if a.json {
		return a.print(data)
	}
	return a.tell(
		fact{"event", s.EventID}, fact{"type", s.Type}, fact{"state", s.State}, fact{"reason", s.Reason}, fact{"detail", s.Detail},
		fact{"organisation", s.OrgID}, fact{"reference", s.Reference}, fact{"payment", s.Payment}, fact{"resolved by", s.ResolvedBy}, fact{"resolution", s.Resolution},
	)
}
