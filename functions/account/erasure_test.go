package account

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/ledger"
)

// collections are the names of all collections that the list of indexes knows, and those that need nothing of it.
func collections(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile("../../shared/indexes/indexes.json")
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Fields []struct {
			Collection string `json:"collection"`
		} `json:"fields"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	out := []string{"orgs", "members", "teams", "notifications"}
	for _, f := range list.Fields {
		out = append(out, f.Collection)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// whereStands lists the documents, at any depth, that hold one of some words, and tells how many documents there are.
func (s *system) whereStands(t *testing.T, words ...string) (found []string, documents int) {
	t.Helper()
	names := collections(t)
	var walk func(parent *firestore.DocumentRef)
	walk = func(parent *firestore.DocumentRef) {
		for _, name := range names {
			c := s.Client.Collection(name)
			if parent != nil {
				c = parent.Collection(name)
			}
			docs, err := c.Documents(t.Context()).GetAll()
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range docs {
				documents++
				text := strings.ToLower(fmt.Sprint(d.Data(), d.Ref.ID))
				if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, strings.ToLower(w)) }) {
					found = append(found, d.Ref.Path[strings.Index(d.Ref.Path, "documents/")+len("documents/"):])
				}
				if parent == nil {
					walk(d.Ref)
				}
			}
		}
	}
	walk(nil)
	return found, documents
}

// TestAnErasedMemberLeavesNoNameOrAddressAnywhere lets a member's name and address get wherever they can: the membership, metadata of one's own work
// and of others', reasons of staff, a freeze that still stands, requests and their answers.
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
	s.publishAll(t)
	words := []string{name, address, "my own work"}
	if found, _ := s.whereStands(t, words...); len(found) < own+6 {
		t.Fatalf("the person stands in %d documents only: %v", len(found), found)
	}
	before := s.must(t, admin, http.MethodGet, "/orgs/acme/balance", "").body
	entries := s.walk(t, admin, "/orgs/acme/entries", 200)

	done := s.must(t, admin, http.MethodPost, "/orgs/acme/members/zanele/erasure", "").body
	if done["removed"] != true || done["next_page_token"] != "" || number(done["entries"]) != own+3 || number(done["limit_requests"]) != 1 {
		t.Errorf("%v", done)
	}
	if found, documents := s.whereStands(t, words...); len(found) > 0 || documents < own {
		t.Errorf("of %d documents the person still stands in %v", documents, found)
	}
	if err := s.ledger.Audit(t.Context(), "acme"); err != nil {
		t.Errorf("the audit: %v", err)
	}
	after := s.must(t, admin, http.MethodGet, "/orgs/acme/balance", "").body
	if fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("the balance was %v, and is %v", before, after)
	}
	if kept := s.walk(t, admin, "/orgs/acme/entries", 200); len(kept) != len(entries) {
		t.Errorf("%d entries, %d are left", len(entries), len(kept))
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
