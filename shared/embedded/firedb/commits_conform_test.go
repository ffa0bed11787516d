package firedb_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/firestore"
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// preconditions: each precondition with each kind of write, on a document that is there and on one that is not.
func preconditions(s *script) {
	writes := []struct {
		name  string
		write func() *pb.Write
	}{
		{"set", func() *pb.Write { return s.write("p/d", fields{"a": 2}) }},
		{"masked update", func() *pb.Write { return s.write("p/d", fields{"b": 2}, "b") }},
		{"transform", func() *pb.Write { return s.touch("p/d", incremented("a", 1)) }},
		{"delete", func() *pb.Write { return remove(s, "p/d") }},
	}
	for _, there := range []string{"there", "not there"} {
		for _, w := range writes {
			for _, condition := range []string{"exists", "missing", "the newest time", "an older time", "a later time", "a time to come", "no time", "nothing"} {
				name := fmt.Sprintf("%s, %s, %s", w.name, there, condition)
				s.note(name, s.precondition(w.write(), there == "there", condition))
			}
		}
	}
	_, err := s.Client.Doc("p/none").Delete(s.t.Context(), firestore.Exists)
	s.note("delete through the client, exists", code(err))
	s.put("p/client", fields{"a": 1})
	s.update("update through the client, an older time", "p/client", []firestore.Update{{Path: "a", Value: 2}},
		firestore.LastUpdateTime(s.get("p/client").UpdateTime.Add(-1000)))
}

// precondition puts p/d in its place, or clears it, sends w with the condition and tells the code and what is there then.
func (s *script) precondition(w *pb.Write, there bool, condition string) string {
	if _, err := s.commit(remove(s, "p/d")); err != nil {
		s.t.Fatal(err)
	}
	at := timestamppb.New(time.Now().Truncate(time.Microsecond))
	if there {
		s.put("p/d", fields{"a": 1})
		at = timestamppb.New(s.get("p/d").UpdateTime)
	}
	_, err := s.commit(withCondition(w, condition, at))
	return code(err) + " " + show(s.content("p/d"))
}

func withCondition(w *pb.Write, condition string, at *timestamppb.Timestamp) *pb.Write {
	switch condition {
	case "exists", "missing":
		return exists(w, condition == "exists")
	case "the newest time":
		return unmoved(w, at)
	case "an older time":
		return unmoved(w, newTimestamp(at.Seconds-10, at.Nanos))
	case "a later time":
		time.Sleep(2 * time.Millisecond)
		return unmoved(w, timestamppb.New(at.AsTime().Add(time.Millisecond)))
	case "a time to come":
		return unmoved(w, newTimestamp(at.Seconds+10, at.Nanos))
	case "no time":
		return unmoved(w, &timestamppb.Timestamp{})
	}
	w.CurrentDocument = &pb.Precondition{}
	return w
}

// commits: the ledger's way of writing, one Commit without a transaction that holds a wallet to the version that was
// read, creates entries and adds to roll-ups.
func commits(s *script) {
	s.put("wallets/o", fields{"seq": 0, "free": 100})
	first := timestamppb.New(s.get("wallets/o").UpdateTime)
	batch := func(at *timestamppb.Timestamp, seq int, entries ...string) []*pb.Write {
		writes := []*pb.Write{unmoved(s.write("wallets/o", fields{"seq": seq, "free": 100 - seq}), at)}
		for _, e := range entries {
			writes = append(writes, exists(s.write("wallets/o/entries/"+e, fields{"seq": seq}), false))
		}
		return append(writes, s.touch("wallets/o/usage/day", incremented("total", len(entries))))
	}
	got, err := s.commit(batch(first, 2, "e1", "e2")...)
	s.note("first batch", code(err))
	second := got.GetWriteResults()[0].GetUpdateTime()
	s.note("first batch, wallet", s.content("wallets/o"))
	s.note("first batch, usage", s.content("wallets/o/usage/day"))
	s.note("the result has the wallet's new version", second.AsTime().Equal(s.get("wallets/o").UpdateTime))
	s.note("every write has the commit's time", !slices.ContainsFunc(got.GetWriteResults(), func(r *pb.WriteResult) bool {
		return !r.GetUpdateTime().AsTime().Equal(got.GetCommitTime().AsTime())
	}))
	_, err = s.commit(batch(first, 3, "e3")...)
	s.note("a batch on the old version", code(err))
	s.note("leaves no entry", s.content("wallets/o/entries/e3"))
	s.note("adds nothing", s.content("wallets/o/usage/day"))
	_, err = s.commit(batch(second, 4, "e3", "e1")...)
	s.note("a batch with an entry that is there", code(err))
	s.note("leaves none of its entries", s.content("wallets/o/entries/e3"))
	_, err = s.commit(batch(first, 4, "e3", "e1")...)
	s.note("an old version and an entry that is there", code(err))
	writes := batch(first, 4, "e3", "e1")
	slices.Reverse(writes)
	_, err = s.commit(writes...)
	s.note("an entry that is there and an old version", code(err))
	got, err = s.commit(unmoved(s.write("wallets/o", fields{"seq": 2, "free": 98}), second))
	s.note("a write that changes nothing", code(err))
	s.note("keeps the version", got.GetWriteResults()[0].GetUpdateTime().AsTime().Equal(second.AsTime()))
	_, err = s.commit(batch(second, 5, "e5")...)
	s.note("so the version may be used again", code(err))
	s.note("entries in the end", rowIDs(s.Client.Collection("wallets/o/entries").Documents(s.t.Context())))
	s.note("wallet in the end", s.content("wallets/o"))
	raceOnOneVersion(s)
	largeCommits(s)
}

