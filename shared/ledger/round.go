package ledger

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/fluxori/ai-credits/shared/credit"
)

// round is one batch: decided item by item on one state, committed as one.
type round struct {
	*actor
	items   []*item // those not answered yet, in order of arrival
	batch   string
	state   *credit.State // after what was accepted so far
	entries []*credit.Entry
	docs    []string // of the entries, by their index: a hash each
	events  []credit.Event
	usage   usage
	flows   flows
	fold    *fold    // a month that this batch folds; nil for none
	erase   *erasure // texts that this batch takes out of entries; nil for none
	bytes   int      // of entries and grants, about
	told    int      // bytes of events, about
	// gained says that a command of this batch has made more possible than the stored wallet allows.
	gained bool
	// journaled says that this batch journals what was due.
	journaled bool
	// pending are this batch's entries, by document.
	pending map[string]*credit.Entry
	// deep says that the round answers a question for which all that is due is loaded.
	deep bool
	// fresh says that the state was read in this round.
	fresh bool
	// found are entries of read-first items, by document; looked says which were looked for.
	found  map[string]*credit.Entry
	looked map[string]bool

	accepted []accepted
	refused  []refused
	again    []*item // to be decided in another round
}

type accepted struct {
	item   *item
	result Result
}

type refused struct {
	item *item
	err  error
}

// maxLoads bounds how often one command may ask for more before it is decided.
const maxLoads = 64

// load makes sure there is a state, and looks for the entries of those items that ask for it, at one moment.
func (r *round) load(ctx context.Context) error {
	var docs []string
	needsRead := r.actor.state == nil
	for _, it := range r.items {
		if it.readFirst && it.keyed {
			docs = append(docs, it.doc)
		}
		needsRead = needsRead || it.readFirst
	}
	holds := r.holdIDs()
	if needsRead {
		if err := r.read(ctx, docs, holds); err != nil {
			return err
		}
	}
	if r.state = r.actor.state; r.state == nil {
		return nil
	}
	if r.state.WantsWaiting() {
		if err := r.supplyWaiting(ctx); err != nil {
			return err
		}
	}
	return r.loadHolds(ctx, holds)
}

// read reads the wallet, entries and holds at one moment.
func (r *round) read(ctx context.Context, docs, holds []string) error {
	s := &r.ledger.store
	names := []string{s.walletName(r.org)}
	for _, doc := range docs {
		names = append(names, s.entryName(r.org, doc))
	}
	got, err := s.get(ctx, append(names, r.holdNames(holds)...)...)
	if err != nil {
		return unavailable(err)
	}
	if err := r.adopt(got[names[0]]); err != nil {
		return err
	}
	if r.actor.state != nil {
		if err := r.takeHolds(r.actor.state, holds, got); err != nil {
			return err
		}
	}
	r.fresh, r.found, r.looked = true, map[string]*credit.Entry{}, map[string]bool{}
	for i, doc := range docs {
		r.looked[doc] = true
		d := got[names[i+1]]
		if d == nil {
			continue
		}
		e, _, err := decodeEntry(d)
		if err != nil {
			return err
		}
		r.found[doc] = e
		r.remember(e)
	}
	return nil
}

// decide asks the domain about each item in order of arrival. The error, if any, is of the round as a whole.
func (r *round) decide(ctx context.Context) error {
	r.batch = rand.Text()
	r.items = slices.DeleteFunc(r.items, r.replays)
	for i, it := range r.items {
		if r.bytes > r.ledger.opts.BatchBytes || r.told > outboxBytes || r.usage.full(r.flows) {
			r.again = append(r.again, r.items[i:]...)
			return nil
		}
		more, err := r.decideOne(ctx, it)
		var down *Unavailable
		switch {
		case errors.As(err, &down) || errors.Is(err, errMoved):
			return err
		case err != nil:
			r.refuse(it, err)
		case more: // what is due fills this commit, or the item waits for it
			r.again = append(r.again, r.items[i:]...)
			return nil
		}
	}
	return nil
}

