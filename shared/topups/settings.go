package topups

import (
	"fmt"
	"time"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/coded"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/payments"
)

// schemaVersion is the form of the documents that this release reads and writes.
const schemaVersion = 1

// Wish is what an organisation wants.
type Wish struct {
	Enabled bool `firestore:"enabled"`
	// Threshold is in credits: a top-up is due when available and held together fall to it or below.
	Threshold int64 `firestore:"threshold"`
	// Package is what is bought.
	Package string `firestore:"package"`
	// MonthlyCap is what may be charged in a calendar month, with tax, in minor units of the organisation's currency.
	MonthlyCap int64 `firestore:"monthly_cap"`
}

// Settings are an organisation's wish, and how it goes.
type Settings struct {
	Org string `firestore:"org"`
	Wish
	// Currency is that of the cap.
	Currency catalogue.Currency `firestore:"currency"`
	// Revision counts what arms the wallet's latch anew, from 1; 0 when the organisation never wished anything.
	Revision int64 `firestore:"revision"`
	// Spent is what was charged, or is being charged, in the month Window.
	Window string `firestore:"window"`
	Spent  int64  `firestore:"spent"`
	// ResumeAt is when the month begins in which a cap that was reached leaves room again; zero for none. Resuming says that the revision that
	// arms the wallet for it is chosen.
	ResumeAt time.Time `firestore:"resume_at,omitempty"`
	Resuming bool      `firestore:"resuming,omitempty"`
	// Breaker is nil while it is closed.
	Breaker   *Breaker  `firestore:"breaker"`
	UpdatedAt time.Time `firestore:"updated_at"`
}

// Breaker is open since a charge failed.
type Breaker struct {
	// Code is why: Stripe's code, no_card, abandoned, not_sold, other_currency or no_tax_place.
	Code string `firestore:"code"`
	// Card is the one that was charged; empty for none.
	Card string    `firestore:"card"`
	At   time.Time `firestore:"at"`
}

// SpentIn is what was charged in a month, such as 2026-03.
func (s Settings) SpentIn(window string) int64 {
	if s.Window != window {
		return 0
	}
	return s.Spent
}

// configure is what the wallet is to watch.
func (s Settings) configure() credit.Configure {
	return credit.Configure{TopUp: &credit.TopUpThreshold{
		Threshold: credit.Threshold{On: s.Enabled, Credits: s.Threshold}, Revision: s.Revision,
	}}
}

// wishing are the settings after a wish. One that changes nothing, and finds the breaker closed, arms nothing anew.
func (s Settings) wishing(w Wish, currency catalogue.Currency, now time.Time) Settings {
	if s.Revision > 0 && s.Wish == w && s.Currency == currency && s.Breaker == nil {
		return s
	}
	if s.Currency != currency { // what was charged in another does not count against this cap
		s.Window, s.Spent = "", 0
	}
	s.Wish, s.Currency, s.Breaker, s.UpdatedAt = w, currency, nil, now
	s.ResumeAt, s.Resuming = time.Time{}, false
	s.Revision++
	return s
}

// withCard are the settings once the organisation pays with a card. What another card does not help stays as it is.
func (s Settings) withCard(card string, now time.Time) Settings {
	if b := s.Breaker; b == nil || b.Card == card || b.Code == codeNotSold || b.Code == codeOtherCurrency {
		return s
	}
	s.Breaker, s.UpdatedAt = nil, now
	s.Revision++
	return s
}

// resuming are the settings once a cap's month is over: they arm the wallet anew, once.
func (s Settings) resuming(now time.Time) Settings {
	if s.ResumeAt.IsZero() || s.ResumeAt.After(now) || s.Resuming {
		return s
	}
	s.Resuming = true
	s.Revision++
	return s
}

// resumed are the settings once the wallet is told of the revision that arms it. Others that came meanwhile stay.
func (s Settings) resumed(revision int64) Settings {
	if s.Revision == revision {
		s.ResumeAt, s.Resuming = time.Time{}, false
	}
	return s
}

// State is how far an attempt has come.
type State string

// The states. An attempt that is not begun has ended.
const (
	Begun    State = "begun"    // its amount is set aside, and the card may have been charged
	Made     State = "made"     // charged; the credits come with Stripe's event
	Declined State = "declined" // not charged
	Capped   State = "capped"   // the month's cap leaves no room
	Off      State = "off"      // nothing is wished any more, or the breaker is open
)

// Attempt is what became of a crossing.
type Attempt struct {
	N     int64 `firestore:"n"`
	State State `firestore:"state"`
	// Reference is its purchase's, Offer what that sells.
	Reference string         `firestore:"reference"`
	Offer     payments.Offer `firestore:"offer"`
	Tax       payments.Tax   `firestore:"tax"`
	Window    string         `firestore:"window"`
	// Code is why it was declined.
	Code    string    `firestore:"code"`
	BegunAt time.Time `firestore:"begun_at"`
	EndedAt time.Time `firestore:"ended_at"`
}

// cost is what is charged for an attempt, with tax.
func (a Attempt) cost() int64 { return a.Offer.Amount + a.Tax.Amount }

// The codes of attempts that nothing can be charged for.
const (
	codeNotSold       = "not_sold"       // the package is sold no more
	codeOtherCurrency = "other_currency" // the organisation pays in another currency than that of its cap
	codeNoTaxPlace    = "no_tax_place"   // where the customer is, and so its tax, is not known
)

// hindrance is why nothing can be charged for an attempt; empty for nothing.
func (a Attempt) hindrance(s Settings) string {
	switch {
	case a.Offer.Credits == 0:
		return codeNotSold
	case a.Offer.Currency != s.Currency:
		return codeOtherCurrency
	default:
		return a.Code
	}
}

// begin decides about a crossing that has no attempt yet.
func begin(s Settings, a Attempt, nextMonth time.Time) (Settings, Attempt) {
	switch spent := s.SpentIn(a.Window); {
	case !s.Enabled || s.Breaker != nil || s.Package != a.Offer.Package: // settings that changed just now cross anew
		a.State = Off
	case a.hindrance(s) != "":
		a.State, a.Code, a.EndedAt = Declined, a.hindrance(s), a.BegunAt
		s.Breaker = &Breaker{Code: a.Code, At: a.BegunAt}
	case a.cost() > s.MonthlyCap-spent:
		a.State, s.ResumeAt, s.Resuming = Capped, nextMonth, false
	default:
		a.State = Begun
		s.Window, s.Spent = a.Window, spent+a.cost()
	}
	return s, a
}

// end ends an attempt that has begun by what became of its charge.
func end(s Settings, a Attempt, c payments.Charged, now time.Time) (Settings, Attempt) {
	if a.State != Begun {
		return s, a
	}
	a.State, a.Code, a.EndedAt = Made, c.Code, now
	if c.Status == payments.Failed {
		a.State = Declined
		if s.Window == a.Window && s.Currency == a.Offer.Currency && !c.Unknown {
			s.Spent -= a.cost()
		}
		s.Breaker = &Breaker{Code: c.Code, Card: c.Card, At: now}
	}
	return s, a
}

// Error says why something cannot be done. Its code is `invalid_request` or `unavailable`.
type Error struct{ coded.Reason }

func invalid(field, format string, args ...any) *Error {
	return &Error{coded.Reason{Is: "invalid_request", Says: fmt.Sprintf(format, args...), With: map[string]any{"field": field}}}
}

func unavailable(err error) *Error {
	return &Error{coded.Reason{Is: "unavailable", Says: "Auto top-up cannot be read or changed now; repeat the request.", From: err}}
}
