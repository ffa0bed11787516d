package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	prices "github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/numerals"
)

// catalogueVerbs are the verbs about what is sold.
func catalogueVerbs() []verb {
	return []verb{
		{
			name: "catalogue show", who: platform, example: "catalogue show -version 3", summary: "what is sold: features, packages, plans",
			prepare: func(t *tool, flags *flag.FlagSet) action {
				a := t.account(flags, platform)
				version := versionFlag(flags)
				return func(ctx context.Context, _ []string) error { return a.showCatalogue(ctx, *version) }
			},
		},
		{
			name: "catalogue document", who: platform, example: "catalogue document > catalogue.json", summary: "the catalogue whole, to be changed and published",
			prepare: func(t *tool, flags *flag.FlagSet) action {
				a := t.account(flags, platform)
				version := versionFlag(flags)
				return func(ctx context.Context, _ []string) error { return a.document(ctx, *version) }
			},
		},
		{
			name: "catalogue propose", operands: []string{"FILE"}, who: platform, example: "catalogue propose catalogue.json",
			summary: "check a changed catalogue: all that is wrong, what would change, what would break",
			prepare: func(t *tool, flags *flag.FlagSet) action {
				a := t.account(flags, platform)
				return func(ctx context.Context, o []string) error { return a.proposeFile(ctx, o[0]) }
			},
		},
		{
			name: "catalogue publish", operands: []string{"FILE"}, who: platform, asks: true, example: "catalogue publish catalogue.json",
			summary: "put a changed catalogue in force, after showing what changes",
			prepare: func(t *tool, flags *flag.FlagSet) action {
				a := t.account(flags, platform)
				return func(ctx context.Context, o []string) error { return a.publish(ctx, o[0]) }
			},
		},
	}
}

func versionFlag(flags *flag.FlagSet) *int64 {
	return flags.Int64("version", 0, "another version than the one in force")
}

// publication is a version as it was published.
type publication struct {
	Version     int64           `json:"version"`
	InForce     bool            `json:"in_force"`
	PublishedAt time.Time       `json:"published_at"`
	PublishedBy string          `json:"published_by"`
	Document    json.RawMessage `json:"document"`
}

// version reads the catalogue in force, or with a number another.
func (a *account) version(ctx context.Context, n int64) (publication, json.RawMessage, error) {
	query := url.Values{}
	if n != 0 {
		query.Set("version", strconv.FormatInt(n, 10))
	}
	return read[publication](ctx, a, "/operations/catalogue", query)
}

// document writes the document so that people can change it.
func (a *account) document(ctx context.Context, version int64) error {
	p, _, err := a.version(ctx, version)
	if err != nil {
		return err
	}
	if a.json {
		return a.print(p.Document)
	}
	indented, err := json.MarshalIndent(p.Document, "", "  ")
	if err != nil {
		return fmt.Errorf("indent the catalogue: %w", err)
	}
	_, err = fmt.Fprintln(a.out, string(indented))
	return err
}

func (a *account) showCatalogue(ctx context.Context, version int64) error {
	p, data, err := a.version(ctx, version)
	if err != nil {
		return err
	}
	if a.json {
		return a.print(data)
	}
	var d prices.Document
	if err := json.Unmarshal(p.Document, &d); err != nil {
		return fmt.Errorf("the catalogue: %w", err)
	}
	state := "not in force"
	if p.InForce {
		state = "in force"
	}
	if err := a.tell(fact{"version", fmt.Sprintf("%d, %s", p.Version, state)}, fact{"published (UTC)", moment(&p.PublishedAt, time.UTC)}, fact{"by", p.PublishedBy}); err != nil {
		return err
	}
	return errors.Join(a.showFeatures(d), a.showPackages(d), a.showPlans(d))
}

func (a *account) showFeatures(d prices.Document) error {
	fmt.Fprintln(a.out)
	return table(a.tool, d.Features, []column[prices.Feature]{
		{head: "FEATURE", cell: func(f prices.Feature) string { return f.ID }},
		{head: "CREDITS", figure: true, cell: func(f prices.Feature) string {
			if f.Price.Fixed() {
				return credits(f.Price.Min)
			}
			return credits(f.Price.Min) + "–" + credits(f.Price.Max)
		}},
		{head: "RATE", cell: func(f prices.Feature) string {
			if f.Rate == nil {
				return ""
			}
			return fmt.Sprintf("%s for %s × %s", credits(f.Rate.Credits), credits(f.Rate.Units), f.Rate.Unit)
		}},
		{head: "NAME", cell: func(f prices.Feature) string { return f.Name }},
	})
}

func (a *account) showPackages(d prices.Document) error {
	columns := []column[prices.Package]{
		{head: "PACKAGE", cell: func(p prices.Package) string { return p.ID }},
		{head: "CREDITS", figure: true, cell: func(p prices.Package) string { return credits(p.Credits) }},
	}
	for _, c := range d.Currencies {
		columns = append(columns, column[prices.Package]{head: string(c), figure: true, cell: func(p prices.Package) string {
			return numerals.Money(p.Prices[c], string(c))
		}})
	}
	fmt.Fprintln(a.out)
	return table(a.tool, d.Packages, columns)
}