// dependent tells whether a command might be refused but for what others in the batch have done. It waits for their commit: if that stayed
// unclear, another process, to whom its caller may turn, would refuse it on the stored wallet, and then it might land.
func (r *round) dependent(c credit.Command) bool {
	if r.actor.state == nil { // there is no wallet but for this batch
		return len(r.accepted) > 0
	}
	switch c := c.(type) {
	case credit.Debit:
		return !c.Usage && r.owed(c.Work, c.Credits)
	case credit.PlaceHold:
		return r.owed(c.Work, c.Credits)
	case credit.Adjust:
		return c.Credits < 0 && r.gained && (r.journaled || -c.Credits > r.actor.state.Available)
	case credit.SetAside:
		return r.gained
	case credit.Reverse:
		return r.pending[credit.CallerKey(c.Debit).Doc()] != nil || r.pending[credit.CaptureKey(credit.HoldID(r.org, c.Debit)).Doc()] != nil
	}
	return r.placed(c)
}

// owed tells whether the spending of credits for work may owe it to this batch that it is not refused: what the stored wallet and counters
// allow by themselves, no process refuses. So the captures that release a part do not break up the batches of a busy wallet.
func (r *round) owed(work credit.Work, credits int64) bool {
	if !r.gained {
		return false
	}
	against, err := credit.Refusals(r.actor.state, work, credits, r.ledger.opts.Now())
	return err != nil || len(against) > 0 // what is not loaded cannot be told
}

// loosens tells whether what was decided makes room below a limit, or moves one.
func loosens(out *credit.Outcome) bool {
	for _, e := range out.Entries {
		if e.Kind == credit.KindLimits || slices.ContainsFunc(e.Counts, func(c credit.Count) bool { return c.Credits < 0 }) {
			return true
		}
	}
	return false
}

// replays answers an item whose entry was found. That needs no commit: entries are never changed.
func (r *round) replays(it *item) bool {
	e := r.found[it.doc]
	if !it.keyed || e == nil {
		return false
	}
	it.answer(replay(e, it.hash))
	for _, t := range it.twins {
		t.answer(replay(e, t.hash))
	}
	return true
}

// decideOne journals what is due, then decides one item; what the domain asks for is loaded. more says
// that the batch must be committed first: the journal alone fills it, or the item depends on it.
func (r *round) decideOne(ctx context.Context, it *item) (more bool, err error) {
	if r.version == nil && r.state == nil {
		if c, ok := it.cmd.(credit.Configure); ok && c.Zone != nil {
			r.state = credit.NewState(credit.NewWallet(r.org, *c.Zone))
		} else {
			return false, credit.Refuse(credit.CodeUnknownOrg, "there is no such organisation", map[string]any{"org_id": r.org})
		}
	}
	for range maxLoads {
		now := r.ledger.opts.Now()
		next, out, more, err := credit.Journal(r.state, now)
		if err == nil {
			r.keep(next, out)
			r.journaled = r.journaled || len(out.Entries) > 0
			more = more || r.dependent(it.cmd) || it.erase != nil && r.erase != nil
			if more || it.cmd == nil {
				if !more {
					r.takeFold(it.fold)
					r.erase = cmp.Or(r.erase, it.erase)
					r.accepted = append(r.accepted, accepted{it, Result{After: r.state.Figures}})
				}
				return more, nil
			}
			next, out, err = credit.Decide(r.state, it.cmd, now)
		}
		var missing *credit.Missing
		if errors.As(err, &missing) {
			if err := r.supply(ctx, missing); err != nil {
				return false, err
			}
			continue
		}
		if err != nil {
			return false, err
		}
		r.gained = r.gained || next.Available > r.state.Available || next.Debt < r.state.Debt || r.state.Frozen && !next.Frozen ||
			loosens(out)
		r.keep(next, out)
		res := Result{After: r.state.Figures, Hold: out.Hold}
		if out.Own >= 0 {
			res.Entry = out.Entries[out.Own]
			res.After = res.Entry.After
		}
		r.accepted = append(r.accepted, accepted{it, res})
		return false, nil
	}
	return false, unavailable(fmt.Errorf("%s: not decided after %d loads", r.org, maxLoads))
}

