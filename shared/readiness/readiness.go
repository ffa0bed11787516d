// Package readiness says whether a feature can be run: whether it is available to anybody, and whether an organisation has the data that it
// needs. Operators say so; who asks before work begins is told.
//
// Invariants: a feature of which nothing was said is available, and every organisation ready for it; an unavailability with an end passes at
// that end by itself, whoever asks; what is told is at most [Staleness] old; what is kept in memory and in each document is bounded; only
// features of the catalogue in force can be spoken of.
//
// It refuses only what has not begun: a check and the placing of a hold. A debit or a capture reports work that leave was given for.
//
// It does not own what features there are (package catalogue), the order in which refusals are told (package spend), nor who may speak.
package readiness

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/coded"
)

// Bounds of what is said.
const (
	maxReason       = 500 // bytes of a reason
	maxMissing      = 10  // things that an organisation lacks for a feature
	maxMissingBytes = 80  // of each
	// maxFeatures is how many features may be unavailable, and for how many an organisation may lack data: a document stays below 64 KiB.
	maxFeatures = 64
)

// Availability is whether a feature can be run by anybody.
type Availability struct {
	Available bool
	// Reason says why not, for those who ask; Until is when it is over by itself, zero for not by itself.
	Reason string
	Until  time.Time
}

// Readiness is whether an organisation has the data that a feature needs.
type Readiness struct {
	Ready bool
	// Missing names what it lacks, in words that an AI service can show.
	Missing []string
}

// against is the refusal that an availability makes at a moment, or nil.
func (a Availability) against(feature string, now time.Time) *Error {
	if a.Available || (!a.Until.IsZero() && !now.Before(a.Until)) {
		return nil
	}
	e := &Error{Reason: coded.Reason{
		Is: "feature_unavailable", Says: fmt.Sprintf("The feature %q is not available now.", feature), With: map[string]any{"feature": feature},
	}}
	if a.Reason != "" {
		e.With["reason"] = a.Reason
	}
	if !a.Until.IsZero() {
		e.With["until"] = a.Until
		e.retryAfter = a.Until.Sub(now)
	}
	return e
}

// against is the refusal that a readiness makes, or nil.
func (r Readiness) against(feature string) *Error {
	if r.Ready {
		return nil
	}
	missing := r.Missing
	if missing == nil {
		missing = []string{}
	}
	return &Error{Reason: coded.Reason{
		Is: "data_required", Says: fmt.Sprintf("The organisation does not have the data that the feature %q needs.", feature),
		With: map[string]any{"feature": feature, "missing": missing},
	}}
}

// check tells what is wrong with an availability that is to stand from now on.
func (a Availability) check(now time.Time) error {
	switch {
	case a.Available && (a.Reason != "" || !a.Until.IsZero()):
		return invalid("available", "A feature that is available has neither a reason nor an end of its unavailability.")
	case !text(a.Reason, maxReason):
		return invalid("reason", fmt.Sprintf("reason must be at most %d bytes of text on one line.", maxReason))
	case !a.Until.IsZero() && (!a.Until.After(now) || a.Until.UTC().Year() > 9999):
		return invalid("until", "until must lie in the future.")
	}
	return nil
}

// check tells what is wrong with a readiness.
func (r Readiness) check() error {
	switch {
	case r.Ready && len(r.Missing) > 0:
		return invalid("missing", "An organisation that is ready misses nothing.")
	case len(r.Missing) > maxMissing:
		return invalid("missing", fmt.Sprintf("missing names at most %d things.", maxMissing))
	}
	for _, m := range r.Missing {
		if strings.TrimSpace(m) == "" || !text(m, maxMissingBytes) {
			return invalid("missing", fmt.Sprintf("Each of missing must be 1 to %d bytes of text on one line.", maxMissingBytes))
		}
	}
	return nil
}

// text reports whether s is valid text of at most limit bytes without control characters.
func text(s string, limit int) bool {
	return len(s) <= limit && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// Error says why work may not begin, or why something cannot be said of a feature. Its code is `feature_unavailable`, `data_required`,
// `invalid_request` or `unavailable`.
type Error struct {
	coded.Reason
	retryAfter time.Duration
}

// RetryAfter is how long until a feature is available again by itself; zero when that is not known.
func (e *Error) RetryAfter() time.Duration { return e.retryAfter }

func invalid(field, says string) *Error {
	return &Error{Reason: coded.Reason{Is: "invalid_request", Says: says, With: map[string]any{"field": field}}}
}

func unavailable(format string, args ...any) *Error {
	return &Error{Reason: coded.Reason{
		Is: "unavailable", Says: "Whether the feature can be run cannot be read or changed now; repeat the request.", From: fmt.Errorf(format, args...),
	}}
}

// known refuses what is no feature. The error is a *catalogue.Error, `unknown_feature`.
func known(c *catalogue.Catalogue, feature string) error {
	_, err := c.FeatureByID(feature)
	return err
}
