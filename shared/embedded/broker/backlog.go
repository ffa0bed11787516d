package broker

import (
	"maps"
	"strconv"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/protobuf/proto"
)

// forwardRetry is the wait before a dead letter is tried again whose topic is gone or for which there is no room.
const forwardRetry = time.Second

// A topic is where publishers write to; each of its backlogs gets a copy.
type topic struct {
	backlogs map[string]*backlog // by the subscription's name
}

// A message as it was published. It does not change afterwards.
type message struct {
	id   uint64
	pb   *pubsubpb.PubsubMessage
	size int // bytes that count against Options.MaxBytes
	refs int // copies whose removal is not yet written or on its way to be
}

func newMessage(id uint64, pb *pubsubpb.PubsubMessage) *message {
	return &message{id: id, pb: pb, size: proto.Size(pb)}
}

// A copyOf is a message's fate on one subscription. It is queued, or out (at an endpoint or with a puller), or waiting
// (for a back-off, an injected delay, or the copy of its ordering key before it), until it is settled.
type copyOf struct {
	*message
	backlog *backlog
	attempt int // deliveries begun
	settled bool
	removed bool   // from the file, or on its way
	ackID   string // names the lease while a puller holds the copy
	holder  *puller

	timer *time.Timer
	timed int // tells the timer that counts from those that were stopped too late
}

// A backlog is what a subscription has not settled. The Broker's lock guards it.
type backlog struct {
	name    string // cfg.Name, which no lock guards because it never changes
	cfg     Subscription
	match   filter
	push    *pusher // nil for a pull subscription, or while the Handler of a restored one is not yet known
	deleted bool

	copies   map[uint64]*copyOf   // all, by message id
	queue    []*copyOf            // ready to be delivered
	keys     map[string][]*copyOf // by ordering key, oldest first; only the first of each is queued, out or backing off
	leases   map[string]*copyOf   // with pullers, by ackID
	aside    *copyOf              // held back until the next one overtook it
	inFlight int                  // out, pushed or leased
	arrived  chan struct{}        // closed when pullers should look again, and replaced
	stats    SubscriptionStats
}

func newBacklog(cfg Subscription, match filter) *backlog {
	return &backlog{
		name: cfg.Name, cfg: cfg, match: match,
		copies: map[uint64]*copyOf{}, keys: map[string][]*copyOf{}, leases: map[string]*copyOf{},
		arrived: make(chan struct{}),
	}
}

// wakePullers has whoever waits for messages look again.
func (q *backlog) wakePullers() {
	close(q.arrived)
	q.arrived = make(chan struct{})
}

func (q *backlog) pop() *copyOf {
	c := q.queue[0]
	q.queue[0] = nil
	q.queue = q.queue[1:]
	return c
}

// orderingKey returns the key that binds c on its subscription, or "".
func (c *copyOf) orderingKey() string {
	if !c.backlog.cfg.Ordered {
		return ""
	}
	return c.pb.GetOrderingKey()
}

// exhausted reports whether c's last attempt allowed by the dead-letter policy was made.
func (c *copyOf) exhausted() bool {
	return c.backlog.cfg.DeadLetterTopic != "" && c.attempt >= c.backlog.cfg.MaxAttempts
}

// remove notes that c's removal is about to be written, and reports whether the message goes with it.
func (c *copyOf) remove() (last bool) {
	if c.removed {
		return false
	}
	c.removed = true
	c.refs--
	return c.refs == 0
}

// after runs f with the lock held, unless c's timer is set anew or cancelled, or c settled, before.
func (b *Broker) after(c *copyOf, wait time.Duration, f func()) {
	c.cancelTimer()
	timed := c.timed
	c.timer = time.AfterFunc(wait, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if c.timed == timed && !c.settled && !b.closed {
			f()
		}
	})
}

func (c *copyOf) cancelTimer() {
	c.timed++
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
}

// admitAll gives each taker its copy of m, whose room is reserved, unless its subscription was deleted while m was being
// written. The lock is held here and below.
func (b *Broker) admitAll(takers []*backlog, m *message) {
	m.refs = len(takers)
	for _, q := range takers {
		if q.deleted {
			m.refs--
			b.reserve(-1, -int64(m.size))
			b.persist(deleteCopy(q.name, m.id, m.refs == 0), nil)
			continue
		}
		b.admit(q, m, 0)
	}
}

// admit gives q its copy of m, which is counted in m.refs already.
func (b *Broker) admit(q *backlog, m *message, attempts int) {
	c := &copyOf{message: m, backlog: q, attempt: attempts}
	q.copies[m.id] = c
	if key := c.orderingKey(); key != "" {
		q.keys[key] = append(q.keys[key], c)
		if len(q.keys[key]) > 1 {
			return
		}
	}
	b.ready(c)
}

