package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// promotionVerbs are the verbs about codes that give credits.
func promotionVerbs() []verb {
	return []verb{
		{
			name: "promotions get", operands: []string{"CODE"}, who: platform, example: "promotions get WELCOME50", summary: "a promotion's terms, and how often it was redeemed",
			prepare: func(t *tool, flags *flag.FlagSet) action {
				a := t.account(flags, platform)
				return func(ctx context.Context, o []string) error { return a.getPromotion(ctx, o[0]) }
			},
		},
		{
			name: "promotions put", operands: []string{"CODE", "FILE"}, who: platform, asks: true, example: "promotions put WELCOME50 welcome.json",
			summary: "make a promotion, or change its terms to those of a file, after showing what changes",
			prepare: func(t *tool, flags *flag.FlagSet) action {
				a := t.account(flags, platform)
				return func(ctx context.Context, o []string) error { return a.putPromotion(ctx, o[0], o[1]) }
			},
		},
	}
}

// promotion is a promotion with its terms.
type promotion struct {
	Code      string    `json:"code"`
	Name      string    `json:"name"`
	On        string    `json:"on"`
	Credits   int64     `json:"credits"`
	LifeDays  int64     `json:"life_days"`
	StartsAt  time.Time `json:"starts_at"`
	EndsAt    time.Time `json:"ends_at"`
	TotalMax  int64     `json:"total_max"`
	PerOrgMax int64     `json:"per_org_max"`
	Orgs      []string  `json:"orgs"`
	Countries []string  `json:"countries"`
	Paused    bool      `json:"paused"`
	Redeemed  int64     `json:"redeemed"`
	Revision  int64     `json:"revision"`
	ChangedBy string    `json:"changed_by"`
}

func promotionPath(code string) string { return "/operations/promotions/" + url.PathEscape(code) }

func (a *account) getPromotion(ctx context.Context, code string) error {
	p, data, err := read[promotion](ctx, a, promotionPath(code), nil)
	if err != nil {
		return err
	}
	return a.tellPromotion(p, data)
}

func (a *account) tellPromotion(p promotion, data json.RawMessage) error {
	if a.json {
		return a.print(data)
	}
	list := func(of []string) string {
		if len(of) == 0 {
			return "all"
		}
		return fmt.Sprint(of)
	}
	return a.tell(
		fact{"code", p.Code}, fact{"name", p.Name}, fact{"on", p.On}, fact{"credits", credits(p.Credits)}, fact{"life in days", credits(p.LifeDays)},
		fact{"from (UTC)", moment(&p.StartsAt, time.UTC)}, fact{"to (UTC)", moment(&p.EndsAt, time.UTC)},
		fact{"redeemed", credits(p.Redeemed) + " of " + credits(p.TotalMax)}, fact{"for each", credits(p.PerOrgMax)},
		fact{"organisations", list(p.Orgs)}, fact{"countries", list(p.Countries)}, fact{"paused", strconv.FormatBool(p.Paused)},
		fact{"revision", credits(p.Revision)}, fact{"changed by", p.ChangedBy},
	)
}

func (a *account) putPromotion(ctx context.Context, code, file string) error {
	terms, err := fileJSON(file)
	if err != nil {
		return err
	}
	_, before, err := read[promotion](ctx, a, promotionPath(code), nil)
	made := refusedAs(err, "not_found")
	if err != nil && !made {
		return err
	}
	changes, err := termChanges(before, terms)
	if err != nil {
		return err
	}
	if err := table(a.beside().tool, changes, edits()); err != nil {
		return err
	}
	what := fmt.Sprintf("This changes %d terms of the promotion %s.", len(changes), clean(code))
	if made {
		what = fmt.Sprintf("This makes the promotion %s, which gives credits away.", clean(code))
	}
	if err := a.confirm(ctx, what, "yes"); err != nil {
		return err
	}
	p, data, err := send[promotion](ctx, a, http.MethodPut, promotionPath(code), terms, "")
	if err != nil {
		return err
	}
	return a.tellPromotion(p, data)
}

// termChanges are the differences between a promotion, if there is one, and terms; what only a promotion has is none.
func termChanges(before, terms json.RawMessage) ([]edit, error) {
	is, wanted := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	if err := json.Unmarshal(terms, &wanted); err != nil {
		return nil, fmt.Errorf("the terms: %w", err)
	}
	if len(before) > 0 {
		if err := json.Unmarshal(before, &is); err != nil {
			return nil, fmt.Errorf("the promotion: %w", err)
		}
	}
	for _, own := range []string{"code", "redeemed", "revision", "changed_by", "created_at", "updated_at"} {
		delete(is, own)
	}
	places := map[string]bool{}
	for name := range is {
		places[name] = true
	}
	for name := range wanted {
		places[name] = true
	}
	var out []edit
	for _, name := range slices.Sorted(maps.Keys(places)) {
		if e := (edit{Place: name, Before: string(is[name]), After: string(wanted[name])}); e.Before != e.After {
			out = append(out, e)
		}
	}
	return out, nil
}
