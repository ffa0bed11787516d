package account

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"
	"google.golang.org/grpc/codes"

	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/serve"
)

// order begins a purchase of 500 credits, and returns its reference and its checkout session.
func (s *system) order(t *testing.T, org, key string) (reference, session string) {
	t.Helper()
	begun := s.must(t, s.token(t, org+"-admin"), http.MethodPost, "/orgs/"+org+"/purchases", `{"package":"credits-500"}`, "Idempotency-Key", key)
	return fmt.Sprint(begun.body["reference"]), path.Base(fmt.Sprint(begun.body["checkout_url"]))
}

func TestAPaidPurchaseIsCreditedWhenAMemberAsks(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	reference, session := s.order(t, "acme", "k")
	member := s.token(t, "acme-member")
	recovery := "/orgs/acme/purchases/" + reference + "/recover"
	if got := s.must(t, member, http.MethodPost, recovery, "").body; got["status"] != "created" || s.available(t, "acme") != 0 {
		t.Errorf("unpaid: %v", got)
	}
	if err := s.stand.PayCheckout(session); err != nil {
		t.Fatal(err)
	}
	s.advance(time.Minute)
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() { s.call(t, member, http.MethodPost, recovery, "") })
	}
	all.Wait()
	got := s.must(t, member, http.MethodPost, recovery, "").body
	if got["status"] != "paid" || got["grant_id"] == nil || got["paid_at"] != "2026-03-01T08:00:00Z" || s.available(t, "acme") != 500 {
		t.Errorf("paid: %v", got)
	}
	if got := s.must(t, member, http.MethodGet, "/orgs/acme/entries", "").body["items"].([]any); len(got) != 1 {
		t.Errorf("%d entries", len(got))
	}
	timeline, _ := got["timeline"].([]any)
	if last, _ := timeline[len(timeline)-1].(map[string]any); len(timeline) != 3 || last["what"] != "session.found" {
		t.Errorf("its timeline is %v", timeline)
	}
}

func TestStripeIsAskedAboutOnePurchaseTenTimesAMinute(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	reference, session := s.order(t, "acme", "k")
	token := s.token(t, "acme-admin")
	ask := func() answer {
		t.Helper()
		return s.call(t, token, http.MethodPost, "/orgs/acme/purchases/"+reference+"/recover", "")
	}
	for n := range 10 {
		if got := ask(); got.status != http.StatusOK {
			t.Fatalf("time %d: %d %s", n+1, got.status, got.raw)
		}
	}
	s.advance(20 * time.Second)
	if got := ask(); got.code() != "rate_limited" || got.header.Get("Retry-After") != "40" {
		t.Errorf("the eleventh time: %d %s, Retry-After %q", got.status, got.raw, got.header.Get("Retry-After"))
	}
	if err := s.stand.PayCheckout(session); err != nil {
		t.Fatal(err)
	}
	s.advance(40 * time.Second)
	if got := ask(); got.body["status"] != "paid" {
		t.Errorf("a minute later: %d %s", got.status, got.raw)
	}
	for range 20 { // Stripe is not asked any more
		if got := ask(); got.status != http.StatusOK {
			t.Errorf("%d %s", got.status, got.raw)
		}
	}
}

func TestRecoveryConcernsOnesOwnPurchasesAlone(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	s.register(t, "globex")
	reference, session := s.order(t, "acme", "k")
	if err := s.stand.PayCheckout(session); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{reference, "CR-2222-2222", "nonsense"} {
		if got := s.call(t, s.token(t, "globex-admin"), http.MethodPost, "/orgs/globex/purchases/"+ref+"/recover", ""); got.code() != "not_found" {
			t.Errorf("%s: %d %s", ref, got.status, got.raw)
		}
	}
	if s.available(t, "acme") != 0 || s.available(t, "globex") != 0 {
		t.Error("credits were given")
	}
}

// back is what a browser gets that comes back from Stripe to an address.
func (s *system) back(t *testing.T, query string) (status int, page string, header http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/ui/purchases/return?"+query, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text), res.Header
}

func TestTheReturnPageCreditsWhatWasPaid(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	reference, session := s.order(t, "acme", "k")
	good := "reference=" + reference + "&session_id=" + session
	if status, page, _ := s.back(t, good); status != http.StatusOK || !strings.Contains(page, "on its way") {
		t.Errorf("unpaid: %d %s", status, page)
	}
	if status, page, _ := s.back(t, "reference="+reference+"&cancelled=true"); status != http.StatusOK || !strings.Contains(page, "Nothing was paid") {
		t.Errorf("turned back: %d %s", status, page)
	}
	if err := s.stand.PayCheckout(session); err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{"reference=" + reference + "&session_id=cs_other", "reference=CR-2222-2222&session_id=" + session, "session_id=" + session} {
		if status, page, _ := s.back(t, wrong); status != http.StatusNotFound || strings.Contains(page, reference) || s.available(t, "acme") != 0 {
			t.Errorf("%s: %d %s", wrong, status, page)
		}
	}
	s.Hooks.Set(firedb.Rule{Method: "Commit", Fault: firedb.Fault{Code: codes.PermissionDenied}})
	if status, page, _ := s.back(t, good); status != http.StatusOK || !strings.Contains(page, "within 15 minutes") {
		t.Errorf("while the store is down: %d %s", status, page)
	}
	s.Hooks.Set()
	for range 2 {
		status, page, header := s.back(t, good)
		if status != http.StatusOK || !strings.Contains(page, "500 credits") || !strings.Contains(page, reference) || s.available(t, "acme") != 500 {
			t.Errorf("paid: %d %s", status, page)
		}
		if header.Get("Cache-Control") != "no-store" || header.Get("Referrer-Policy") != "no-referrer" || !strings.Contains(header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("headers: %v", header)
		}
	}
}