// ready queues c for its first delivery, unless a fault holds it back.
func (b *Broker) ready(c *copyOf) {
	q, f := c.backlog, &b.faults
	switch {
	case c.exhausted(): // its last attempt failed before a restart, and it was not forwarded yet
		b.forward(c)
	case f.hits(faultDelay, f.faults.Delay, c.id, c.attempt):
		q.stats.Delayed++
		b.after(c, f.delay(c.id), func() { b.enqueue(c) })
	case q.aside == nil && c.orderingKey() == "" && f.hits(faultReorder, f.faults.Reorder, c.id, c.attempt):
		q.aside = c
		b.after(c, reorderWait, func() { q.aside = nil; b.enqueue(c) })
	default:
		b.enqueue(c)
	}
}

// enqueue makes c deliverable now.
func (b *Broker) enqueue(c *copyOf) {
	q := c.backlog
	c.cancelTimer()
	q.queue = append(q.queue, c)
	if late := q.aside; late != nil {
		q.aside = nil
		q.stats.Reordered++
		late.cancelTimer()
		q.queue = append(q.queue, late)
	}
	q.wakePullers()
	b.pump(q)
}

// settle ends c: it was acknowledged, or its subscription is gone.
func (b *Broker) settle(c *copyOf) {
	q := c.backlog
	c.settled = true
	c.cancelTimer()
	b.reserve(-1, -int64(c.size))
	delete(q.copies, c.id)
	if key := c.orderingKey(); key != "" && !q.deleted {
		q.keys[key][0] = nil
		if rest := q.keys[key][1:]; len(rest) > 0 {
			q.keys[key] = rest
			b.ready(rest[0])
		} else {
			delete(q.keys, key)
		}
	}
	if len(q.copies) == 0 {
		b.noteQuiet()
	}
}

// acked ends c as acknowledged.
func (b *Broker) acked(c *copyOf) {
	c.backlog.stats.Acked++
	b.persist(deleteCopy(c.backlog.name, c.id, c.remove()), nil)
	b.settle(c)
}

// nacked has c delivered again, or forwards it if it was delivered often enough.
func (b *Broker) nacked(c *copyOf) {
	q := c.backlog
	q.stats.Nacked++
	b.persist(putAttempts(q.name, c.id, c.attempt), nil)
	if c.exhausted() {
		b.forward(c)
		return
	}
	if wait := q.cfg.backoff(c.attempt); wait > 0 {
		b.after(c, wait, func() { b.enqueue(c) })
		return
	}
	b.enqueue(c)
}

// forward moves c to its dead-letter topic: a new message there, with where it came from in its attributes. While that
// cannot be done (the topic is gone, or there is no room) it is tried again, without another delivery.
func (b *Broker) forward(c *copyOf) {
	q := c.backlog
	target := b.topics[q.cfg.DeadLetterTopic]
	dead := b.deadLetter(c)
	var takers []*backlog
	if target != nil {
		takers = target.takers(dead.pb.GetAttributes())
	}
	copies, bytes := len(takers), int64(len(takers)*dead.size)
	if target == nil || !b.hasRoom(copies-1, bytes-int64(c.size)) {
		b.log.Error("dead letter not forwarded yet", "subscription", q.name, "message_id", c.pb.GetMessageId(), "topic", q.cfg.DeadLetterTopic, "topic_exists", target != nil)
		b.after(c, forwardRetry, func() { b.forward(c) })
		return
	}
	b.log.Warn("dead letter", "subscription", q.name, "message_id", c.pb.GetMessageId(), "attempts", c.attempt, "topic", q.cfg.DeadLetterTopic, "copies", copies)
	b.reserve(copies, bytes)
	put, remove := putMessages([]*message{dead}, [][]*backlog{takers}), deleteCopy(q.name, c.id, c.remove())
	b.persist(both(put, remove), func(err error) {
		if err != nil {
			b.reserve(-copies, -bytes)
			return
		}
		q.stats.DeadLettered++
		b.admitAll(takers, dead)
		if !c.settled { // its subscription may have been deleted meanwhile
			b.settle(c)
		}
	})
}

// deadLetter makes the message that stands for c on its dead-letter topic, with the attributes production adds.
func (b *Broker) deadLetter(c *copyOf) *message {
	project, short := nameParts(c.backlog.name)
	attributes := maps.Clone(c.pb.GetAttributes())
	if attributes == nil {
		attributes = map[string]string{}
	}
	attributes["CloudPubSubDeadLetterSourceDeliveryCount"] = strconv.Itoa(c.attempt)
	attributes["CloudPubSubDeadLetterSourceSubscription"] = short
	attributes["CloudPubSubDeadLetterSourceSubscriptionProject"] = project
	attributes["CloudPubSubDeadLetterSourceTopicPublishTime"] = c.pb.GetPublishTime().AsTime().Format("2006-01-02T15:04:05.000-07:00")
	return b.stamp(&pubsubpb.PubsubMessage{Data: c.pb.GetData(), Attributes: attributes, OrderingKey: c.pb.GetOrderingKey()})
}
