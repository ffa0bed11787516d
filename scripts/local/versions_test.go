package main

import (
	"errors"
	"net/http"
	"testing"

	"cloud.google.com/go/firestore"
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/api/iterator"
	"google.golang.org/protobuf/proto"
)

// newerVersion is that of a release that nobody has written yet.
const newerVersion = 99

// stored is every document of the database, by its name.
func (s *system) stored(t *testing.T) map[string]*pb.Document {
	t.Helper()
	out := map[string]*pb.Document{}
	var list func(parent string)
	list = func(parent string) {
		for ids := s.clients.Commits.ListCollectionIds(t.Context(), &pb.ListCollectionIdsRequest{Parent: parent}); ; {
			id, err := ids.Next()
			if errors.Is(err, iterator.Done) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for docs := s.clients.Commits.ListDocuments(t.Context(), &pb.ListDocumentsRequest{Parent: parent, CollectionId: id, ShowMissing: true}); ; {
				d, err := docs.Next()
				if errors.Is(err, iterator.Done) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if d.GetUpdateTime() != nil {
					out[d.GetName()] = d
				}
				list(d.GetName())
			}
		}
	}
	list(s.clients.Database + "/documents")
	return out
}

// TestANewerReleasesDocumentsAreLeftAlone is the rule by which releases follow each other: readers ship before writers, and who meets a version
// that is not known answers 503 and writes nothing.
func TestANewerReleasesDocumentsAreLeftAlone(t *testing.T) {
	t.Parallel()
	c, s := startSystem(t)
	admin := c.open("acme")
	reference := c.buy("acme", admin, "credits-500", "first")
	c.eventually("credits", func() bool { return c.available("acme", admin) == 500 })
	service, platform, support := c.token(`{"role":"service"}`), c.token(`{"role":"platform"}`), c.token(`{"role":"support"}`)
	c.must("POST", "/debit/holds", service, `{"event_id":"hold","org_id":"acme","feature":"bulk-pricing"}`)
	if err := s.settle(t.Context()); err != nil { // what the purchase told is delivered
		t.Fatal(err)
	}
	for doc, ask := range map[string]struct{ method, path, token, body string }{
		"wallets/acme":            {"POST", "/debit", service, `{"event_id":"e1","org_id":"acme","feature":"bulk-pricing"}`},
		"orgs/acme":               {"PUT", "/account/orgs/acme", platform, `{"name":"B","country":"ZA","time_zone":"Africa/Johannesburg","owner_email":"owner@acme.example"}`},
		"orgs/acme/members/owner": {"PUT", "/account/orgs/acme/limits", admin, `{"credits":40}`},
		"purchases/" + reference:  {"POST", "/account/orgs/acme/purchases/" + reference + "/refund", support, `{"reason":"asked"}`},
	} {
		ref := s.clients.Documents.Doc(doc)
		was, err := ref.Get(t.Context())
		if err != nil {
			t.Fatal(doc, err)
		}
		v, err := was.DataAt("v")
		if err != nil {
			t.Fatal(doc, err)
		}
		if _, err := ref.Update(t.Context(), []firestore.Update{{Path: "v", Value: newerVersion}}); err != nil {
			t.Fatal(err)
		}
		before := s.stored(t)
		if len(before) < 10 {
			t.Fatalf("only %d documents are looked at", len(before))
		}
		if status, out := c.call(ask.method, ask.path, ask.token, ask.body, "Idempotency-Key", doc); status != http.StatusServiceUnavailable || out["code"] != "unavailable" {
			t.Errorf("%s is newer: %s %s answered %d %v", doc, ask.method, ask.path, status, out)
		}
		after := s.stored(t)
		for name, d := range after {
			if !proto.Equal(d, before[name]) {
				t.Errorf("%s is newer: %s was written", doc, name)
			}
		}
		if len(after) != len(before) {
			t.Errorf("%s is newer: %d documents became %d", doc, len(before), len(after))
		}
		if _, err := ref.Update(t.Context(), []firestore.Update{{Path: "v", Value: v}}); err != nil {
			t.Fatal(err)
		}
	}
}