// raceOnOneVersion: of commits that hold a document to the same version, one is done.
func raceOnOneVersion(s *script) {
	s.put("wallets/race", fields{"by": -1})
	at := timestamppb.New(s.get("wallets/race").UpdateTime)
	var wg sync.WaitGroup
	var mu sync.Mutex
	outcomes := map[string]int{}
	for i := range 4 {
		wg.Go(func() {
			_, err := s.commit(
				unmoved(s.write("wallets/race", fields{"by": i}), at),
				exists(s.write(fmt.Sprintf("wallets/race/entries/e%d", i), fields{"by": i}), false))
			mu.Lock()
			defer mu.Unlock()
			outcomes[code(err)]++
		})
	}
	wg.Wait()
	var text []string
	for _, c := range slices.Sorted(maps.Keys(outcomes)) {
		text = append(text, fmt.Sprint(c, " ", outcomes[c]))
	}
	s.note("four commits on one version", strings.Join(text, ", "))
	entries, err := s.Client.Collection("wallets/race/entries").Documents(s.t.Context()).GetAll()
	s.note("entries that came of it", outcome(err, len(entries)))
}

func largeCommits(s *script) {
	s.put("wallets/big", fields{"seq": 0})
	for _, n := range []int{200, 450} {
		writes := []*pb.Write{unmoved(s.write("wallets/big", fields{"seq": n}), timestamppb.New(s.get("wallets/big").UpdateTime))}
		for i := range n {
			writes = append(writes, exists(s.write(fmt.Sprintf("wallets/big/entries/%d-%03d", n, i), fields{"i": i}), false))
		}
		got, err := s.commit(writes...)
		s.note(fmt.Sprintf("a wallet and %d entries", n), outcome(err, len(got.GetWriteResults())))
	}
	huge := make([]*pb.Write, 0, 11)
	for i := range cap(huge) {
		huge = append(huge, s.write(fmt.Sprintf("huge/%d", i), fields{"f": strings.Repeat("x", 1<<20-1000)}))
	}
	for _, n := range []int{3, 9, 11} {
		// Raw would repeat what the emulator answers to a request that is too large, for a minute.
		_, err := pb.NewFirestoreClient(s.Conn).Commit(s.t.Context(), &pb.CommitRequest{Database: s.Database(), Writes: huge[:n]})
		s.note(fmt.Sprintf("%d mebibytes", n), code(err))
	}
}

// batchWrites: writes that stand or fall each by itself.
func batchWrites(s *script) {
	s.put("b/there", fields{"a": 1})
	s.put("b/old", fields{"a": 1})
	send := func(name string, writes ...*pb.Write) {
		got, err := s.Raw.BatchWrite(s.t.Context(), &pb.BatchWriteRequest{Database: s.Database(), Writes: writes})
		text := []string{code(err)}
		for i, st := range got.GetStatus() {
			text = append(text, fmt.Sprint(codes.Code(st.GetCode()), " ", got.GetWriteResults()[i].GetUpdateTime() != nil))
		}
		s.note(name, strings.Join(text, ", "))
	}
	send("none")
	send("all kinds",
		s.write("b/1", fields{"a": 1}),
		exists(s.write("b/there", fields{}), false),
		exists(s.write("b/none", fields{}), true),
		remove(s, "b/old"),
		remove(s, "b/none2"),
		s.touch("b/2", incremented("n", 3)),
		unmoved(s.write("b/3", fields{}), newTimestamp(1, 0)))
	s.note("what they left", rowIDs(s.Client.Collection("b").Documents(s.t.Context())))
	send("one document twice", s.write("b/4", fields{"a": 1}), s.write("b/4", fields{"a": 2}))
	s.note("after one document twice", s.content("b/4"))
	send("a bad name", s.write("b/5", fields{"a": 1}), s.write("b/__x__", fields{}))
	s.note("after a bad name", s.content("b/5"))
	send("a bad value", s.write("b/6", fields{"a": 1}), s.write("b/7", fields{"a": []any{[]any{}}}))
	s.note("after a bad value", s.content("b/6"))
	bulk(s)
}

func bulk(s *script) {
	ctx, cancel := context.WithTimeout(s.t.Context(), callTimeout)
	defer cancel()
	w := s.Client.BulkWriter(ctx)
	var jobs []*firestore.BulkWriterJob
	add := func(job *firestore.BulkWriterJob, err error) {
		if err != nil {
			s.t.Fatal(err)
		}
		jobs = append(jobs, job)
	}
	for i := range 100 {
		add(w.Create(s.Client.Doc(fmt.Sprintf("bulk/%03d", i)), fields{"i": i}))
	}
	add(w.Create(s.Client.Doc("b/there"), fields{}))
	add(w.Delete(s.Client.Doc("b/there2")))
	w.End()
	failures := 0
	var failure error
	for _, j := range jobs {
		if _, err := j.Results(); err != nil {
			failures, failure = failures+1, errors.Join(failure, err)
		}
	}
	s.note("bulk writer, failures", fmt.Sprint(failures, " ", code(failure)))
	docs, err := s.Client.Collection("bulk").Documents(ctx).GetAll()
	s.note("bulk writer, documents", outcome(err, len(docs)))
}