// keep makes a decision part of the batch.
func (r *round) keep(next *credit.State, out *credit.Outcome) {
	before := r.state.Figures
	r.state = next
	for _, e := range out.Entries {
		r.flows.add(r.location(r.state.Zone), before, e)
		before = e.After
		r.entries = append(r.entries, e)
		doc := e.Key.Doc()
		r.docs = append(r.docs, doc)
		r.pending[doc] = e
		r.usage.add(r.location(r.state.Zone), e)
		r.bytes += entryBytes(e)
	}
	for _, e := range out.Events {
		r.told += eventBytes(e)
	}
	r.events = append(r.events, out.Events...)
}

// refuse notes a no. One that was decided on cached state, or without looking for the item's entry, is not final: it is decided again on
// a wallet just read.
func (r *round) refuse(it *item, err error) {
	if !r.fresh || (it.keyed && !r.looked[it.doc]) {
		it.readFirst = true
		r.again = append(r.again, it)
		return
	}
	r.refused = append(r.refused, refused{it, err})
}

// settle commits what was accepted and answers. Refusals wait for the commit too: they were decided on the state that it makes.
func (r *round) settle(ctx context.Context) {
	changed := r.state != r.actor.state && (len(r.entries) > 0 || r.walletChanged()) || r.fold != nil || r.erase != nil
	if !changed && !r.fresh { // no commit will vouch for the cached state on which there was nothing to do
		for _, a := range r.accepted {
			a.item.readFirst = true
		}
		r.retry()
		return
	}
	mustFence := r.fence != nil && len(r.refused)+len(r.accepted) > 0
	if !changed && !mustFence {
		r.answer()
		r.giveBack(r.again)
		return
	}
	if r.state == nil { // no wallet, an unknown outcome, and only refusals: nothing to fence with
		r.unknown(errors.New("an earlier commit may still create the wallet"))
		return
	}
	if err := r.advanceRollup(ctx); err != nil {
		r.unknown(err)
		return
	}
	r.commit(ctx)
}

// walletChanged tells whether the wallet document would differ although there are no entries: settings, or a later next_due_at.
func (r *round) walletChanged() bool {
	if r.actor.state == nil {
		return true
	}
	before := &stored{wallet: r.actor.state.Wallet}
	after := &stored{wallet: r.state.Wallet}
	return !proto.Equal(mapValue(encodeWallet(before)), mapValue(encodeWallet(after)))
}

// answer tells every item of a settled round its outcome.
func (r *round) answer() {
	for _, a := range r.accepted {
		a.item.succeed(a.result)
	}
	for _, f := range r.refused {
		f.item.refuse(f.err)
	}
}

// unknown answers everybody that the outcome is not known.
func (r *round) unknown(err error) {
	r.forget()
	for _, a := range r.accepted {
		a.item.refuse(unavailable(err))
	}
	for _, f := range r.refused {
		f.item.refuse(unavailable(err))
	}
	r.giveBack(r.again)
}

func (r *round) giveBack(items []*item) { r.ledger.giveBack(r.actor, items) }

// retry puts everything of the round back, in its order, to be decided again.
func (r *round) retry() { r.giveBack(r.items) }

// entryBytes is about how large an entry's document is, with the records of the grants that it emptied.
func entryBytes(e *credit.Entry) int {
	return 600 + 800*len(e.Changes) + 350*len(e.Counts) + len(e.Metadata) + len(e.Reason) + len(e.Key.ID)
}

// outboxBytes bounds what a commit tells, in one document.
const outboxBytes = 600 << 10

// eventBytes is about how large an event is as JSON, at most: one that bears a reason may have every byte of it escaped.
func eventBytes(e credit.Event) int {
	if e.Limit != nil {
		return 1000 + 6*len(e.Limit.ID)
	}
	return 700 + 6*len(e.Reason)
}
