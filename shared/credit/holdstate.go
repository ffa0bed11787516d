package credit

import (
	"maps"
	"slices"
	"time"
)

// LoadHold adds a hold's record, or nil when there is none. What is known already stays: it may have changed in commands that are not
// committed yet.
func (s *State) LoadHold(id string, h *Hold) {
	if _, known := s.holds[id]; !known {
		s.holds = withValue(s.holds, id, h)
	}
}

// KnowsHold tells whether a hold, or that there is none, is loaded.
func (s *State) KnowsHold(id string) bool {
	_, known := s.holds[id]
	return known
}

// LoadDueHolds adds the first of the stored open holds by the moment at which they time out, and when the first that is not among them
// does, zero for never. It must bring at least one that is due by the time asked for, if there is one; [MaxJournaled] are enough. Those of
// one moment may come in any order.
func (s *State) LoadDueHolds(next time.Time, hs ...*Hold) {
	s.holds = cloned(s.holds) // other states may share it
	for _, h := range hs {
		if _, known := s.holds[h.ID]; !known {
			s.holds[h.ID] = h
		}
	}
	s.dueHoldsLoaded, s.dueHoldsNext = true, next
}

// DirtyHolds lists the holds whose records must be written with the wallet, in the order of their ids.
func (s *State) DirtyHolds() []*Hold {
	out := make([]*Hold, 0, len(s.dirtyHolds))
	for _, id := range slices.Sorted(maps.Keys(s.dirtyHolds)) {
		out = append(out, s.holds[id])
	}
	return out
}

// UnknownGrants lists grants that known holds among these stand in and that are not loaded, in the order of their ids: those of whole holds,
// until there are [MaxHoldGrants] or more. Nothing fails without them, for whatever settles a hold asks.
func (s *State) UnknownGrants(holds []string) []string {
	unknown := map[string]bool{}
	for _, id := range holds {
		h := s.holds[id]
		if h == nil || h.State != HoldOpen {
			continue
		}
		for _, a := range h.Allocations {
			if _, known := s.grant(a.Grant); !known {
				unknown[a.Grant] = true
			}
		}
		if len(unknown) >= MaxHoldGrants {
			break
		}
	}
	return slices.Sorted(maps.Keys(unknown))
}

// dueHold is the known open hold that timed out first, of those due by now; nil when none is known.
func (w *work) dueHold(now time.Time) *Hold {
	var oldest *Hold
	for _, h := range w.holds {
		if h == nil || h.State != HoldOpen || h.ExpiresAt.After(now) {
			continue
		}
		if oldest == nil || timesOutBefore(h, oldest) {
			oldest = h
		}
	}
	return oldest
}

// dueHoldIDs lists the known open holds that are due by now, oldest first.
func (w *work) dueHoldIDs(now time.Time) []string {
	var due []*Hold
	for _, h := range w.holds {
		if h != nil && h.State == HoldOpen && !h.ExpiresAt.After(now) {
			due = append(due, h)
		}
	}
	slices.SortFunc(due, func(a, b *Hold) int {
		if timesOutBefore(a, b) {
			return -1
		}
		return 1
	})
	out := make([]string, len(due))
	for i, h := range due {
		out[i] = h.ID
	}
	return out
}

// timesOutBefore orders holds by their ends, and those that end together by when they were placed, which no two share.
func timesOutBefore(a, b *Hold) bool {
	if !a.ExpiresAt.Equal(b.ExpiresAt) {
		return a.ExpiresAt.Before(b.ExpiresAt)
	}
	return a.PlacedAt.Before(b.PlacedAt)
}
