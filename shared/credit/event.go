package credit

import (
	"strconv"
	"strings"
	"time"
)

// EventKind is what others are told of.
type EventKind string

// The kinds of events. The alerts among them are raised once per crossing; a warning of credits that lapse once per day and distance.
const (
	EventLowBalance  EventKind = "low_balance"
	EventDebt        EventKind = "debt"
	EventTopUpDue    EventKind = "top_up_due"
	EventDebtCeiling EventKind = "debt_ceiling"
	EventExpiring    EventKind = "expiring"
	EventLimit       EventKind = "limit_threshold"
	EventLimitFull   EventKind = "limit_reached"
	EventGranted     EventKind = "granted"
	EventExpired     EventKind = "expired"
	EventClawedBack  EventKind = "clawed_back"
	EventRestored    EventKind = "restored"
	EventFrozen      EventKind = "frozen"
	EventThawed      EventKind = "thawed"
	// These tell people of a purchase what the above tell programs of every grant: EventGranted, EventClawedBack, EventFrozen, and what undoes them.
	EventPurchased EventKind = "purchased"
	EventTakenBack EventKind = "taken_back"
	EventDisputed  EventKind = "disputed"
	EventGivenBack EventKind = "given_back"
)

// Crossing tells whether an event says that a threshold was crossed.
func (k EventKind) Crossing() bool {
	switch k {
	case EventLowBalance, EventTopUpDue, EventDebt, EventDebtCeiling, EventLimit, EventLimitFull:
		return true
	default:
		return false
	}
}

// Alert tells whether an event is for people to act on.
func (k EventKind) Alert() bool {
	switch k {
	case EventLowBalance, EventDebt, EventDebtCeiling, EventExpiring, EventLimit, EventLimitFull, EventPurchased, EventTakenBack, EventDisputed, EventGivenBack:
		return true
	default:
		return false
	}
}

// Event is something that others are told after the commit that made it true.
type Event struct {
	// ID is the same however often the event is told: low:{org}:{n} for an alert, {kind}:{org}:{seq} otherwise.
	ID      string
	Kind    EventKind
	Org     string
	At      time.Time
	Grant   string
	Source  Source
	Credits int64
	// Threshold is what was crossed, of an alert.
	Threshold int64
	// ExpiresAt is when the credits that a warning is about lapse, the first of them.
	ExpiresAt time.Time
	// Limit is which threshold of a limit was reached, of such an alert.
	Limit  *LimitNotice
	After  Figures
	Reason string
}

// LimitNotice is a threshold of a limit that was reached. The subject's ID is empty for the organisation.
type LimitNotice struct {
	Subject
	Limit    Limit
	Used     int64 // credits
	Percent  int64 // the threshold
	Window   string
	ResetsAt time.Time
}

// tell adds an event about the entry just recorded.
func (w *work) tell(e Event) {
	e.Org, e.At, e.After = w.Org, w.LastAt, w.Figures
	if len(w.out.Entries) == 0 { // settings have no entry
		e.At = w.t
	}
	if e.ID == "" {
		e.ID = strings.Join([]string{string(e.Kind), w.Org, strconv.FormatInt(w.Seq, 10)}, ":")
	}
	w.out.Events = append(w.out.Events, e)
}

// tellPeople adds an alert about credits of a purchase. Of other grants there is none: a bonus follows its purchase, and a plan's invoice may
// have a dozen.
func (w *work) tellPeople(kind EventKind, g *Grant, credits int64, reason string) {
	if g.Source == Purchase && credits > 0 {
		w.tell(Event{Kind: kind, Grant: g.ID, Source: g.Source, Credits: credits, Reason: reason})
	}
}

// watch raises the alerts of the item just done. Low balance watches available + held: it fires when that goes from above the threshold to
// at or below it, re-arms when it rises above, and counts a top-up that leaves it low as a new crossing. A top-up is a grant that was paid
// for and can be drawn on at once; a bonus beside it is none, or one purchase would be told of twice. Debt is told when it begins, and again
// when it reaches the ceiling.
//
// Credits that go after money that went back make no top-up due: nobody is charged anew for having been refunded, or for disputing a charge.
// If the balance is low then, the next use that lowers it crosses.
func (w *work) watch() {
	w.watchLow(&w.Low, "low", EventLowBalance)
	fell := w.net() < w.had && !w.back
	if t := &w.TopUp.LowBalance; fell || w.topUp || w.armed || w.Available+w.Held > t.Threshold {
		w.watchLow(t, "topup", EventTopUpDue)
	}
	w.had = w.net()
	if w.Debt > 0 && w.owed == 0 {
		w.DebtAlerts.N++
		w.tell(Event{ID: alertID("debt", w.Org, w.DebtAlerts.N), Kind: EventDebt, Credits: w.Debt})
	}
	over := w.DebtAlerts.Ceiling > 0 && w.Debt >= w.DebtAlerts.Ceiling
	if over && !w.DebtAlerts.Over {
		w.DebtAlerts.N++
		w.tell(Event{ID: alertID("debt-ceiling", w.Org, w.DebtAlerts.N), Kind: EventDebtCeiling, Threshold: w.DebtAlerts.Ceiling, Credits: w.Debt})
	}
	w.DebtAlerts.Over = over
	w.owed = w.Debt
	w.watchLimits()
}

// watchLow tells of a balance that crosses a latch's threshold.
func (w *work) watchLow(l *LowBalance, name string, kind EventKind) {
	if !l.On {
		return
	}
	below := w.Available+w.Held <= l.Threshold
	if below && (!l.Below || w.topUp) {
		l.N++
		w.tell(Event{ID: alertID(name, w.Org, l.N), Kind: kind, Threshold: l.Threshold, Credits: w.Available + w.Held})
	}
	l.Below = below
}

// watchLimits tells of the thresholds that the item just done has reached, each for itself.
func (w *work) watchLimits() {
	for _, n := range w.crossed {
		kind := EventLimit
		if n.Percent == percentReached {
			kind = EventLimitFull
		}
		w.LimitAlerts++
		w.tell(Event{ID: alertID("limit", w.Org, w.LimitAlerts), Kind: kind, Credits: n.Used, Threshold: n.Limit.at(n.Percent), Limit: &n})
	}
	w.crossed = nil
}

func alertID(kind, org string, n int64) string {
	return strings.Join([]string{kind, org, strconv.FormatInt(n, 10)}, ":")
}

// configure changes settings, unless later ones are known. Moving the alert's threshold is no crossing: the latch follows the balance
// silently. New settings of auto top-up are one when the balance is low: nothing else might ever bring the next.
func (w *work) configure(c Configure) error {
	if t := c.TopUp; t != nil && t.Revision > w.TopUp.Revision {
		w.TopUp.On, w.TopUp.Threshold, w.TopUp.Below, w.TopUp.Revision = t.On, t.Credits, false, t.Revision
		w.armed = true
	}
	if c.Revision != 0 {
		if c.Revision < w.SettingsRevision {
			return nil
		}
		w.SettingsRevision = c.Revision
	}
	if c.Zone != nil {
		w.Zone = *c.Zone
	}
	if t := c.LowBalance; t != nil && (w.Low.On != t.On || w.Low.Threshold != t.Credits) {
		w.Low.On, w.Low.Threshold = t.On, t.Credits
		w.Low.Below = t.On && w.Available+w.Held <= t.Credits
	}
	if c.DebtCeiling != nil {
		w.DebtAlerts.Ceiling = *c.DebtCeiling
		w.DebtAlerts.Over = *c.DebtCeiling > 0 && w.Debt >= *c.DebtCeiling
	}
	return nil
}
