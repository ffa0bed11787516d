package broker

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// A Fault says how often something goes wrong.
type Fault struct {
	// PerMille is the chance on each occasion, 0 (never) to 1000 (always).
	PerMille int
	// Limit is how often at most; 0 means any number of times.
	Limit int
}

// Faults say what goes wrong between publishers and subscribers. Whether a given occasion is struck depends only on
// Seed, the fault, the message id and the attempt, and, where a Limit is set, on how often it already was.
type Faults struct {
	Seed uint64
	// Duplicate sends a push twice at the same time. It counts as one attempt, acknowledged if either is.
	Duplicate Fault
	// Delay holds a message back before its first delivery, for up to DelayUpTo.
	Delay     Fault
	DelayUpTo time.Duration
	// Reorder holds a message back until the subscription's next one went ahead of it, or 100 ms passed. Messages
	// with an ordering key on a subscription with ordering are spared.
	Reorder Fault
	// DropAck loses an acknowledgement: the message is delivered again, as after any failed attempt.
	DropAck Fault
	// DropReply accepts a publish request and answers UNAVAILABLE, so that the client publishes again and one event
	// gets two message ids.
	DropReply Fault
}

func (f Faults) validate() error {
	for name, fault := range map[string]Fault{"Duplicate": f.Duplicate, "Delay": f.Delay, "Reorder": f.Reorder, "DropAck": f.DropAck, "DropReply": f.DropReply} {
		if fault.PerMille < 0 || fault.PerMille > 1000 || fault.Limit < 0 {
			return fmt.Errorf("broker: fault %s: PerMille %d must be 0 to 1000 and Limit %d not negative", name, fault.PerMille, fault.Limit)
		}
	}
	if f.Delay.PerMille > 0 && f.DelayUpTo <= 0 {
		return fmt.Errorf("broker: fault Delay: DelayUpTo %v must be positive", f.DelayUpTo)
	}
	return nil
}

// faultKind tells the draws of different faults apart.
type faultKind uint64

const (
	faultDuplicate faultKind = iota + 1
	faultDelay
	faultReorder
	faultDropAck
	faultDropReply
	drawDelay
)

// reorderWait is how long a message is held back if no other comes to overtake it.
const reorderWait = 100 * time.Millisecond

// injector decides which occasions are struck. The Broker's lock guards it.
type injector struct {
	faults Faults
	struck map[faultKind]int
}

func newInjector(f Faults) injector {
	return injector{faults: f, struck: map[faultKind]int{}}
}

func (in *injector) hits(kind faultKind, f Fault, id uint64, attempt int) bool {
	if f.PerMille == 0 || (f.Limit > 0 && in.struck[kind] >= f.Limit) {
		return false
	}
	if in.draw(kind, id, attempt)%1000 >= uint64(f.PerMille) {
		return false
	}
	in.struck[kind]++
	return true
}

func (in *injector) draw(kind faultKind, id uint64, attempt int) uint64 {
	return rand.NewPCG(in.faults.Seed, uint64(kind)<<56^id<<16^uint64(attempt)).Uint64()
}

// delay returns how long to hold a message back, from 1 ns to DelayUpTo.
func (in *injector) delay(id uint64) time.Duration {
	return time.Duration(in.draw(drawDelay, id, 0)%uint64(in.faults.DelayUpTo)) + 1
}