func (a *account) showPlans(d prices.Document) error {
	columns := []column[prices.Plan]{
		{head: "PLAN", cell: func(p prices.Plan) string { return p.ID }},
		{head: "CREDITS A MONTH", figure: true, cell: func(p prices.Plan) string { return credits(p.CreditsPerCycle) }},
	}
	for _, c := range d.Currencies {
		columns = append(columns, column[prices.Plan]{head: string(c) + " A MONTH", figure: true, cell: func(p prices.Plan) string {
			return numerals.Money(p.Prices[c].Month.Amount, string(c))
		}})
	}
	fmt.Fprintln(a.out)
	return table(a.tool, d.Plans, columns)
}

// proposal is what a document would change.
type proposal struct {
	From      int64    `json:"from"`
	Version   int64    `json:"version"`
	Changes   []edit   `json:"changes"`
	Broken    []string `json:"broken"`
	Published bool     `json:"published"`
}

// edit is one difference; the values are JSON.
type edit struct {
	Place  string `json:"place"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// errBroken says that a document would not be published.
var errBroken = errors.New("it would break what is relied on, and is not published")

// fileMax bounds a file, in bytes.
const fileMax = 1 << 20

// fileJSON reads a file that is to be sent.
func fileJSON(path string) (json.RawMessage, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > fileMax {
		return nil, fmt.Errorf("%s has more than %d bytes", path, fileMax)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if !json.Valid(data) {
		return nil, fmt.Errorf("%s is no JSON", path)
	}
	return data, nil
}

// propose asks what a file would change, and shows it.
func (a *account) propose(ctx context.Context, file string) (proposal, json.RawMessage, json.RawMessage, error) {
	document, err := fileJSON(file)
	if err != nil {
		return proposal{}, nil, nil, err
	}
	p, data, err := send[proposal](ctx, a, http.MethodPost, "/operations/catalogue/proposals", document, "")
	return p, data, document, err
}

func (a *account) proposeFile(ctx context.Context, file string) error {
	p, data, _, err := a.propose(ctx, file)
	if err != nil {
		return err
	}
	if a.json {
		err = a.print(data)
	} else {
		err = a.showProposal(p)
	}
	if err == nil && len(p.Broken) > 0 {
		return errBroken
	}
	return err
}

// showProposal shows what changes, and what breaks.
func (a *account) showProposal(p proposal) error {
	head := fmt.Sprintf("version %d, made from %d: %d changes", p.Version, p.From, len(p.Changes))
	if p.Published {
		head = fmt.Sprintf("version %d, made from %d, is published already", p.Version, p.From)
	}
	fmt.Fprintln(a.out, head)
	for _, b := range p.Broken {
		fmt.Fprintln(a.out, "breaks:", clean(b))
	}
	if len(p.Changes) == 0 {
		return nil
	}
	return table(a.tool, p.Changes, edits())
}

// edits are the columns of differences.
func edits() []column[edit] {
	return []column[edit]{
		{head: "PLACE", cell: func(e edit) string { return e.Place }},
		{head: "BEFORE", cell: func(e edit) string { return e.Before }},
		{head: "AFTER", cell: func(e edit) string { return e.After }},
	}
}

// publish needs no key: the version that the document was made from, which it states, has one successor.
func (a *account) publish(ctx context.Context, file string) error {
	p, data, document, err := a.propose(ctx, file)
	if err != nil {
		return err
	}
	shown := a
	if a.json {
		shown = a.beside()
	}
	if err := shown.showProposal(p); err != nil {
		return err
	}
	switch {
	case len(p.Broken) > 0:
		return errBroken
	case p.Published && a.json:
		return a.print(data)
	case p.Published:
		return nil
	}
	what := fmt.Sprintf("This puts version %d of the catalogue in force, with %d changes to version %d. Everybody buys and spends by it within seconds.", p.Version, len(p.Changes), p.From)
	if err := a.confirm(ctx, what, "yes"); err != nil {
		return err
	}
	if document, err = upon(document, p.From); err != nil {
		return err
	}
	now, data, err := send[proposal](ctx, a, http.MethodPost, "/operations/catalogue", document, "")
	if err != nil {
		return err
	}
	if a.json {
		return a.print(data)
	}
	_, err = fmt.Fprintf(a.out, "version %d is in force\n", now.Version)
	return err
}

// upon states in a document which version it was made from, so that what is published is what was looked at.
func upon(document json.RawMessage, from int64) (json.RawMessage, error) {
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(document, &parts); err != nil {
		return nil, fmt.Errorf("read the catalogue again: %w", err)
	}
	parts["version"] = json.RawMessage(strconv.FormatInt(from, 10))
	return json.Marshal(parts)
}
