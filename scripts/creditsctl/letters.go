package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// letterVerbs are the verbs about messages that could not be handled.
func letterVerbs() []verb {
	return []verb{
		{
			name: "dead-letters list", who: support, example: "dead-letters list -code unknown_feature", summary: "messages that could not be handled, newest first",
			prepare: func(t *tool, flags *flag.FlagSet) action {
				a, limit := t.account(flags, support), limitFlag(flags)
				state := flags.String("state", "waiting", "waiting, replayed, or empty for all")
				code := flags.String("code", "", "those with this code only")
				return func(ctx context.Context, _ []string) error { return a.letters(ctx, *state, *code, *limit) }
			},
		},
		{
			name: "dead-letters show", operands: []string{"ID"}, who: support, example: "dead-letters show 6f1c…", summary: "one message that waits, with its data",
			prepare: func(t *tool, flags *flag.FlagSet) action {
				a := t.account(flags, support)
				return func(ctx context.Context, o []string) error { return a.showLetter(ctx, o[0]) }
			},
		},
		{
			name: "dead-letters replay", operands: []string{"ID"}, who: support, asks: true, example: "dead-letters replay all -code unknown_feature",
			summary: "send a message again, once its reason is gone; all for all that wait",
			prepare: func(t *tool, flags *flag.FlagSet) action {
				a := t.account(flags, support)
				code := flags.String("code", "", "of all, those with this code only")
				return func(ctx context.Context, o []string) error { return a.replay(ctx, o[0], *code) }
			},
		},
	}
}

// letter is a message that could not be handled.
type letter struct {
	ID          string    `json:"id"`
	Topic       string    `json:"topic"`
	Code        string    `json:"code"`
	Reason      string    `json:"reason"`
	Data        string    `json:"data"`
	State       string    `json:"state"`
	Replayable  bool      `json:"replayable"`
	FirstSeenAt time.Time `json:"first_seen_at"`
	Failures    int64     `json:"failures"`
	Replays     int64     `json:"replays"`
}

// chosen are the letters in a state, with a code if one is given, as they are told and as values.
func (a *account) chosen(ctx context.Context, state, code string, limit int) (items []json.RawMessage, letters []letter, more bool, err error) {
	query := url.Values{}
	if state != "" {
		query.Set("state", state)
	}
	all, more, err := a.items(ctx, "/operations/dead-letters", query, limit)
	if err != nil {
		return nil, nil, false, err
	}
	values, err := decoded[letter](all)
	for i, l := range values {
		if code == "" || l.Code == code {
			items, letters = append(items, all[i]), append(letters, l)
		}
	}
	return items, letters, more, err
}

func (a *account) letters(ctx context.Context, state, code string, limit int) error {
	items, _, more, err := a.chosen(ctx, state, code, limit)
	if err != nil {
		return err
	}
	if more {
		fmt.Fprintf(a.err, "Only the newest %d were looked at; -limit takes up to %d.\n", limit, listMax)
	}
	return show(a, items, []column[letter]{
		{head: "FIRST SEEN (UTC)", cell: func(l letter) string { return moment(&l.FirstSeenAt, time.UTC) }},
		{head: "ID", cell: func(l letter) string { return l.ID }},
		{head: "TOPIC", cell: func(l letter) string { return l.Topic }},
		{head: "CODE", cell: func(l letter) string { return l.Code }},
		{head: "STATE", cell: func(l letter) string { return l.State }},
		{head: "FAILED", figure: true, cell: func(l letter) string { return credits(l.Failures) }},
		{head: "REASON", cell: func(l letter) string { return l.Reason }},
	})
}

// letter finds a letter in the list, which is where the API tells of them.
func (a *account) letter(ctx context.Context, id string) (letter, json.RawMessage, error) {
	items, letters, _, err := a.chosen(ctx, "", "", listMax)
	if err != nil {
		return letter{}, nil, err
	}
	at := slices.IndexFunc(letters, func(l letter) bool { return l.ID == id })
	if at < 0 {
		return letter{}, nil, fmt.Errorf("there is no dead letter %q among the newest %d", id, listMax)
	}
	return letters[at], items[at], nil
}

func (a *account) showLetter(ctx context.Context, id string) error {
	l, data, err := a.letter(ctx, id)
	if err != nil {
		return err
	}
	if a.json {
		return a.print(data)
	}
	return a.tell(
		fact{"id", l.ID}, fact{"topic", l.Topic}, fact{"state", l.State}, fact{"code", l.Code}, fact{"reason", l.Reason},
		fact{"first seen (UTC)", moment(&l.FirstSeenAt, time.UTC)}, fact{"failures", credits(l.Failures)}, fact{"replays", credits(l.Replays)}, fact{"data", l.Data},
	)
}

// replay sends one letter again, or all that wait.
func (a *account) replay(ctx context.Context, id, code string) error {
	var letters []letter
	if id == "all" {
		var more bool
		var err error
		if _, letters, more, err = a.chosen(ctx, "waiting", code, listMax); err != nil {
			return err
		}
		if more {
			fmt.Fprintf(a.err, "There are more than %d; the rest wait for another run.\n", listMax)
		}
	} else {
		l, _, err := a.letter(ctx, id)
		if err != nil {
			return err
		}
		fmt.Fprintf(a.err, "%s of %s: %s\n%s\n", l.ID, l.Topic, clean(l.Reason), clean(l.Data))
		letters = []letter{l}
	}
	if len(letters) == 0 {
		fmt.Fprintln(a.err, "None wait.")
		return nil
	}
	what := fmt.Sprintf("This publishes %d messages again; each has one effect, by its own event id, and may charge for work.", len(letters))
	if err := a.confirm(ctx, what, "yes"); err != nil {
		return err
	}
	return a.publishAgain(ctx, letters)
}

// publishAgain sends letters again. One that fails does not keep the others from being sent.
func (a *account) publishAgain(ctx context.Context, letters []letter) error {
	var failed []error
	done := 0
	for i, l := range letters {
		_, data, err := send[letter](ctx, a, http.MethodPost, "/operations/dead-letters/"+url.PathEscape(l.ID)+"/replay", nil, "")
		switch {
		case ctx.Err() != nil:
			return errors.Join(append(failed, fmt.Errorf("%d of %d were published again: %w", done, len(letters), ctx.Err()))...)
		case err != nil:
			failed = append(failed, fmt.Errorf("%s: %w", l.ID, err))
			continue
		}
		done++
		if a.json {
			if err := a.print(data); err != nil {
				return err
			}
		}
		if (i+1)%progressEvery == 0 {
			fmt.Fprintf(a.err, "%d of %d\n", i+1, len(letters))
		}
	}
	if !a.json {
		fmt.Fprintf(a.out, "%d of %d were published again\n", done, len(letters))
	}
	return errors.Join(failed...)
}

// progressEvery is how many messages are sent between two lines of progress.
const progressEvery = 50
