package spend_test

import (
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/spend"
)

func holdRequest(id string, credits int64) spend.HoldRequest {
	return spend.HoldRequest{Request: request(id, "custom-query", credits)}
}

func TestAHoldKeepsThePriceItWasPlacedAt(t *testing.T) {
	t.Parallel()
	s, prices, _ := open(t)
	placed, err := s.Hold(t.Context(), holdRequest("job", 20), "svc")
	if err != nil || placed.Entry.Work.PriceVersion != 1 || placed.Entry.Credits != 20 || placed.Entry.Actor != "svc" {
		t.Fatalf("%+v, %v", placed.Entry, err)
	}
	prices.change(t, dearer)
	_, err = s.Hold(t.Context(), holdRequest("other", 20), "svc")
	wantCode(t, err, "credits_out_of_range")
	if again, err := s.Hold(t.Context(), holdRequest("job", 20), "svc"); err != nil || !again.Replayed {
		t.Errorf("what cannot be priced any more, but was held: %+v, %v", again, err)
	}
	_, err = s.Hold(t.Context(), holdRequest("job", 21), "svc")
	wantCode(t, err, credit.CodeConflict)
	_, err = s.Debit(t.Context(), request("job", "custom-query", 20), "svc")
	wantCode(t, err, credit.CodeConflict)
	c := spend.Capture{HoldID: placed.Entry.Subject, Credits: 5} // what it cost in the end is not priced again
	if got, err := s.Capture(t.Context(), c, "svc", false); err != nil || got.Entry.Work.PriceVersion != 1 || got.After.Available != 95 {
		t.Errorf("%+v, %v", got.Entry, err)
	}
	if got, err := s.Capture(t.Context(), c, "svc", true); err != nil || !got.Replayed {
		t.Errorf("probably seen before: %+v, %v", got, err)
	}
}

func TestAHoldsLifeIsBounded(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t)
	ask := holdRequest("job", 20)
	for _, seconds := range []int64{0, -1, 86401, 1 << 62, -1 << 62, 18446744074} { // the last would wrap around to less than a second
		ask.TTLSeconds = &seconds
		_, err := s.Hold(t.Context(), ask, "svc")
		wantCode(t, err, credit.CodeInvalid)
	}
	day := int64(86400)
	ask.TTLSeconds = &day
	r, err := s.Hold(t.Context(), ask, "svc")
	if err != nil || r.Entry.Until.Sub(r.Entry.At) != 24*time.Hour {
		t.Fatalf("%+v, %v", r.Entry, err)
	}
	_, err = s.Extend(t.Context(), r.Entry.Subject, 86401, "svc")
	wantCode(t, err, credit.CodeInvalid)
	if h, err := s.Extend(t.Context(), r.Entry.Subject, 60, "svc"); err != nil || !h.ExpiresAt.Equal(r.Entry.Until) {
		t.Errorf("%+v, %v", h, err)
	}
	if got, err := s.Release(t.Context(), r.Entry.Subject, "not needed", "svc"); err != nil || got.After.Available != 100 || got.Entry.Reason != "not needed" {
		t.Errorf("%+v, %v", got, err)
	}
	if h, err := s.FindHold(t.Context(), r.Entry.Subject); err != nil || h.State != credit.HoldReleased {
		t.Errorf("%+v, %v", h, err)
	}
}
