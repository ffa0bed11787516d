package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/proto"

	"github.com/fluxori/ai-credits/shared/credit"
)

// maxRollups is how many roll-up documents are read for what was used in a window: eight of each day, 32,000 cells.
const maxRollups = 31 * 8

// rollupPage is how many of them are read at once: each may have half a megabyte.
const rollupPage = 16

// LimitsView is an organisation's limits and what is used of them in the current window.
type LimitsView struct {
	Window credit.Window
	// Limits are those in force; the maps are to be read only.
	Limits credit.Limits
	// Organisation, Teams and Users are what those with limits of their own used, and the organisation whether it has one or not.
	Organisation LimitUse
	Teams, Users []LimitUse // by id
}

// LimitUse is what a subject used in the current window, in credits: what is set aside in holds counts, what was given back does not.
type LimitUse struct {
	credit.Subject
	// Limit binds the subject, its own or the default; nil for none.
	Limit *credit.Limit
	Used  int64
}

// Limits are the limits in force and what is used of them. It costs what View does, and a read for each document of counters that has one
// of those named; for an organisation without a limit that was not counted in this window, the roll-ups of the window.
func (l *Ledger) Limits(ctx context.Context, org string) (LimitsView, error) {
	ctx, cancel := context.WithTimeout(ctx, l.opts.Deadline)
	defer cancel()
	r, err := l.view(ctx, org, l.opts.Now())
	if err != nil {
		return LimitsView{}, err
	}
	out := LimitsView{Limits: credit.Limits{Thresholds: credit.DefaultThresholds()}}
	if r.state.Limits != nil {
		out.Limits = *r.state.Limits
	}
	subjects := []credit.Subject{{Scope: credit.ScopeOrganisation}}
	for _, id := range slices.Sorted(maps.Keys(out.Limits.Teams)) {
		subjects = append(subjects, credit.Subject{Scope: credit.ScopeTeam, ID: id})
	}
	for _, id := range slices.Sorted(maps.Keys(out.Limits.Users)) {
		subjects = append(subjects, credit.Subject{Scope: credit.ScopeUser, ID: id})
	}
	var uses []LimitUse
	if out.Window, uses, err = r.limitUses(ctx, subjects); err != nil {
		return LimitsView{}, err
	}
	out.Organisation = uses[0]
	out.Teams, out.Users = uses[1:1+len(out.Limits.Teams)], uses[1+len(out.Limits.Teams):]
	return out, nil
}

// LimitOf is the limit that binds one team, user or the organisation, and what it used in the current window, with a limit or without. It costs
// what Limits does.
func (l *Ledger) LimitOf(ctx context.Context, org string, subject credit.Subject) (credit.Window, LimitUse, error) {
	ctx, cancel := context.WithTimeout(ctx, l.opts.Deadline)
	defer cancel()
	r, err := l.view(ctx, org, l.opts.Now())
	if err != nil {
		return credit.Window{}, LimitUse{}, err
	}
	window, uses, err := r.limitUses(ctx, []credit.Subject{subject})
	if err != nil {
		return credit.Window{}, LimitUse{}, err
	}
	return window, uses[0], nil
}

// limitUses are what subjects used in the current window: what is counted, or, of those who are not, what the roll-ups say.
func (r *round) limitUses(ctx context.Context, subjects []credit.Subject) (credit.Window, []LimitUse, error) {
	var window credit.Window
	var uses []credit.LimitUse
	err := r.asking(ctx, func() (err error) {
		window, uses, err = credit.LimitUses(r.state, r.ledger.opts.Now(), subjects...)
		return err
	})
	if err != nil {
		return credit.Window{}, nil, err
	}
	var used map[credit.Subject]int64
	out := make([]LimitUse, len(uses))
	for i, u := range uses {
		out[i] = LimitUse{Subject: u.Subject, Used: u.Used}
		if u.Limited {
			out[i].Limit = &u.Limit
		}
		if u.Limited || u.Counted {
			continue
		}
		if used == nil {
			if used, err = r.windowUsage(ctx, window.Key); err != nil {
				return credit.Window{}, nil, err
			}
		}
		out[i].Used = max(0, used[u.Subject])
	}
	return window, out, nil
}

// Refusals lists all that stands against spending credits for work now, in the order of refusals; none when a debit would be carried out. It
// costs what View does and, with limits, a read of counters. Nothing is ever written: where more is due than can be looked at without that, the
// error is an *Unavailable, until a command or the sweep has journaled it.
func (l *Ledger) Refusals(ctx context.Context, org string, work credit.Work, credits int64) ([]*credit.Refusal, error) {
	ctx, cancel := context.WithTimeout(ctx, l.opts.Deadline)
	defer cancel()
	now := l.opts.Now()
	r, err := l.glance(ctx, org, now)
	if errors.Is(err, errMuchDue) {
		return nil, unavailable(err)
	}
	if err != nil {
		return nil, err
	}
	var out []*credit.Refusal
	err = r.asking(ctx, func() (err error) {
		out, err = credit.Refusals(r.state, work, credits, now)
		return err
	})
	return out, err
}

