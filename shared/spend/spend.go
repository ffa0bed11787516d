// Package spend turns what an AI service asks for, over HTTP or Pub/Sub, into commands on a wallet: it prices the work and finds the result
// of an earlier attempt.
//
// The price follows the catalogue's version in force at the time of decision, or the version that the caller's quote named; the entry records
// which. A request that the catalogue refuses today, but that was charged yesterday, gets yesterday's result.
//
// Work counts for the team that is sent or, without one, for the team that its user is in when it is charged. The team as sent is part of what
// makes two requests the same, the team found is not: who was moved since gets the same result again.
//
// What a hold was placed for is priced then; its capture says what the work cost in the end, and is not priced again.
//
// Before work begins, a check and a hold ask too whether its feature can be run. A check answers with everything that stands against the work,
// a hold with the first; a check is a question and leaves no trace, a debit or hold that is refused is logged.
//
// It does not own prices (package catalogue), whether a feature can be run (package readiness), what is logged (package refusals), what a debit or a hold does (package credit), exactly-once (package ledger), or who may ask.
package spend

import (
	"context"
	"errors"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/refusals"
)

// Ask is work and its quantity: the body of POST /debit/check.
type Ask struct {
	OrgID        string         `json:"org_id"`
	UserID       string         `json:"user_id,omitempty"`
	TeamID       string         `json:"team_id,omitempty"`
	Feature      string         `json:"feature"`
	Credits      *int64         `json:"credits,omitempty"`
	Units        *int64         `json:"units,omitempty"`
	PriceVersion *int64         `json:"price_version,omitempty"`
	OccurredAt   *time.Time     `json:"occurred_at,omitempty"`
	Metadata     jsontext.Value `json:"metadata,omitempty"`
}

// Request is the body of POST /debit, and the data of an ai-usage message.
type Request struct {
	EventID string `json:"event_id"`
	Ask
}

// Prices finds catalogues.
type Prices interface {
	// Current is the version in force.
	Current(ctx context.Context) (*catalogue.Catalogue, error)
	// Version is a version that was in force once.
	Version(ctx context.Context, version int64) (*catalogue.Catalogue, error)
}

// Spender carries out requests.
type Spender struct {
	prices   Prices
	ledger   *ledger.Ledger
	features Features
	teams    Teams
	refused  RefusalLog
}

// Option adds to what a Spender does.
type Option func(*Spender)

// New makes a Spender.
func New(prices Prices, l *ledger.Ledger, opts ...Option) (*Spender, error) {
	if prices == nil || l == nil {
		return nil, errors.New("spending needs prices and a ledger")
	}
	s := &Spender{prices: prices, ledger: l}
	for _, o := range opts {
		o(s)
	}
	return s, nil
}

// Debit charges for work: all or nothing.
func (s *Spender) Debit(ctx context.Context, r Request, actor string) (ledger.Result, error) {
	d, err := s.command(ctx, r, actor, false)
	if err != nil {
		return s.earlier(ctx, r, d, err)
	}
	result, err := s.ledger.Do(ctx, r.OrgID, d)
	if err != nil {
		s.record(ctx, refusals.Debit, d, r.OrgID, err)
	}
	return result, err
}

// Usage charges for work already done: what is not there becomes debt. again says that the event has probably been seen before.
func (s *Spender) Usage(ctx context.Context, r Request, actor string, again bool) (ledger.Result, error) {
	d, err := s.command(ctx, r, actor, true)
	if err != nil {
		return s.earlier(ctx, r, d, err)
	}
	d.Usage = true
	if again {
		return s.ledger.Redo(ctx, r.OrgID, d)
	}
	return s.ledger.Do(ctx, r.OrgID, d)
}

// Quote prices a request without charging it.
func (s *Spender) Quote(ctx context.Context, r Ask) (catalogue.Quote, error) {
	if err := r.check(); err != nil {
		return catalogue.Quote{}, err
	}
	prices, err := s.catalogue(ctx, r.PriceVersion)
	if err != nil {
		return catalogue.Quote{}, err
	}
	return prices.Price(r.Feature, catalogue.Quantity{Credits: r.Credits, Units: r.Units})
}

