package firedb

import (
	"iter"
	"strings"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/tidwall/btree"
)

// tree holds documents by key. Documents in it are never modified, so a pointer stands for a version.
type tree struct {
	btree.Map[string, *pb.Document]
}

// snapshot is an immutable view of the tree.
type snapshot struct {
	tree     *tree
	at       time.Time // the read time
	sequence int64     // of the latest change in it
}

// copy returns a copy that shares its nodes with t until one of them changes.
func (t *tree) copy() *tree { return &tree{*t.Copy()} }

// get returns the document at key, nil when there is none.
func (t *tree) get(key string) *pb.Document {
	d, _ := t.Get(key)
	return d
}

// from yields the documents at and after key, in order.
func (t *tree) from(key string) iter.Seq2[string, *pb.Document] {
	return func(yield func(string, *pb.Document) bool) { t.Ascend(key, yield) }
}

// scanCollection visits the documents directly in a collection, in order, from a key on; "" for all. What lies below a document is jumped over:
// a wallet may have a hundred thousand entries.
func (t *tree) scanCollection(collection, from string, visit func(*pb.Document) bool) {
	prefix := collection + separator
	it := t.Iter()
	for ok := it.Seek(max(prefix, from)); ok; {
		k := it.Key()
		if !strings.HasPrefix(k, prefix) {
			return
		}
		id, _, below := strings.Cut(k[len(prefix):], separator)
		if below {
			ok = it.Seek(after(prefix + id))
			continue
		}
		if !visit(it.Value()) {
			return
		}
		ok = it.Next()
	}
}

// after returns the first key that is neither name nor below it.
func after(name string) string { return name + "\x01" }

// childIDs yields the distinct ids directly below prefix's name, in order, from start on.
func (t *tree) childIDs(parent, start string) iter.Seq[string] {
	return func(yield func(string) bool) {
		prefix := parent + separator
		it := t.Iter()
		for ok := it.Seek(prefix + start); ok; {
			k := it.Key()
			if !strings.HasPrefix(k, prefix) {
				return
			}
			id, _, _ := strings.Cut(k[len(prefix):], separator)
			if !yield(id) {
				return
			}
			ok = it.Seek(after(prefix + id))
		}
	}
}
