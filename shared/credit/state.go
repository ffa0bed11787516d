package credit

import (
	"cmp"
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
	// MaxDrawn is how many grants one entry may draw on, which bounds its size.
	MaxDrawn = 4096
	// MaxBalance bounds what a wallet may hold and owe together, in credits, so that no sum can overflow.
	MaxBalance int64 = 1 << 60
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

// TopUpWatch is the latch of auto top-up, which watches the same figure against a threshold of its own.
type TopUpWatch struct {
	LowBalance
	// Revision is that of the settings seen last.
	Revision int64
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
	// OpenHolds counts the holds that are open; their records are kept outside.
	OpenHolds int64
	// NextDueAt is a lower bound of when the clock next decides something; zero for never.
	NextDueAt time.Time

	Low        LowBalance
	TopUp      TopUpWatch
	DebtAlerts DebtWatch
	// Limits are those in force, nil for none ever. Windows are those whose counters are kept true, the latest last.
	Limits       *Limits
	Windows      []CountedWindow
	LimitChanges int64 // the n of keys of limits set
	LimitAlerts  int64 // notices raised so far
	Repayments   int64 // the n of repayment keys
	Moves        int64 // the n of the wallet's own freezes and thaws
}

// State is a wallet with whatever else was loaded for the commands at hand. Decide and Journal never change a State: they return another.
// Only the Load methods do, and they add nothing but knowledge: what is loaded for a command that is then refused leaves no trace in the
// wallet. Whatever is loaded must have been read at the version of the wallet that the commit will demand.
type State struct {
	Wallet
	outside map[string]*Grant // loaded records of grants that are not in the wallet; nil for known to be absent
	items   map[string]bool   // subscription items whose grants are loaded
	linked  map[string]bool   // grants whose bonuses are loaded
	debits  map[string]Debited
	dirty   map[string]bool // grants whose own record must be written

	waitingTo  *Grant // the last waiting grant that was loaded in order: all before it are loaded
	waitingAll bool   // all waiting grants are loaded

	dueLoaded bool
	dueNext   time.Time       // no grant outside that is not loaded is due before it; zero for never
	dueLast   map[string]bool // those due just then that came with LoadDue, in their turn

	holds          map[string]*Hold // loaded; nil for known to be absent
	dirtyHolds     map[string]bool  // holds whose record must be written
	dueHoldsLoaded bool
	dueHoldsNext   time.Time // no open hold that is not loaded times out before it; zero for never

	tally   tally
	usage   map[Subject]int64 // of the window usageOf, if that is not empty
	usageOf string

	zone     *time.Location // of the name zoneName, and the window of the latest decision in it
	zoneName string
	current  Window
}

// Debited is the entry of a debit, or of a capture, and how many of its credits earlier reversals have given back.
type Debited struct {
	Entry    *Entry // nil for known to be absent
	Reversed int64
}

// NewState starts from a wallet as stored.
func NewState(w Wallet) *State { return &State{Wallet: w} }

// NewWallet is an empty wallet.
func NewWallet(org, zone string) Wallet { return Wallet{Org: org, Zone: zone} }

// Forget drops what was loaded beside the wallet, for a state that is kept after its commit.
//
// Counters are kept: they hold while the wallet's version does, and the next commands will need them.
func (s *State) Forget() *State {
	return &State{Wallet: s.Wallet, tally: s.settled(), zone: s.zone, zoneName: s.zoneName, current: s.current}
}

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

// LoadGrants adds grants' own records. Those of grants that live in the wallet are ignored: the wallet is newer. So are those of grants
// that are known already, for they may have changed in commands that are not committed yet.
func (s *State) LoadGrants(gs ...*Grant) {
	fresh := slices.DeleteFunc(slices.Clone(gs), func(g *Grant) bool {
		_, known := s.outside[g.ID]
		return known || g.Place == InWallet || s.liveIndex(g.ID) >= 0
	})
	if len(fresh) == 0 {
		return
	}
	s.outside = cloned(s.outside) // other states may share it
	for _, g := range fresh {
		s.outside[g.ID] = g
	}
}

// LoadAbsent states that there is no grant with this id.
func (s *State) LoadAbsent(id string) {
	if _, known := s.grant(id); !known {
		s.outside = withValue(s.outside, id, nil)
	}
}

// LoadItem adds the grants of a subscription item, all of them: those that are spent tell which period came last.
func (s *State) LoadItem(item string, gs ...*Grant) {
	s.LoadGrants(gs...)
	s.items = withValue(s.items, item, true)
}

// LoadLinked adds the bonuses that are linked to a grant.
func (s *State) LoadLinked(grant string, gs ...*Grant) {
	s.LoadGrants(gs...)
	s.linked = withValue(s.linked, grant, true)
}

// LoadDebit adds a debit's entry, or nil when there is none, and the credits that earlier reversals gave back. A debit that is not yet
// committed counts too. What is known already stays: it counts the reversals that are not yet committed.
func (s *State) LoadDebit(key string, d Debited) {
	if _, known := s.debits[key]; !known {
		s.debits = withValue(s.debits, key, d)
	}
}

// LoadDue adds the first of the stored grants outside the wallet by the moment at which they are due, and when the first that is not
// among them is due, zero for never. It must bring at least one that is due by the time asked for, if there is one; [MaxJournaled] are
// enough. Those of one moment may come in any order: when it divides them, it settles which repays standing debt, and whether the low
// balance between an end and a start is told.
func (s *State) LoadDue(next time.Time, gs ...*Grant) {
	s.LoadGrants(gs...)
	s.dueLoaded, s.dueNext, s.dueLast = true, next, map[string]bool{}
	for _, g := range gs {
		if at, ok := g.DueAt(); ok && at.Equal(next) { // one that starts earlier may end just then: that is not its turn yet
			s.dueLast[g.ID] = true
		}
	}
}

// LoadWaiting adds the next stored waiting grants in burn-down order, those whose order key follows [State.WaitingAfter]. all says that
// none is stored after them, as does bringing none.
func (s *State) LoadWaiting(all bool, gs ...*Grant) {
	s.LoadGrants(gs...)
	s.waitingAll = all || len(gs) == 0
	if len(gs) > 0 {
		s.waitingTo = gs[len(gs)-1]
	}
}

// WaitingAfter is the order key after which the next waiting grants are to be loaded; empty for the first of them.
func (s *State) WaitingAfter() string {
	if s.waitingTo == nil {
		return ""
	}
	return OrderKey(s.waitingTo)
}

// WantsWaiting tells whether the wallet holds fewer than [MinLive] grants while others wait that are not loaded. Nothing fails without
// them until a command draws on all that the wallet holds, and then it asks; loading them beforehand saves that command the wait.
func (s *State) WantsWaiting() bool {
	return len(s.Live) < MinLive && s.Waiting.Count > 0 && !s.waitingAll && s.waitingTo == nil
}

// knownWaiting lists, in burn-down order, the waiting grants before which no unknown one stands.
func (s *State) knownWaiting() []*Grant {
	if s.waitingTo == nil && !s.waitingAll {
		return nil
	}
	var out []*Grant
	for _, g := range s.outside {
		if g != nil && g.Place == Waiting && (s.waitingAll || Compare(g, s.waitingTo) <= 0) {
			out = append(out, g)
		}
	}
	slices.SortFunc(out, Compare)
	return out
}

// grant finds a loaded grant; known is false when nothing is known of it. A grant is either in the wallet or outside.
func (s *State) grant(id string) (g *Grant, known bool) {
	if g, known = s.outside[id]; known {
		return g, true
	}
	if i := s.liveIndex(id); i >= 0 {
		return s.Live[i], true
	}
	return nil, false
}

// known lists the grants in the wallet and those loaded beside it that match, in the order of their ids.
func (s *State) known(match func(*Grant) bool) []*Grant {
	var out []*Grant
	for _, g := range s.Live {
		if match(g) {
			out = append(out, g)
		}
	}
	for _, g := range s.outside {
		if g != nil && match(g) {
			out = append(out, g)
		}
	}
	slices.SortFunc(out, func(a, b *Grant) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

func (s *State) liveIndex(id string) int {
	return slices.IndexFunc(s.Live, func(g *Grant) bool { return g.ID == id })
}

// cloned copies a map, and makes one of nil.
func cloned[K comparable, V any](m map[K]V) map[K]V {
	if m == nil {
		return map[K]V{}
	}
	return maps.Clone(m)
}

// withValue is a copy of a map with one more value: states share maps, and a change of one must not show in another.
func withValue[K comparable, V any](m map[K]V, key K, v V) map[K]V {
	out := cloned(m)
	out[key] = v
	return out
}
