package spend

import (
	"context"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/refusals"
)

// HoldRequest is the body of POST /debit/holds.
type HoldRequest struct {
	Request
	TTLSeconds *int64 `json:"ttl_seconds,omitempty"`
}

// Capture is the data of an ai-usage message about a hold, and, without the hold, the body of its capture.
type Capture struct {
	HoldID  string `json:"hold_id"`
	Credits int64  `json:"credits"`
}

// Hold sets credits aside for work to come, at the price that a debit would have: all or nothing.
func (s *Spender) Hold(ctx context.Context, r HoldRequest, actor string) (ledger.Result, error) {
	d, err := s.command(ctx, r.Request, actor, false)
	d.Content.Kind = credit.KindHold
	c := credit.PlaceHold{EventID: d.EventID, Content: d.Content, Credits: d.Credits, Work: d.Work, Actor: d.Actor, Metadata: d.Metadata}
	if err != nil {
		return s.earlier(ctx, r.Request, c, err)
	}
	if r.TTLSeconds != nil {
		if c.TTL, err = life(*r.TTLSeconds); err != nil {
			return ledger.Result{}, err
		}
	}
	result, err := s.begin(ctx, r.Ask, c)
	if err != nil {
		s.record(ctx, refusals.Hold, d, r.OrgID, err)
	}
	return result, err
}

// FindHold is a hold as it is now.
func (s *Spender) FindHold(ctx context.Context, id string) (*credit.Hold, error) {
	return s.ledger.Hold(ctx, id)
}

// Capture charges for the work that a hold was placed for, whatever it cost. again says that the capture has probably been seen before.
func (s *Spender) Capture(ctx context.Context, r Capture, actor string, again bool) (ledger.Result, error) {
	org, _, err := credit.ParseHoldID(r.HoldID)
	if err != nil {
		return ledger.Result{}, err
	}
	c := credit.Capture{Hold: r.HoldID, Credits: r.Credits, Actor: actor}
	if again {
		return s.ledger.Redo(ctx, org, c)
	}
	return s.ledger.Do(ctx, org, c)
}

// Release gives a hold's credits back, because its work was not done. That its time has passed is a release too, and the answer then is that one
// again; unless the work was charged for afterwards: whoever is told that credits are back must not have paid them.
func (s *Spender) Release(ctx context.Context, hold, reason, actor string) (ledger.Result, error) {
	org, _, err := credit.ParseHoldID(hold)
	if err != nil {
		return ledger.Result{}, err
	}
	result, err := s.ledger.Do(ctx, org, credit.Release{Hold: hold, Reason: reason, Actor: actor})
	if err != nil || !result.Replayed {
		return result, err
	}
	h, err := s.ledger.Hold(ctx, hold)
	if err != nil {
		return ledger.Result{}, err
	}
	if h.Captured > 0 {
		return ledger.Result{}, credit.Settled(hold)
	}
	return result, nil
}

// Extend lets a hold last so many seconds from now, if that is later than it would, and returns it.
func (s *Spender) Extend(ctx context.Context, hold string, ttlSeconds int64, actor string) (*credit.Hold, error) {
	org, _, err := credit.ParseHoldID(hold)
	if err != nil {
		return nil, err
	}
	ttl, err := life(ttlSeconds)
	if err != nil {
		return nil, err
	}
	r, err := s.ledger.Do(ctx, org, credit.Extend{Hold: hold, TTL: ttl, Actor: actor})
	if err != nil {
		return nil, err
	}
	return r.Hold, nil
}

// life is a hold's, in seconds as asked for. It is bounded before it is multiplied, so that no number wraps around into range.
func life(seconds int64) (time.Duration, error) {
	if most := int64(credit.MaxHoldLife / time.Second); seconds < 1 || seconds > most {
		return 0, credit.Refuse(credit.CodeInvalid, "ttl_seconds must be from 1 to 86400", map[string]any{"field": "ttl_seconds", "most": most})
	}
	return time.Duration(seconds) * time.Second, nil
}
