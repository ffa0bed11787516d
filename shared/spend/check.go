package spend

import (
	"context"
	"fmt"
	"slices"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/readiness"
	"github.com/fluxori/ai-credits/shared/refusals"
)

// Reason is one thing that stands against work.
type Reason interface {
	error
	// Code is the stable code that decides; Public a sentence that helps; Details are the members that go with the code.
	Code() string
	Public() string
	Details() map[string]any
}

// Features tells what stands against beginning work of a feature, as a *readiness.Store does: that it is unavailable, then that data is
// missing.
type Features interface {
	Against(ctx context.Context, org, feature string) ([]*readiness.Error, error)
}

// WithFeatures has checks and holds ask whether a feature can be run. Without it every feature can.
func WithFeatures(f Features) Option { return func(s *Spender) { s.features = f } }

// RefusalLog remembers refusals, as a *refusals.Log does.
type RefusalLog interface {
	Record(ctx context.Context, q refusals.Request, err error)
}

// WithRefusalLog has refused debits and holds logged.
func WithRefusalLog(l RefusalLog) Option { return func(s *Spender) { s.refused = l } }

// record logs a refusal.
func (s *Spender) record(ctx context.Context, kind refusals.Kind, d credit.Debit, org string, err error) {
	if s.refused == nil {
		return
	}
	s.refused.Record(ctx, refusals.Request{
		Org: org, User: d.Work.User, Team: d.Work.Team, Feature: d.Work.Feature, Kind: kind, Credits: d.Credits, EventID: d.EventID, Actor: d.Actor,
	}, err)
}

// Check is the price of a request and everything that stands against beginning it now, in the order of refusals: frozen, debt, unavailable,
// data, limits, credits. It changes nothing, and is not logged.
func (s *Spender) Check(ctx context.Context, r Ask) (catalogue.Quote, []Reason, error) {
	q, err := s.Quote(ctx, r)
	if err != nil {
		return catalogue.Quote{}, nil, err
	}
	against, err := s.against(ctx, r)
	if err != nil {
		return catalogue.Quote{}, nil, err
	}
	work, err := s.work(ctx, r, false)
	if err != nil {
		return catalogue.Quote{}, nil, err
	}
	reasons, err := s.reasons(ctx, r.OrgID, work, q.Credits, against)
	return q, reasons, err
}

// against lists why a feature cannot be run.
func (s *Spender) against(ctx context.Context, r Ask) ([]*readiness.Error, error) {
	if s.features == nil {
		return nil, nil
	}
	out, err := s.features.Against(ctx, r.OrgID, r.Feature)
	if err != nil {
		return nil, fmt.Errorf("whether %s can run %s: %w", r.OrgID, r.Feature, err)
	}
	return out, nil
}

// reasons puts why a feature cannot be run between what the wallet says of itself, and what it says of limits and credits.
func (s *Spender) reasons(ctx context.Context, org string, work credit.Work, credits int64, against []*readiness.Error) ([]Reason, error) {
	refused, err := s.ledger.Refusals(ctx, org, work, credits)
	if err != nil {
		return nil, err
	}
	var out []Reason
	place := 0
	for _, no := range refused {
		out = append(out, no)
		if no.Code() == credit.CodeFrozen || no.Code() == credit.CodeInDebt {
			place = len(out)
		}
	}
	for i, no := range against {
		out = slices.Insert(out, place+i, Reason(no))
	}
	return out, nil
}

// begin places a hold, unless its feature cannot be run. One that was placed when it could is there still, and is answered as before.
func (s *Spender) begin(ctx context.Context, r Ask, c credit.PlaceHold) (ledger.Result, error) {
	against, err := s.against(ctx, r)
	if err != nil {
		return ledger.Result{}, err
	}
	if len(against) == 0 {
		return s.ledger.Do(ctx, r.OrgID, c)
	}
	if err := credit.Check(c); err != nil {
		return ledger.Result{}, err
	}
	earlier, found, err := s.ledger.Earlier(ctx, r.OrgID, c)
	if err != nil || found {
		return earlier, err
	}
	reasons, err := s.reasons(ctx, r.OrgID, c.Work, c.Credits, against)
	if err != nil {
		return ledger.Result{}, err
	}
	return ledger.Result{}, reasons[0]
}
