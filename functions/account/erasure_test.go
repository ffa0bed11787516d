package account

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/proto"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/deadletters"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/ledger"
)

// whereStands lists the documents of the whole store, at any depth, whose bytes hold one of some words, and tells how many documents there are.
func (s *system) whereStands(t *testing.T, words ...string) (found []string, documents int) {
	t.Helper()
	root := s.Database() + "/documents"
	var walk func(parent string)
	walk = func(parent string) {
		collections := s.Raw.ListCollectionIds(t.Context(), &pb.ListCollectionIdsRequest{Parent: parent})
		for id, err := range collections.All() {
			if err != nil {
				t.Fatal(err)
			}
			docs := s.Raw.ListDocuments(t.Context(), &pb.ListDocumentsRequest{Parent: parent, CollectionId: id, ShowMissing: true})
			for d, err := range docs.All() {
				if err != nil {
					t.Fatal(err)
				}
				documents++
				data, err := proto.Marshal(d)
				if err != nil {
					t.Fatal(err)
				}
				text := strings.ToLower(string(data))
				if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, strings.ToLower(w)) }) {
					found = append(found, strings.TrimPrefix(d.GetName(), root+"/"))
				}
				walk(d.GetName())
			}
		}
	}
	walk(root)
	return found, documents
}

// leaveTraces puts words where nobody but a program or staff writes: messages that could not be handled, a refund's reason, what was put aside,
// the name of a team. Those of another organisation are to stay.
func (s *system) leaveTraces(t *testing.T, sub, name, address string) {
	t.Helper()
	letters, err := deadletters.NewStore(s.Client, toNobody{}, s.now)
	if err != nil {
		t.Fatal(err)
	}
	for i, data := range []string{
		`{"event_id":"1","org_id":"acme","user_id":"` + sub + `","feature":"gone","credits":10,"metadata":{"note":"It is for my own work"}}`,
		`{"event_id":"2","org_id":"acme","feature":"gone","metadata":{"cc":["` + address + `"]}}`,
		`{"v":1,"org_id":"acme","type":"limit_requested","limit_request":{"user_id":"` + sub + `","reason":"It is for my own work"},"reason":"for ` + name + `"}`,
		`{"org_id":"acme","metadata":{"by":"` + name, // cut off
		`{"org_id":"acme","feature":"gone","items":[{"by":"` + name + `"}]}`,
		`{"org_id":"globex","feature":"gone","metadata":{"by":"another ` + name + `"}}`,
		`{"org_id":"acme","feature":"gone","metadata":{"by":"acme-member"}}`,
	} {
		f := deadletters.Failure{Topic: events.Usage, Code: "unknown_feature", Reason: "sent by " + address, Push: events.Push{
			MessageID: fmt.Sprint(i), Subscription: "s", Data: []byte(data), Attributes: map[string]string{"by": name, "n": "1"},
		}}
		if i == 5 || i == 6 {
			f.Reason, f.Push.Attributes = "there is no such feature", nil
		}
		if _, err := letters.Put(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	support := s.token(t, "agent", "support")
	purchase := s.must(t, support, http.MethodGet, "/orgs/acme/purchases", "").body["items"].([]any)[0].(map[string]any)["reference"]
	s.must(t, support, http.MethodPost, fmt.Sprintf("/orgs/acme/purchases/%s/refund", purchase), `{"amount":449,"reason":"`+name+` asked"}`, "Idempotency-Key", "r")
	_, told := s.overpaid(t, "acme", "k")
	s.must(t, s.platform(t), http.MethodPost, "/operations/quarantine/"+told.ID+"/resolve", `{"resolution":"Told `+address+`"}`)
	s.must(t, s.token(t, "acme-admin"), http.MethodPut, "/orgs/acme/teams/friends", `{"name":"Friends of `+name+`"}`)
	s.must(t, s.token(t, "acme-admin"), http.MethodPut, "/orgs/acme/teams/former", `{"name":"`+name+`","archived":true}`)
}

// TestAnErasedMemberLeavesNoNameOrAddressAnywhere lets a member's name and address get wherever they can: the membership, metadata of one's own work
// and of others', reasons of staff, a freeze that still stands, requests and their answers, messages that could not be handled, refunds, what was put
// aside, teams. The words are looked for in the bytes of every document of the store.
func TestAnErasedMemberLeavesNoNameOrAddressAnywhere(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.populate(t, "acme")
	admin, support := s.token(t, "acme-admin"), s.token(t, "agent", "support")
	const name, address = "Zanele Dube", "zanele@acme.example"
	s.must(t, admin, http.MethodPut, "/orgs/acme/members/zanele", `{"role":"member","email":"`+address+`","name":"`+name+`"}`)
	zanele := s.issuer.Token(t, map[string]any{"sub": "zanele", "aud": audience, "email": address, "email_verified": true, "name": name})
	s.must(t, zanele, http.MethodGet, "/orgs/acme/balance", "")
	const own = 350 // more than one page of entries
	for i := range own {
		s.do(t, "acme", credit.Debit{
			EventID: fmt.Sprint("own-", i), Credits: 1, Usage: true, Metadata: `{"asked_by":"` + name + `"}`,
			Content: credit.Content{Kind: credit.KindDebit, Org: "acme", User: "zanele"}, Work: credit.Work{Feature: "custom-query", User: "zanele"},
		})
	}
	s.do(t, "acme", credit.PlaceHold{EventID: "held", Credits: 1, TTL: time.Hour, Metadata: `{"to":"ZANELE@acme.example"}`, Work: credit.Work{Feature: "custom-query"}})
	s.do(t, "acme", credit.Debit{EventID: "other", Credits: 1, Usage: true, Metadata: `{"report":"q3"}`, Work: credit.Work{Feature: "custom-query", User: "acme-member"}})
	s.must(t, support, http.MethodPost, "/orgs/acme/adjustments", `{"credits":500,"reason":"asked for by zanele dube"}`, "Idempotency-Key", "a")
	asked := s.must(t, zanele, http.MethodPost, "/orgs/acme/limit-requests", `{"scope":"user","reason":"It is for my own work","credits":200}`)
	s.must(t, admin, http.MethodPost, "/orgs/acme/limit-requests/"+fmt.Sprint(asked.body["request_id"])+"/decline", `{"reason":"Sorry, Zanele Dube"}`)
	s.must(t, support, http.MethodPost, "/orgs/acme/freeze", `{"reason":"told by `+name+` of a theft"}`, "Idempotency-Key", "f")
	s.leaveTraces(t, "zanele", name, address)
	s.publishAll(t)
	words := []string{name, address, "my own work"}
	const kept = "another " + name // of another organisation
	if found, _ := s.whereStands(t, words...); len(found) < own+6+10 {
		t.Fatalf("the person stands in %d documents only: %v", len(found), found)
	}
	before := s.must(t, admin, http.MethodGet, "/orgs/acme/balance", "").body
	entries := s.walk(t, admin, "/orgs/acme/entries", 200)

	done := s.must(t, admin, http.MethodPost, "/orgs/acme/members/zanele/erasure", "").body
	if done["removed"] != true || done["next_page_token"] != "" || number(done["entries"]) != own+3 || number(done["limit_requests"]) != 1 ||
		number(done["dead_letters"]) != 5 || number(done["payments"]) != 2 || number(done["teams"]) != 2 {
		t.Errorf("%v", done)
	}
	theirs, _ := s.whereStands(t, kept)
	if found, documents := s.whereStands(t, words...); len(theirs) != 1 || !slices.Equal(found, theirs) || documents < own {
		t.Errorf("of %d documents the person still stands in %v; of another's %v are to stay", documents, found, theirs)
	}
	s.wantLettersLeft(t)
	if err := s.ledger.Audit(t.Context(), "acme"); err != nil {
		t.Errorf("the audit: %v", err)
	}
	after := s.must(t, admin, http.MethodGet, "/orgs/acme/balance", "").body
	if fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("the balance was %v, and is %v", before, after)
	}
	if left := s.walk(t, admin, "/orgs/acme/entries", 200); len(left) != len(entries) {
		t.Errorf("%d entries, %d are left", len(entries), len(left))
	}
	if got := s.must(t, admin, http.MethodGet, "/orgs/acme/entries/other", "").raw; !strings.Contains(got, "q3") {
		t.Errorf("another's metadata is gone: %s", got)
	}
	// The same event again is the same debit, and the wallet goes on as it was: frozen.
	s.do(t, "acme", credit.Debit{
		EventID: "own-1", Credits: 1, Usage: true, Content: credit.Content{Kind: credit.KindDebit, Org: "acme", User: "zanele"},
		Work: credit.Work{Feature: "custom-query", User: "zanele"},
	})
	s.do(t, "acme", credit.FreezeWallet{Frozen: false, EventID: "thaw", Reason: "cleared"})
	if err := s.ledger.Audit(t.Context(), "acme"); err != nil {
		t.Errorf("the audit later: %v", err)
	}
	again := s.must(t, admin, http.MethodPost, "/orgs/acme/members/zanele/erasure", "").body
	if again["removed"] != false || number(again["entries"]) != 0 || number(again["limit_requests"]) != 0 {
		t.Errorf("again: %v", again)
	}
}

// wantLettersLeft checks what is left of the letters: what can be replayed has the same effect, and what cannot be told apart is gone.
func (s *system) wantLettersLeft(t *testing.T) {
	t.Helper()
	letters, err := deadletters.NewStore(s.Client, toNobody{}, s.now)
	if err != nil {
		t.Fatal(err)
	}
	page, err := letters.List(t.Context(), deadletters.Query{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, l := range page.Letters {
		got[l.MessageID] = string(l.Data)
		if l.Cut {
			got[l.MessageID] += " (cut)"
		}
	}
	want := map[string]string{
		"0": `{"credits":10,"event_id":"1","feature":"gone","org_id":"acme","user_id":"zanele"}`,
		"1": `{"event_id":"2","feature":"gone","org_id":"acme"}`,
		"2": `{"limit_request":{"reason":"[erased]","user_id":"zanele"},"org_id":"acme","reason":"[erased]","type":"limit_requested","v":1}`,
		"3": " (cut)", "4": " (cut)",
		"5": `{"org_id":"globex","feature":"gone","metadata":{"by":"another Zanele Dube"}}`,
		"6": `{"org_id":"acme","feature":"gone","metadata":{"by":"acme-member"}}`,
	}
	for id, data := range want {
		if got[id] != data {
			t.Errorf("letter %s holds %s, want %s", id, got[id], data)
		}
	}
}

// toNobody is where everybody has heard it.
type toNobody struct{}

func (toNobody) Publish(context.Context, []events.Message) error { return nil }

// publishAll empties the outbox, as the job does each minute.
func (s *system) publishAll(t *testing.T) {
	t.Helper()
	l, err := ledger.New(s.Raw, s.Database(), ledger.Options{Now: s.now, Publish: toNobody{}})
	if err != nil {
		t.Fatal(err)
	}
	if swept, err := l.Sweep(t.Context(), s.now().Add(time.Hour), 1000); err != nil || swept.Sent == 0 {
		t.Fatalf("%+v, %v", swept, err)
	}
}

func TestWhoIsStatedInTheProfileOrIsTheLastAdministratorIsNotErased(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	admin := s.token(t, "acme-admin")
	if got := s.call(t, admin, http.MethodPost, "/orgs/acme/members/acme-admin/erasure", ""); got.body["reason"] != "last_administrator" {
		t.Errorf("%d %s", got.status, got.raw)
	}
	owner := s.must(t, admin, http.MethodGet, "/orgs/acme", "").body["owner_email"]
	s.must(t, admin, http.MethodPut, "/orgs/acme/members/owner", fmt.Sprintf(`{"role":"member","email":%q}`, strings.ToUpper(fmt.Sprint(owner))))
	if got := s.call(t, admin, http.MethodPost, "/orgs/acme/members/owner/erasure", ""); got.body["reason"] != "stated_in_profile" {
		t.Errorf("%d %s", got.status, got.raw)
	}
	s.must(t, admin, http.MethodGet, "/orgs/acme/members/owner", "")
	for _, token := range []string{"x", "eyJsIjoiZW50cmllcyIsImF0IjoxfQ"} {
		if got := s.call(t, admin, http.MethodPost, "/orgs/acme/members/owner/erasure?page_token="+token, ""); got.code() != "invalid_request" {
			t.Errorf("token %s: %d %s", token, got.status, got.raw)
		}
	}
}
