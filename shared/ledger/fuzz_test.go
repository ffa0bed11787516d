package ledger

import (
	"reflect"
	"testing"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/proto"
)

// FuzzCommitCodec writes any commit as the ledger's codec does: package proto reads it as the same. Fields that a release does not know, which no
// commit of ours has, are left out before.
func FuzzCommitCodec(f *testing.F) {
	c := newCommitCodec()
	f.Fuzz(func(t *testing.T, message []byte) {
		var want, got pb.CommitRequest
		if (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(message, &want) != nil {
			return
		}
		written, err := c.Marshal(&want)
		if err != nil {
			if _, plain := proto.Marshal(&want); plain == nil {
				t.Fatalf("%v cannot be written: %v", &want, err)
			}
			return
		}
		defer written.Free()
		if err := proto.Unmarshal(written.Materialize(), &got); err != nil || !proto.Equal(&want, &got) {
			t.Fatalf("%v is read as %v, %v", &want, &got, err)
		}
	})
}

// FuzzDocuments reads any document as each kind that stands beneath a wallet: none fails but by an error, and what is read as an entry, a grant or
// a hold is written so that it is read as the same.
func FuzzDocuments(f *testing.F) {
	f.Fuzz(func(t *testing.T, message []byte) {
		var d pb.Document
		if proto.Unmarshal(message, &d) != nil {
			return
		}
		_, _ = decodeWallet(&d)
		_, _ = decodeCounters(&d)
		_, _ = decodeDay(&d)
		_ = eachOfMonth(&d, func(Used) error { return nil })
		_ = eachOfDay(&d, func(Used) error { return nil })
		if e, batch, err := decodeEntry(&d); err == nil {
			again, _, err := decodeEntry(&pb.Document{Fields: encodeEntry("acme", batch, e)})
			if err != nil || !reflect.DeepEqual(e, again) {
				t.Fatalf("the entry %+v is read as %+v, %v", e, again, err)
			}
		}
		if g, err := decodeGrantRecord(&d); err == nil {
			if again, err := decodeGrantRecord(&pb.Document{Fields: encodeGrantRecord("acme", g)}); err != nil || !reflect.DeepEqual(g, again) {
				t.Fatalf("the grant %+v is read as %+v, %v", g, again, err)
			}
		}
		if h, err := decodeHold(&d); err == nil {
			if again, err := decodeHold(&pb.Document{Fields: encodeHold("acme", h)}); err != nil || !reflect.DeepEqual(h, again) {
				t.Fatalf("the hold %+v is read as %+v, %v", h, again, err)
			}
		}
	})
}
