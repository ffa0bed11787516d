package credit

import (
	"maps"
	"slices"
	"time"
)

// Bounds of a wallet and of one command.
const (
	// MaxLive is how many grants the wallet document holds.
	MaxLive = 256
	// MinLive is how few it may hold while others wait.
	MinLive = 64
	// MaxJournaled is how many due items one commit journals.
	MaxJournaled = 100
	// MaxDrawn is how many grants one command may draw on, which bounds its entry.
	MaxDrawn = 4096
)

// Sum is what a number of grants hold together, in credits.
type Sum struct {
	Count, Free, Held int64
}

func (s *Sum) add(g *Grant, sign int64) {
	s.Count += sign
	s.Free += sign * g.Free
	s.Held += sign * g.Held
}

// LowBalance is the latch of the low-balance alert, which watches available + held.
type LowBalance struct {
	On        bool
	Threshold int64 // credits
	Below     bool  // latched: at or below, and said so
	N         int64 // alerts raised so far
}

// DebtWatch is the latch of the debt alerts.
type DebtWatch struct {
	Ceiling int64 // credits; 0 for none
	Over    bool  // at or above the ceiling, and said so
	N       int64 // alerts raised so far
}

// Wallet is what a command needs to decide: the part of an organisation's credits that is kept in one document.
type Wallet struct {
	Org  string
	Zone string // IANA name of the organisation's time zone
	// SettingsRevision is the highest revision of settings seen.
	SettingsRevision int64

	Seq    int64     // of the last entry
	LastAt time.Time // of the last entry

	Figures
	Frozen       bool
	FrozenReason string

	// Live are the first grants in burn-down order, at most MaxLive once a command is done.
	Live []*Grant
	// Waiting, Pending and Aside sum the grants that are kept outside.
	Waiting, Pending, Aside Sum
	// NextDueAt is a lower bound of when the clock next decides something; zero for never.
	NextDueAt time.Time

	Low        LowBalance
	DebtAlerts DebtWatch
	Repayments int64 // the n of repayment keys
	Moves      int64 // the n of the wallet's own freezes and thaws
}

// State is a wallet with whatever else was loaded for the commands at hand. Decide and Journal never change a State: they return another.
type State struct {
	Wallet
	outside map[string]*Grant // loaded records of grants that are not in the wallet; nil for known to be absent
	items   map[string]bool   // subscription items whose grants are loaded
	linked  map[string]bool   // grants whose bonuses are loaded
	debits  map[string]Debited
	dirty   map[string]bool // grants whose own record must be written

	dueLoaded  bool
	dueThrough time.Time // what is due outside is loaded up to here
	dueAfter   time.Time // the first due moment outside beyond it; zero for none
}

// Debited is a debit's entry and how many of its credits earlier reversals have given back.
type Debited struct {
	Entry    *Entry // nil for known to be absent
	Reversed int64
}

// NewState starts from a wallet as stored.
func NewState(w Wallet) *State { return &State{Wallet: w} }

// NewWallet is an empty wallet.
func NewWallet(org, zone string) Wallet { return Wallet{Org: org, Zone: zone} }

// Forget drops what was loaded beside the wallet, for a state that is kept after its commit.
func (s *State) Forget() *State { return &State{Wallet: s.Wallet} }

// Dirty lists the grants whose own records must be written with the wallet, in the order of their ids.
func (s *State) Dirty() []*Grant {
	out := make([]*Grant, 0, len(s.dirty))
	for _, id := range slices.Sorted(maps.Keys(s.dirty)) {
		if g, _ := s.grant(id); g != nil {
			out = append(out, g)
		}
	}
	return out
}

// LoadGrants adds grants' own records. Those of grants that live in the wallet are ignored: the wallet is newer.
func (s *State) LoadGrants(gs ...*Grant) {
	for _, g := range gs {
		if g.Place != InWallet {
			s.addOutside(g)
		}
	}
}

// LoadAbsent states that there is no grant with this id.
func (s *State) LoadAbsent(id string) {
	if s.outside == nil {
		s.outside = map[string]*Grant{}
	}
	if _, ok := s.outside[id]; !ok {
		s.outside[id] = nil
	}
}

// LoadItem adds the grants of a subscription item.
func (s *State) LoadItem(item string, gs ...*Grant) {
	s.LoadGrants(gs...)
	s.items = with(s.items, item)
}

// LoadLinked adds the bonuses that are linked to a grant.
func (s *State) LoadLinked(grant string, gs ...*Grant) {
	s.LoadGrants(gs...)
	s.linked = with(s.linked, grant)
}

// LoadDebit adds a debit's entry, or nil when there is none, and the credits that earlier reversals gave back.
func (s *State) LoadDebit(key string, d Debited) {
	s.debits = withValue(s.debits, key, d)
}

// LoadDue adds the grants outside that are due, oldest first. All that are due at or before through must be among them, and next is
// the first due moment after it, zero when there is none.
func (s *State) LoadDue(through, next time.Time, gs ...*Grant) {
	s.LoadGrants(gs...)
	s.dueLoaded, s.dueThrough, s.dueAfter = true, through, next
}

// LoadWaiting moves waiting grants into the wallet: gs are the next ones as stored, in burn-down order, and all says that none is
// stored after them. Those that began to wait since, in commands not yet committed, take their turn among them.
func (s *State) LoadWaiting(all bool, gs ...*Grant) {
	next := slices.Clone(gs)
	for _, g := range s.outside {
		if g != nil && g.Place == Waiting && !slices.ContainsFunc(gs, func(o *Grant) bool { return o.ID == g.ID }) {
			next = append(next, g)
		}
	}
	slices.SortFunc(next, Compare)
	if !all && len(gs) > 0 {
		last := gs[len(gs)-1]
		next = slices.DeleteFunc(next, func(g *Grant) bool { return Compare(g, last) > 0 })
	}
	live, outside, dirty := slices.Clone(s.Live), maps.Clone(s.outside), s.dirty
	for _, g := range next {
		if known, ok := outside[g.ID]; ok { // newer than the store
			g = known
		}
		i, found := slices.BinarySearchFunc(live, g, Compare)
		if g.Place != Waiting || found {
			continue
		}
		in := *g
		in.Place = InWallet
		live = slices.Insert(live, i, &in)
		delete(outside, g.ID)
		s.Waiting.add(g, -1)
		dirty = with(dirty, g.ID)
	}
	s.Live, s.outside, s.dirty = live, outside, dirty
}

func (s *State) addOutside(g *Grant) {
	if _, ok := s.outside[g.ID]; ok {
		return // loaded before, and perhaps changed since
	}
	if i := s.liveIndex(g.ID); i >= 0 {
		return
	}
	if s.outside == nil {
		s.outside = map[string]*Grant{}
	}
	s.outside[g.ID] = g
}

// grant finds a loaded grant; known is false when nothing is known of it.
func (s *State) grant(id string) (g *Grant, known bool) {
	if i := s.liveIndex(id); i >= 0 {
		return s.Live[i], true
	}
	g, known = s.outside[id]
	return g, known
}

func (s *State) liveIndex(id string) int {
	return slices.IndexFunc(s.Live, func(g *Grant) bool { return g.ID == id })
}

func with(m map[string]bool, key string) map[string]bool {
	if m[key] {
		return m
	}
	out := maps.Clone(m)
	if out == nil {
		out = map[string]bool{}
	}
	out[key] = true
	return out
}

func withValue[V any](m map[string]V, key string, v V) map[string]V {
	out := maps.Clone(m)
	if out == nil {
		out = map[string]V{}
	}
	out[key] = v
	return out
}
