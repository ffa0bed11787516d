package ledger

import (
	"context"
	"slices"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Several processes that commit to one wallet at once make each other's preconditions fail, and the one that is a little faster wins nearly
// always. So those that lose races take turns. Who is next stands in the wallet document, which each commit writes anyway; those who wait
// look for it. Turns only schedule: what is right is decided by the precondition alone, so a roster that is stale, wrong or cut off costs
// time and nothing else.
//
// A process that always loses cannot tell the others so in a commit with a precondition. It knocks: it adds its name to the roster in the
// wallet document whatever its version, and changes nothing else. That moves the version, so the others' commits fail, and they read it.
const (
	// rosterMax bounds the processes that take turns; others race them.
	rosterMax = 16
	// lossesToJoin is how many races a process loses, each within lossMemory of the last, before it asks for turns. A process that finds
	// its cached wallet outdated now and then loses one.
	lossesToJoin = 2
	lossMemory   = time.Second
	// turnCommitsMax bounds the commits of one turn, turnLife how long it may go on when commits are slow.
	turnCommitsMax = 4
	turnLife       = 250 * time.Millisecond
	// turnWaitMax bounds how long a process waits for its turn before it races.
	turnWaitMax = 2 * time.Second
)

// turns is who commits to a wallet next, as its document has it.
type turns struct {
	writer string   // the process of the last commit
	roster []string // processes that take turns, the next first; empty when one is alone
}

// contention is what an actor knows of other processes on its wallet.
type contention struct {
	turns
	// seen is when the wallet's version was first known here, lapsed a version after which nobody came whose turn it was.
	seen   time.Time
	lapsed *timestamppb.Timestamp

	losses int // lost races, each within lossMemory of the one before
	lostAt time.Time

	took    time.Duration // a commit, about
	commits int           // of the turn under way
	taken   int           // commands in them
	began   time.Time     // the turn
}

// expectedCommit stands for a commit's time until one was measured.
const expectedCommit = 20 * time.Millisecond

// measure averages how long commits take.
func (c *contention) measure(d time.Duration) {
	if c.took == 0 {
		c.took = d
		return
	}
	c.took += (d - c.took) / 4
}

func (c *contention) commitTime() time.Duration {
	if c.took == 0 {
		return expectedCommit
	}
	return min(max(c.took, time.Millisecond), 500*time.Millisecond)
}

// grace is how long the others wait for the one whose turn it is: it has to see that, to decide, and to commit.
func (c *contention) grace() time.Duration { return 3*c.commitTime() + 25*time.Millisecond }

// lose notes a lost race.
func (c *contention) lose(now time.Time) {
	if now.Sub(c.lostAt) > lossMemory {
		c.losses = 0
	}
	c.losses++
	c.lostAt = now
	c.commits, c.taken = 0, 0
}

// shared says that the process takes turns with others.
func (c *contention) shared(self string) bool { return slices.Contains(c.roster, self) }

// turnIn is how long to wait before looking again whether it is the process's turn; 0 means to go ahead.
func (a *actor) turnIn(now time.Time) time.Duration {
	ahead := slices.Index(a.roster, a.ledger.self)
	if ahead < 1 || a.version == nil || a.lapsed != nil && proto.Equal(a.lapsed, a.version) {
		return 0 // it takes no turns, or it is next, or who is next does not come
	}
	if now.Sub(a.seen) >= a.grace() {
		a.lapsed = a.version
		return 0
	}
	// The turn before its own may end with any commit; of those before that, each takes one at least.
	pause := min(max(a.commitTime()/8, time.Millisecond), 10*time.Millisecond)
	return max(pause, a.seen.Add(time.Duration(ahead-1)*a.commitTime()).Sub(now))
}

// awaitTurn lets the processes go first whose turn it is, and gathers commands meanwhile. It looks at the wallet now and then, so that the
// state is at hand when the turn comes.
func (a *actor) awaitTurn(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, turnWaitMax)
	defer cancel()
	name := a.ledger.store.walletName(a.org)
	if a.losses >= lossesToJoin && a.state != nil && !a.shared(a.ledger.self) && len(a.roster) < rosterMax {
		a.losses = 0
		if err := a.knock(ctx); err != nil {
			a.ledger.opts.Logger.Warn("no turn asked for", "org", a.org, "error", err)
		}
		got, err := a.ledger.store.get(ctx, name)
		if err == nil {
			err = a.adopt(got[name])
		}
		if err != nil {
			a.forget()
		}
	}
	for a.state != nil {
		wait := a.turnIn(time.Now())
		if wait == 0 || sleep(ctx, wait) != nil {
			return
		}
		got, err := a.ledger.store.get(ctx, name)
		if err == nil {
			err = a.adopt(got[name])
		}
		if err != nil {
			a.forget() // the round reads it, and says what is wrong
			return
		}
	}
}

// knock adds this process to those that take turns on the wallet, and the one that committed last before it.
func (a *actor) knock(ctx context.Context) error {
	names := []*pb.Value{stringValue(a.ledger.self)}
	if a.writer != "" && a.writer != a.ledger.self {
		names = slices.Insert(names, 0, stringValue(a.writer))
	}
	_, err := a.ledger.store.commit(ctx, []*pb.Write{{
		Operation:  &pb.Write_Update{Update: &pb.Document{Name: a.ledger.store.walletName(a.org)}},
		UpdateMask: &pb.DocumentMask{}, // no field but the roster
		UpdateTransforms: []*pb.DocumentTransform_FieldTransform{{
			FieldPath:     "roster",
			TransformType: &pb.DocumentTransform_FieldTransform_AppendMissingElements{AppendMissingElements: &pb.ArrayValue{Values: names}},
		}},
		CurrentDocument: &pb.Precondition{ConditionType: &pb.Precondition_Exists{Exists: true}},
	}})
	return err
}

// nextTurns is what the round's commit says of who is next.
func (r *round) nextTurns() turns {
	self := r.ledger.self
	roster := slices.Clone(r.roster)
	if len(roster) > 0 && roster[0] != self && r.lapsed != nil && proto.Equal(r.lapsed, r.version) {
		roster = roster[1:]
	}
	at := slices.Index(roster, self)
	if at < 0 {
		return turns{writer: self, roster: roster} // the others' turns are theirs
	}
	roster = slices.Delete(roster, at, at+1)
	switch {
	case len(roster) == 0 || len(r.accepted) < 2: // alone; or it has too little to do to let others wait for it
	case r.keepsTurn():
		roster = slices.Insert(roster, 0, self)
	default:
		roster = append(roster, self)
	}
	return turns{writer: self, roster: roster}
}

// keepsTurn says that the turn goes on after this commit: a process whose callers are few makes several small commits in a turn, where one
// with more makes one.
func (r *round) keepsTurn() bool {
	done := r.taken + len(r.accepted)
	return done < r.ledger.opts.SharedBatchItems && r.commits+1 < turnCommitsMax && (r.commits == 0 || time.Since(r.began) < turnLife)
}

// tookTurn notes a commit of this process, which said who is next.
func (r *round) tookTurn(next turns, now time.Time) {
	c := &r.contention
	if c.commits == 0 {
		c.began = now
	}
	c.commits++
	c.taken += len(r.accepted)
	at := slices.Index(next.roster, r.ledger.self)
	if at != 0 {
		c.commits, c.taken = 0, 0
	}
	if at >= 0 {
		c.losses = 0
	}
	c.turns, c.seen, c.lapsed = next, now, nil
}