// asking calls the domain until it has what it asks for.
func (r *round) asking(ctx context.Context, call func() error) error {
	for range maxLoads {
		err := call()
		var missing *credit.Missing
		if !errors.As(err, &missing) {
			return err
		}
		if err := r.supply(ctx, missing); err != nil {
			return err
		}
	}
	return unavailable(fmt.Errorf("%s: not answered after %d loads", r.org, maxLoads))
}

// errMoved says that the wallet was written to since it was read.
var errMoved = errors.New("the wallet has moved on")

// supplyCounters loads pages of counters, and for a round looks whether they are of the wallet that it has: nothing else would keep a
// refusal from being decided on a limit before, and a counter after, both were raised.
func (r *round) supplyCounters(ctx context.Context, pages []credit.CounterPage) error {
	s := &r.ledger.store
	names := make([]string, len(pages), len(pages)+1)
	for i, p := range pages {
		names[i] = s.counterName(r.org, p)
	}
	asked := names
	if len(r.items) > 0 {
		asked = append(names, s.walletName(r.org))
	}
	got, err := s.get(ctx, asked...)
	if err != nil {
		return unavailable(err)
	}
	wallet := got[s.walletName(r.org)]
	if len(r.items) == 0 || proto.Equal(wallet.GetUpdateTime(), r.version) {
		return r.takeCounters(r.state, pages, got)
	}
	r.lose(time.Now())
	if err := r.adopt(wallet); err != nil {
		return err
	}
	if r.actor.state != nil {
		if err := r.takeCounters(r.actor.state, pages, got); err != nil {
			return err
		}
	}
	return errMoved
}

// takeCounters loads pages of counters into a state from what was read, or that they are not there.
func (r *round) takeCounters(state *credit.State, pages []credit.CounterPage, got map[string]*pb.Document) error {
	for _, p := range pages {
		d := got[r.ledger.store.counterName(r.org, p)]
		if d == nil {
			state.LoadCounters(p, nil)
			continue
		}
		c, err := decodeCounters(d)
		if err != nil {
			return err
		}
		state.LoadCounters(p, c.By)
	}
	return nil
}

// supplyUsage loads what was used in a window, with what this batch adds to it.
func (r *round) supplyUsage(ctx context.Context, window string) error {
	used, err := r.windowUsage(ctx, window)
	if err != nil {
		return err
	}
	for day, cells := range r.usage {
		if strings.HasPrefix(day, window+"-") {
			for cell, credits := range cells {
				addUse(used, cell, credits)
			}
		}
	}
	r.state.LoadUsage(window, used)
	return nil
}

// windowUsage sums the roll-ups of a window by organisation, team and user. A read for each of their documents.
func (r *round) windowUsage(ctx context.Context, window string) (map[credit.Subject]int64, error) {
	used := map[credit.Subject]int64{}
	_, err := r.ledger.store.eachDayDocument(ctx, r.org, window+"-", window+".", maxRollups, func(d *pb.Document) error {
		doc := readDocument(d)
		if err := checkVersion(doc); err != nil {
			return err
		}
		cells := doc.group("cells")
		for cell := range cells.m {
			addUse(used, cell, cells.num(cell))
		}
		return *doc.err
	})
	if errors.Is(err, errTooManyDays) {
		return nil, credit.Refuse(credit.CodeInvalid, "this month has more usage by feature, team and user than can be summed at once; set the limit when the next begins", nil)
	}
	if err != nil {
		return nil, err
	}
	return used, nil
}

// addUse adds a cell of a roll-up to those it is of.
func addUse(used map[credit.Subject]int64, cell string, credits int64) {
	parts := strings.Split(cell, cellSeparator)
	used[credit.Subject{Scope: credit.ScopeOrganisation}] += credits
	if len(parts) != 3 { //nolint:mnd // feature, team, user
		return
	}
	if parts[1] != "" {
		used[credit.Subject{Scope: credit.ScopeTeam, ID: parts[1]}] += credits
	}
	if parts[2] != "" {
		used[credit.Subject{Scope: credit.ScopeUser, ID: parts[2]}] += credits
	}
}

// allCounters reads all counters of a wallet.
func (l *Ledger) allCounters(ctx context.Context, org string) ([]credit.Counters, error) {
	var out []credit.Counters
	err := l.store.walk(ctx, org, "counters", func(d *pb.Document) error {
		c, err := decodeCounters(d)
		out = append(out, c)
		return err
	})
	return out, err
}