// TestTheReturnPageOfAFrozenSystemGrantsNothing holds the one page that changes something by being read to what freezing promises.
func TestTheReturnPageOfAFrozenSystemGrantsNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	reference, session := s.order(t, "acme", "k")
	if err := s.stand.PayCheckout(session); err != nil {
		t.Fatal(err)
	}
	addr, err := s.Server.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	settings := s.settings(addr.String())
	settings["FROZEN"] = "true"
	h, err := registered(t).Build(t.Context(), serve.Env{Lookup: envconfig.MapLookuper(settings), Log: slog.New(slog.DiscardHandler), Now: s.now})
	if err != nil {
		t.Fatal(err)
	}
	address := "/ui/purchases/return?reference=" + reference + "&session_id=" + session
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "not lost") || s.available(t, "acme") != 0 {
		t.Errorf("frozen: %d %s, %d credits", w.Code, w.Body, s.available(t, "acme"))
	}
}

func TestPurchasesAreListedTheNewestFirst(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	s.register(t, "globex")
	s.order(t, "globex", "k")
	var want []string
	for i := range 5 {
		if i != 3 { // two of one moment
			s.advance(time.Minute)
		}
		reference, _ := s.order(t, "acme", fmt.Sprint("k", i))
		want = append([]string{reference}, want...)
	}
	if want[1] < want[2] { // of one moment, by reference
		want[1], want[2] = want[2], want[1]
	}
	token := s.token(t, "acme-admin")
	var got []string
	query := "?page_size=2"
	for pages := 0; ; pages++ {
		list := s.must(t, token, http.MethodGet, "/orgs/acme/purchases"+query, "").body
		for _, item := range list["items"].([]any) {
			p, _ := item.(map[string]any)
			got = append(got, fmt.Sprint(p["reference"]))
			if timeline, _ := p["timeline"].([]any); len(timeline) != 2 || p["status"] != "created" {
				t.Errorf("%v", p)
			}
		}
		next, _ := list["next_page_token"].(string)
		if next == "" || pages > 5 {
			break
		}
		query = "?page_size=2&page_token=" + url.QueryEscape(next)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%v, want %v", got, want)
	}
	entries := s.must(t, token, http.MethodGet, "/orgs/acme/entries?page_size=1", "")
	if len(entries.body["items"].([]any)) != 0 {
		t.Errorf("%s", entries.raw)
	}
}

func TestSupportFindsAPurchaseHoweverItsReferenceIsWritten(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	reference, _ := s.order(t, "acme", "k")
	agent := s.token(t, "agent", "support")
	letters := strings.ReplaceAll(strings.TrimPrefix(reference, "CR-"), "-", "")
	for _, written := range []string{
		reference, strings.ToLower(reference), "CR" + letters, letters, " cr " + letters[:4] + " " + letters[4:] + " ", "CR\u2013" + letters[:4] + "\u2013" + letters[4:],
	} {
		got := s.must(t, agent, http.MethodGet, "/purchases/"+url.PathEscape(written), "").body
		if got["reference"] != reference || got["org_id"] != "acme" || got["timeline"] == nil {
			t.Errorf("%q: %v", written, got)
		}
		s.must(t, agent, http.MethodGet, "/orgs/acme/purchases/"+url.PathEscape(written), "")
	}
	for _, written := range []string{"CR-2222-2222", letters[:7], letters + "2", "0" + letters[1:], strings.Repeat("A", 65), "XX" + letters} {
		if got := s.call(t, agent, http.MethodGet, "/purchases/"+url.PathEscape(written), ""); got.code() != "not_found" {
			t.Errorf("%q: %d %s", written, got.status, got.raw)
		}
	}
}

func TestOperatorsSeeHowFarStripesRecordWasWalked(t *testing.T) {
	t.Parallel()
	s := start(t)
	if got := s.must(t, s.platform(t), http.MethodGet, "/operations/reconciliation", ""); got.raw != `{"owed":0,"sweeping":false,"uncredited":[]}`+"\n" {
		t.Errorf("before the first run: %s", got.raw)
	}
	_, err := s.Client.Collection("reconciliation").Doc("stripe").Set(t.Context(), map[string]any{
		"v": 1, "until": s.now(), "ran_at": s.now(), "owed": []any{map[string]any{"source": "event", "id": "evt_1"}},
		"uncredited": []any{map[string]any{"reference": "CR-2222-2222", "org": "acme", "session": "cs_1", "paid_at": s.now()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := s.must(t, s.platform(t), http.MethodGet, "/operations/reconciliation", "").raw
	want := `{"ran_at":"2026-03-01T08:00:00Z","until":"2026-03-01T08:00:00Z","owed":1,"sweeping":false,` +
		`"uncredited":[{"reference":"CR-2222-2222","org_id":"acme","session":"cs_1","paid_at":"2026-03-01T08:00:00Z"}]}`
	if strings.TrimSpace(got) != want {
		t.Errorf("%s, want %s", got, want)
	}
}
