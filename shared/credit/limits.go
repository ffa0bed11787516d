package credit

import (
	"maps"
	"slices"
)

// Scope is whom a limit binds.
type Scope string

// The scopes of limits, in the order in which they are asked.
const (
	ScopeOrganisation Scope = "organisation"
	ScopeTeam         Scope = "team"
	ScopeUser         Scope = "user"
)

// Subject is what a limit binds and a counter counts. Its ID is empty for the organisation.
type Subject struct {
	Scope Scope
	ID    string
}

// Limit is how many credits a subject may use in a window. A soft one blocks nothing: it is there for its notices.
type Limit struct {
	Credits int64
	Soft    bool
}

// Bounds of limits.
const (
	// MaxLimits is how many teams and users together may have limits of their own, which bounds the wallet document. Any number of users
	// fall under the default.
	MaxLimits = 1000
	// MaxThresholds is how many thresholds an organisation may choose.
	MaxThresholds = 10
	// percentReached is the threshold that is always there: the limit itself.
	percentReached = 100
)

// DefaultThresholds are those of an organisation that has chosen none, in percent.
func DefaultThresholds() []int64 { return []int64{50, 75, 90} }

// Limits are an organisation's limits in force. Values are immutable once they are part of a Wallet.
type Limits struct {
	// Revision is the highest revision of limits seen.
	Revision     int64
	Organisation *Limit
	// DefaultUser binds each user without a limit of its own, one by one.
	DefaultUser  *Limit
	Teams, Users map[string]Limit
	// Thresholds are where notices fire, in percent, rising. The limit itself, 100, is always one and not listed.
	Thresholds []int64
}

// Of is the limit that binds a subject, if any. l may be nil.
func (l *Limits) Of(s Subject) (limit Limit, ok bool) {
	if l == nil {
		return Limit{}, false
	}
	one := l.Organisation
	switch s.Scope {
	case ScopeTeam:
		limit, ok = l.Teams[s.ID]
		return limit, ok
	case ScopeUser:
		if limit, ok = l.Users[s.ID]; ok {
			return limit, true
		}
		one = l.DefaultUser
	case ScopeOrganisation:
	}
	if one == nil {
		return Limit{}, false
	}
	return *one, true
}

// thresholds are all at which notices fire, in percent, rising.
func (l *Limits) thresholds() []int64 {
	if l == nil {
		return nil
	}
	return append(slices.Clone(l.Thresholds), percentReached)
}

// LimitChange sets or, without a limit, removes one.
type LimitChange struct {
	Subject
	// Default says that it is about the default user limit. The subject is left empty then.
	Default bool
	Limit   *Limit
	// Raise says that the limit in force is raised to so many credits, and stays as soft as it is. One that is as high already, or that there is
	// not, stays so: whoever raises need not know what others have set meanwhile.
	Raise bool
}

// SetLimits changes limits; what it does not name stays. It moves towards a setting, and repeats harmlessly.
type SetLimits struct {
	// Revision orders limits that come from elsewhere: a SetLimits with a lower one than the wallet has seen changes nothing. Who orders by
	// it states all limits (Replace), or an older change to one would be lost by a newer one to another. 0 is not ordered.
	Revision int64
	// Replace removes every limit that Changes does not name.
	Replace bool
	Changes []LimitChange
	// Thresholds are where notices fire, in percent from 1 to 99; nil stays, empty leaves only the limit itself.
	Thresholds    []int64
	Actor, Reason string
}

func (c SetLimits) key() Key     { return Key{} }
func (c SetLimits) hash() string { return "" }

func (c SetLimits) check() error {
	if c.Revision < 0 {
		return invalid("limits have the revision %d", c.Revision)
	}
	if len(c.Changes) > MaxLimits+2 {
		return invalid("%d limits are changed at once; at most %d are taken", len(c.Changes), MaxLimits+2)
	}
	for _, change := range c.Changes {
		if err := change.check(); err != nil {
			return err
		}
	}
	if len(c.Thresholds) > MaxThresholds {
		return invalid("there are %d thresholds; at most %d are taken", len(c.Thresholds), MaxThresholds)
	}
	for _, percent := range c.Thresholds {
		if percent < 1 || percent >= percentReached {
			return invalid("threshold %d must be from 1 to 99 percent", percent)
		}
	}
	return checkText(c.Reason)
}

