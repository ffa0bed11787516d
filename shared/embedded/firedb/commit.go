package firedb

import (
	"context"
	"slices"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// committed is the outcome of a commit.
type committed struct {
	results []*pb.WriteResult
	docs    []*pb.Document // after each write, nil once deleted
	at      *timestamppb.Timestamp
}

// commit applies writes to database, all or none, in the transaction unless id is empty.
func (s *store) commit(ctx context.Context, database string, id []byte, writes []*pb.Write) (committed, error) {
	prepared, err := prepare(database, writes)
	if err != nil {
		return committed{}, err
	}
	keys := make([]string, len(prepared))
	for i := range prepared {
		keys[i] = prepared[i].key
	}
	slices.Sort(keys)

	s.mu.Lock()
	defer s.mu.Unlock()
	t := &transaction{} // a plain commit is its own transaction
	if len(id) > 0 {
		if t, err = s.enterLocked(id); err != nil {
			return committed{}, err
		}
		defer s.leaveLocked(t)
	}
	defer s.endLocked(t)
	if t.readOnly && len(writes) > 0 {
		return committed{}, invalid("Cannot modify entities in a read-only transaction.")
	}
	if err := s.passLocked(ctx, t, keys); err != nil {
		return committed{}, err
	}
	if len(writes) > 0 && !s.validLocked(t) {
		return committed{}, errChanged()
	}
	return s.applyLocked(prepared)
}

// applyLocked applies writes whose reads are known to hold.
func (s *store) applyLocked(writes []write) (committed, error) {
	at := s.clock()
	if !at.After(s.last) {
		at = s.last.Add(time.Microsecond)
	}
	out := committed{at: timestamppb.New(at)}
	changes := make(map[string]*pb.Document, len(writes))
	for i := range writes {
		w := &writes[i]
		current, staged := changes[w.key]
		if !staged {
			current = s.tree.get(w.key)
		}
		next, res, err := w.apply(current, out.at)
		if err != nil {
			return committed{}, err
		}
		out.results, out.docs = append(out.results, res), append(out.docs, next)
		if next != current {
			changes[w.key] = next
		}
	}
	if slices.ContainsFunc(writes, func(w write) bool { return w.settled }) {
		s.joinTwinsLocked(writes, changes, out.results)
	}
	s.last = at
	if len(changes) == 0 {
		return out, nil
	}
	if s.journal != nil {
		if err := s.journal.add(changes, at); err != nil {
			return committed{}, err
		}
	}
	s.installLocked(changes)
	return out, nil
}

// joinTwinsLocked makes one change of the writes of one document: if they leave it as it was there is none, and all of
// them have the time of the outcome as their result.
func (s *store) joinTwinsLocked(writes []write, changes map[string]*pb.Document, results []*pb.WriteResult) {
	timeless := func(d *pb.Document) *pb.Document {
		return &pb.Document{Name: d.GetName(), Fields: d.GetFields(), CreateTime: d.GetCreateTime()}
	}
	for i := range writes {
		key := writes[i].key
		before := s.tree.get(key)
		after, changed := changes[key]
		if changed && before != nil && after != nil && proto.Equal(timeless(before), timeless(after)) {
			delete(changes, key)
			changed = false
		}
		if !changed {
			after = before
		}
		results[i].UpdateTime = after.GetUpdateTime()
	}
}

func (s *store) installLocked(changes map[string]*pb.Document) {
	s.sequence++
	s.cached = nil
	for k, d := range changes {
		if d == nil {
			s.tree.Delete(k)
		} else {
			s.tree.Set(k, d)
		}
		if len(s.open) > 0 {
			collection, id := collectionOf(k)
			s.changed[collection], s.changed[id] = s.sequence, s.sequence
		}
	}
}