// Reversal asks to give a debit's credits back.
type Reversal struct {
	EventID      string `json:"event_id"`
	OrgID        string `json:"org_id"`
	DebitEventID string `json:"debit_event_id"`
	Credits      *int64 `json:"credits,omitempty"`
	Reason       string `json:"reason"`
}

// Reverse gives a debit's credits back, because its work failed.
func (s *Spender) Reverse(ctx context.Context, r Reversal, actor string) (ledger.Result, error) {
	c := credit.Reverse{
		EventID: r.EventID, Debit: r.DebitEventID, Actor: actor, Reason: r.Reason,
		Content: credit.Content{Kind: credit.KindReversal, Org: r.OrgID, Subject: r.DebitEventID, Credits: r.Credits},
	}
	if r.Credits != nil {
		if *r.Credits < 1 {
			return ledger.Result{}, credit.Refuse(credit.CodeInvalid, "credits must be 1 or more, or left out for all", map[string]any{"field": "credits"})
		}
		c.Credits = *r.Credits
	}
	if r.Reason == "" {
		return ledger.Result{}, credit.Refuse(credit.CodeInvalid, "reason is required", map[string]any{"field": "reason"})
	}
	return s.ledger.Do(ctx, r.OrgID, c)
}

func (s *Spender) catalogue(ctx context.Context, version *int64) (*catalogue.Catalogue, error) {
	if version != nil {
		return s.prices.Version(ctx, *version)
	}
	return s.prices.Current(ctx)
}

// check tells whether an ask can be of any meaning, before it is priced.
func (r Ask) check() error {
	if err := credit.CheckOrg(r.OrgID); err != nil {
		return err
	}
	if len(r.Metadata) > 0 && r.Metadata.Kind() != '{' {
		return credit.Refuse(credit.CodeInvalid, "metadata must be an object", map[string]any{"field": "metadata"})
	}
	return nil
}

// command prices a request and finds the team that it counts for; done says that the work is done already. When that fails the command still
// names the event, so that an earlier result can be found.
func (s *Spender) command(ctx context.Context, r Request, actor string, done bool) (credit.Debit, error) {
	d := credit.Debit{
		EventID: r.EventID,
		Content: credit.Content{
			Kind: credit.KindDebit, Org: r.OrgID, User: r.UserID, Team: r.TeamID, Feature: r.Feature, Credits: r.Credits, Units: r.Units,
		},
		Work:     r.work(),
		Actor:    actor,
		Metadata: string(r.Metadata),
	}
	if err := credit.CheckID("event_id", r.EventID); err != nil {
		return d, err
	}
	q, err := s.Quote(ctx, r.Ask)
	if err != nil {
		return d, err
	}
	if d.Work, err = s.work(ctx, r.Ask, done); err != nil {
		return d, err
	}
	d.Credits, d.Work.PriceVersion = q.Credits, q.PriceVersion
	return d, nil
}

// work is what is asked for, as it was sent.
func (r Ask) work() credit.Work {
	w := credit.Work{User: r.UserID, Team: r.TeamID, Feature: r.Feature, Units: r.Units}
	if r.OccurredAt != nil {
		w.OccurredAt = r.OccurredAt.UTC().Truncate(time.Microsecond)
	}
	return w
}

// work is what is asked for, with the team that it counts for; done says that the work is done already.
func (s *Spender) work(ctx context.Context, r Ask, done bool) (credit.Work, error) {
	w := r.work()
	var err error
	w.Team, err = s.team(ctx, r, done)
	return w, err
}

// earlier answers a request that cannot be priced now, or whose team cannot be spent for any more, with the result that its command had when
// it could be, or with why it cannot.
func (s *Spender) earlier(ctx context.Context, r Request, c credit.Command, why error) (ledger.Result, error) {
	var refused *catalogue.Error
	if !errors.As(why, &refused) && !noTeam(why) {
		return ledger.Result{}, why
	}
	result, found, err := s.ledger.Earlier(ctx, r.OrgID, c)
	if err != nil || found {
		return result, err
	}
	return ledger.Result{}, why
}