func (c LimitChange) check() error {
	if l := c.Limit; l != nil && (l.Credits < 0 || l.Credits > MaxCredits) {
		return invalid("limit is %d; it must be from 0 to %d credits", l.Credits, MaxCredits)
	}
	switch {
	case c.Raise && c.Limit == nil:
		return invalid("a limit is raised to nothing")
	case c.Default && c.Subject == (Subject{}), !c.Default && c.Subject == (Subject{Scope: ScopeOrganisation}):
		return nil
	case c.Default:
		return invalid("the default user limit has no subject")
	case c.Scope == ScopeTeam:
		return CheckID("team_id", c.ID)
	case c.Scope == ScopeUser:
		return CheckID("user_id", c.ID)
	}
	return invalid("limits are of organisation, team or user, not of %q %q", c.Scope, c.ID)
}

// apply is the limits after a change.
func (l *Limits) apply(c SetLimits) *Limits {
	n := &Limits{Thresholds: DefaultThresholds()}
	if l != nil {
		*n = *l
	}
	if c.Replace {
		n.Organisation, n.DefaultUser, n.Teams, n.Users = nil, nil, nil, nil
	}
	n.Revision = max(n.Revision, c.Revision)
	n.Teams, n.Users = cloned(n.Teams), cloned(n.Users)
	for _, change := range c.Changes {
		if change.Raise && !n.raise(&change) {
			continue
		}
		switch {
		case change.Default:
			n.DefaultUser = change.Limit
		case change.Scope == ScopeOrganisation:
			n.Organisation = change.Limit
		case change.Scope == ScopeTeam:
			setLimit(n.Teams, change)
		case change.Scope == ScopeUser:
			setLimit(n.Users, change)
		}
	}
	if c.Thresholds != nil {
		n.Thresholds = slices.Compact(slices.Sorted(slices.Values(c.Thresholds)))
	}
	return n
}

// raise makes of a change that raises a limit one that sets it; false when it is not below that now.
func (l *Limits) raise(c *LimitChange) bool {
	now, ok := l.Of(c.Subject)
	if c.Default {
		if ok = l.DefaultUser != nil; ok {
			now = *l.DefaultUser
		}
	}
	if !ok || now.Credits >= c.Limit.Credits {
		return false
	}
	c.Limit = &Limit{Credits: c.Limit.Credits, Soft: now.Soft}
	return true
}

func setLimit(limits map[string]Limit, c LimitChange) {
	if c.Limit == nil {
		delete(limits, c.ID)
		return
	}
	limits[c.ID] = *c.Limit
}

// equal tells whether two sets of limits bind alike.
func (l *Limits) equal(o *Limits) bool {
	if l == nil || o == nil {
		return l == o
	}
	same := func(a, b *Limit) bool { return a == b || a != nil && b != nil && *a == *b }
	return l.Revision == o.Revision && same(l.Organisation, o.Organisation) && same(l.DefaultUser, o.DefaultUser) &&
		maps.Equal(l.Teams, o.Teams) && maps.Equal(l.Users, o.Users) && slices.Equal(l.Thresholds, o.Thresholds)
}

// setLimits changes the limits in force. Who is bound from now on, and was not, starts from what it has used in the window: that is
// journaled, so that the entries rebuild the counters. Notices of thresholds that are behind it then do not fire: moving one is no crossing.
func (w *work) setLimits(c SetLimits) error {
	if c.Revision != 0 && w.Limits != nil && c.Revision < w.Limits.Revision {
		return nil
	}
	next := w.Limits.apply(c)
	if next.equal(w.Limits) {
		return nil
	}
	if n := len(next.Teams) + len(next.Users); n > MaxLimits {
		return invalid("%d teams and users would have limits of their own; at most %d may, and the default binds all other users", n, MaxLimits)
	}
	seeds, err := w.seeds(next)
	if err != nil {
		return err
	}
	w.Limits = next
	for start := 0; ; start += maxSeeds {
		part := seeds[start:min(start+maxSeeds, len(seeds))]
		w.LimitChanges++
		e := &Entry{
			Key: numbered(KindLimits, w.Org, w.LimitChanges), Kind: KindLimits, Subject: w.Org, Counts: part, Actor: c.Actor, Reason: c.Reason,
		}
		if start == 0 {
			w.own(e)
		} else {
			w.record(e)
		}
		if start+maxSeeds >= len(seeds) {
			return nil
		}
	}
}

// maxSeeds is how many counters one entry begins.
const maxSeeds = 1000
