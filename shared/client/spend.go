package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// Work is what credits are to be spent on. Credits or Units are for features whose price has a range.
type Work struct {
	OrgID        string          `json:"org_id"`
	UserID       string          `json:"user_id,omitempty"`
	TeamID       string          `json:"team_id,omitempty"`
	Feature      string          `json:"feature"`
	Credits      *int64          `json:"credits,omitempty"`
	Units        *int64          `json:"units,omitempty"`
	PriceVersion *int64          `json:"price_version,omitempty"`
	OccurredAt   *time.Time      `json:"occurred_at,omitempty"`
	Metadata     json.RawMessage `json:"metadata,omitempty"`
}

// Debit is work to be charged for, under an id that the caller keeps.
type Debit struct {
	EventID string `json:"event_id"`
	Work
}

// Balance is what an organisation has afterwards, in credits.
type Balance struct {
	Available int64 `json:"available"`
	Held      int64 `json:"held"`
	Debt      int64 `json:"debt"`
}

// Allocation is what one grant had part in.
type Allocation struct {
	GrantID string `json:"grant_id"`
	Source  string `json:"source"`
	Credits int64  `json:"credits"`
}

// Charge is the answer to a debit. Replayed says that the same id was charged for before.
type Charge struct {
	EventID      string       `json:"event_id"`
	Credits      int64        `json:"credits"`
	PriceVersion int64        `json:"price_version"`
	Allocations  []Allocation `json:"allocations"`
	Balance      Balance      `json:"balance"`
	Replayed     bool         `json:"replayed"`
}

// Debit charges for work, all or nothing. An *Error is a refusal, and nothing was charged; [ErrUnknown] says that nobody knows yet.
func (c *Client) Debit(ctx context.Context, d Debit) (Charge, error) {
	var out Charge
	return out, c.call(ctx, http.MethodPost, "", d, &out)
}

// Quote is the answer to a check: the price, and everything that stands against the work.
type Quote struct {
	Allowed      bool    `json:"allowed"`
	Credits      int64   `json:"credits"`
	PriceVersion int64   `json:"price_version"`
	Reasons      []Error `json:"reasons"`
}

// Check asks what work would cost and whether it may begin. It changes nothing.
func (c *Client) Check(ctx context.Context, w Work) (Quote, error) {
	var out Quote
	return out, c.call(ctx, http.MethodPost, "/check", w, &out)
}

// Reversal gives a debit's credits back, or those of a hold's capture. Without Credits, all that are left.
type Reversal struct {
	EventID      string `json:"event_id"` // that of the reversal
	OrgID        string `json:"org_id"`
	DebitEventID string `json:"debit_event_id"`
	Credits      *int64 `json:"credits,omitempty"`
	Reason       string `json:"reason"`
}

// Reverse gives credits back because the work failed.
func (c *Client) Reverse(ctx context.Context, r Reversal) (Charge, error) {
	var out Charge
	return out, c.call(ctx, http.MethodPost, "/reverse", r, &out)
}

// HoldRequest is work to come. TTLSeconds is how long the hold lasts unless it is extended, from 1 to 86400; 900 without it.
type HoldRequest struct {
	Debit
	TTLSeconds int64 `json:"ttl_seconds,omitempty"`
}

// Hold is credits set aside. State and Captured are known of a hold that was looked up: open, captured, released or timed_out.
type Hold struct {
	HoldID       string       `json:"hold_id"`
	EventID      string       `json:"event_id"`
	State        string       `json:"state"`
	Credits      int64        `json:"credits"`
	Captured     int64        `json:"captured_credits"`
	PriceVersion int64        `json:"price_version"`
	ExpiresAt    time.Time    `json:"expires_at"`
	Allocations  []Allocation `json:"allocations"`
	Replayed     bool         `json:"replayed"`
}

// Capture is the answer to a capture.
type Capture struct {
	HoldID       string       `json:"hold_id"`
	Credits      int64        `json:"credits"`
	PriceVersion int64        `json:"price_version"`
	Released     int64        `json:"released"` // what went back of the credits held
	Debt         int64        `json:"debt"`     // what nothing could cover
	Allocations  []Allocation `json:"allocations"`
	Balance      Balance      `json:"balance"`
	Replayed     bool         `json:"replayed"`
}

// Hold sets credits aside, all or nothing.
func (c *Client) Hold(ctx context.Context, h HoldRequest) (Hold, error) {
	var out Hold
	return out, c.call(ctx, http.MethodPost, "/holds", h, &out)
}

// FindHold is a hold as it is now.
func (c *Client) FindHold(ctx context.Context, id string) (Hold, error) {
	var out Hold
	return out, c.call(ctx, http.MethodGet, ofHold(id, ""), nil, &out)
}

// Extend lets a hold last until ttl from now, in whole seconds, never less.
func (c *Client) Extend(ctx context.Context, id string, ttl time.Duration) (Hold, error) {
	var out Hold
	return out, c.call(ctx, http.MethodPost, ofHold(id, "/extend"), map[string]int64{"ttl_seconds": int64(ttl / time.Second)}, &out)
}

// Capture charges for the work that a hold was placed for: fewer credits than held, as many, or more.
func (c *Client) Capture(ctx context.Context, id string, credits int64) (Capture, error) {
	var out Capture
	return out, c.call(ctx, http.MethodPost, ofHold(id, "/capture"), map[string]int64{"credits": credits}, &out)
}

// Release gives back all that is held.
func (c *Client) Release(ctx context.Context, id, reason string) error {
	return c.call(ctx, http.MethodPost, ofHold(id, "/release"), struct {
		Reason string `json:"reason,omitempty"`
	}{reason}, &struct{}{})
}

func ofHold(id, what string) string { return "/holds/" + url.PathEscape(id) + what }
