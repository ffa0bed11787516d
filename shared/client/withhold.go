package client

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ttlDefault is how long a hold lasts if nothing else is asked for.
const ttlDefault = 15 * time.Minute

// settleMax bounds the capture or release at the end, which goes on when the caller's context has ended: work done is charged for.
const settleMax = time.Minute

// extensionsPerLife is how often a hold is extended within its life, so that two attempts may fail.
const extensionsPerLife = 3

// WithHold sets credits aside, does the work, and captures what the work says it cost; if the work fails or panics, all of it is given back.
// While the work goes on the hold is extended. The work's context ends when the hold is settled by somebody else.
//
// After a restart the same call with the same event id goes on with the hold that is there: the work is done again, and charged for once. If
// the hold was captured before, the work is not done and the error is [ErrDone]. If it was released or has timed out, the error has the code
// hold_settled: begin anew under another id. When the work was done but the capture's outcome is [ErrUnknown], the hold's id is in the
// Capture: repeat [Client.Capture] with the same credits.
func (c *Client) WithHold(ctx context.Context, h HoldRequest, work func(ctx context.Context) (credits int64, err error)) (Capture, error) {
	hold, err := c.Hold(ctx, h)
	if err != nil {
		return Capture{}, err
	}
	ttl := time.Duration(h.TTLSeconds) * time.Second
	if ttl <= 0 {
		ttl = ttlDefault
	}
	if hold.Replayed {
		if err := c.stillOpen(ctx, hold.HoldID); err != nil {
			return Capture{HoldID: hold.HoldID}, err
		}
		if err := c.prolong(ctx, hold.HoldID, ttl); err != nil { // most of its life may be over
			return Capture{HoldID: hold.HoldID}, err
		}
	}
	working, stop := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.keep(working, stop, hold.HoldID, ttl)
	}()
	finished := false
	defer func() {
		if !finished { // the work panicked, and goes on panicking
			stop(nil)
			<-ended
			_ = c.giveBack(ctx, hold.HoldID, nil) // nobody is there to be told: the hold's own end does it otherwise
		}
	}()
	credits, err := work(working)
	finished = true
	stop(nil)
	<-ended
	if err != nil {
		return Capture{HoldID: hold.HoldID}, c.giveBack(ctx, hold.HoldID, err)
	}
	settling, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleMax)
	defer cancel()
	done, err := c.Capture(settling, hold.HoldID, credits)
	done.HoldID = hold.HoldID
	return done, err
}

// stillOpen tells whether work may go on under a hold that was placed before.
func (c *Client) stillOpen(ctx context.Context, id string) error {
	found, err := c.FindHold(ctx, id)
	switch {
	case err != nil:
		return err
	case found.Captured > 0 || found.State == "captured":
		return ErrDone
	case found.State != "open":
		return &Error{Code: HoldSettled, Detail: "the hold of this event id is " + found.State}
	}
	return nil
}

// giveBack releases a hold after its work failed, and adds what goes wrong with that. The hold's own end does it otherwise.
func (c *Client) giveBack(ctx context.Context, id string, failure error) error {
	settling, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleMax)
	defer cancel()
	if err := c.Release(settling, id, "the work failed"); err != nil {
		return errors.Join(failure, fmt.Errorf("give credits back: %w", err))
	}
	return failure
}

// keep extends a hold until ctx ends. One that was settled ends the work.
func (c *Client) keep(ctx context.Context, stop context.CancelCauseFunc, id string, ttl time.Duration) {
	for c.o.Sleep(ctx, ttl/extensionsPerLife) == nil {
		if err := c.prolong(ctx, id, ttl); err != nil {
			stop(err)
			return
		}
	}
}

// prolong extends a hold. The error says that there is none any more; what passes by itself is none, since it is tried again.
func (c *Client) prolong(ctx context.Context, id string, ttl time.Duration) error {
	_, err := c.Extend(ctx, id, ttl)
	if code := CodeOf(err); code == HoldSettled || code == NotFound {
		return err
	}
	return nil
}
