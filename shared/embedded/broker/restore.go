package broker

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"
)

// restore loads what the file holds. Every copy in it is queued in the order of publication, with the failed attempts
// it had. What is restored may exceed the bounds on messages held, if these were lowered: then nothing is published
// until it has shrunk. The Broker's lock is held.
func (b *Broker) restore() error {
	return b.store.db.View(func(tx *bbolt.Tx) error {
		if raw := tx.Bucket(bucketMeta).Get(lastIDKey); raw != nil {
			b.lastID = binary.BigEndian.Uint64(raw)
		}
		err := tx.Bucket(bucketTopics).ForEach(func(name, _ []byte) error {
			b.topics[string(name)] = &topic{backlogs: map[string]*backlog{}}
			return nil
		})
		if err != nil {
			return err
		}
		err = tx.Bucket(bucketSubscriptions).ForEach(func(name, raw []byte) error {
			return b.restoreSubscription(string(name), raw)
		})
		if err != nil {
			return err
		}
		return b.restoreCopies(tx)
	})
}

func (b *Broker) restoreSubscription(name string, raw []byte) error {
	var saved savedSubscription
	if err := json.Unmarshal(raw, &saved); err != nil {
		return fmt.Errorf("decode subscription %s: %w", name, err)
	}
	saved.inProcess = saved.InProcess
	cfg, match, err := saved.complete(b.options.TokenSource)
	if err != nil {
		return fmt.Errorf("restore subscription %s: %w", name, err)
	}
	q := newBacklog(cfg, match)
	if cfg.canPush() {
		q.push = b.newPusher(cfg)
	}
	b.backlogs[name] = q
	if t := b.topics[cfg.Topic]; t != nil {
		t.backlogs[name] = q
	}
	return nil
}

func (b *Broker) restoreCopies(tx *bbolt.Tx) error {
	messages := map[uint64]*message{}
	load := func(id uint64) (*message, error) {
		if m := messages[id]; m != nil {
			return m, nil
		}
		pb := &pubsubpb.PubsubMessage{}
		if err := proto.Unmarshal(tx.Bucket(bucketMessages).Get(idKey(id)), pb); err != nil {
			return nil, fmt.Errorf("decode message %d: %w", id, err)
		}
		messages[id] = newMessage(id, pb)
		return messages[id], nil
	}
	var admissions []func()
	err := tx.Bucket(bucketCopies).ForEach(func(key, value []byte) error {
		name, rest, _ := bytes.Cut(key, []byte{0})
		q := b.backlogs[string(name)]
		if q == nil || len(rest) != 8 || len(value) != 4 {
			return fmt.Errorf("copy %q belongs to no subscription", key)
		}
		m, err := load(binary.BigEndian.Uint64(rest))
		if err != nil {
			return err
		}
		m.refs++
		attempts := int(binary.BigEndian.Uint32(value))
		admissions = append(admissions, func() {
			b.reserve(1, int64(m.size))
			b.admit(q, m, attempts)
		})
		return nil
	})
	if err != nil {
		return err
	}
	for _, admit := range admissions {
		admit()
	}
	return nil
}
