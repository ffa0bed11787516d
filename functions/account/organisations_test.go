package account

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/orgs"
)

func TestAnOrganisationIsPutAndRead(t *testing.T) {
	t.Parallel()
	s := start(t)
	created := s.must(t, s.platform(t), http.MethodPut, "/orgs/acme", acmeProfile)
	if created.status != http.StatusCreated {
		t.Errorf("created with %d", created.status)
	}
	want := map[string]any{
		"org_id": "acme", "name": "Acme", "country": "ZA", "time_zone": "Africa/Johannesburg", "currency": "ZAR", "owner_email": "thandi@acme.example",
		"created_at": "2026-03-01T08:00:00Z", "updated_at": "2026-03-01T08:00:00Z",
	}
	if diff := cmp.Diff(want, created.body); diff != "" {
		t.Error(diff)
	}
	s.advance(time.Hour)
	if again := s.must(t, s.platform(t), http.MethodPut, "/orgs/acme", acmeProfile); again.status != http.StatusOK || again.raw != created.raw {
		t.Errorf("repeated: %d %s", again.status, again.raw)
	}
	changed := s.must(t, s.platform(t), http.MethodPut, "/orgs/acme",
		`{"name":"Acme GmbH","country":"DE","time_zone":"Europe/Berlin","owner_email":"thandi@acme.example","billing_contact":"bills@acme.example"}`)
	if changed.body["currency"] != "EUR" || changed.body["time_zone"] != "Europe/Berlin" || changed.body["updated_at"] != "2026-03-01T09:00:00Z" {
		t.Errorf("changed: %s", changed.raw)
	}
	s.register(t, "globex")
	for sub, told := range map[string]bool{"globex-admin": true, "globex-member": false} {
		got := s.must(t, s.token(t, sub), http.MethodGet, "/orgs/globex", "")
		if _, ok := got.body["owner_email"]; ok != told {
			t.Errorf("%s is told %s", sub, got.raw)
		}
	}
	w, err := s.ledger.View(t.Context(), "acme")
	if err != nil || w.Zone != "Europe/Berlin" {
		t.Errorf("the wallet's zone is %q (%v)", w.Zone, err)
	}
}

// deadWallets is a ledger whose process dies before it has done anything.
type deadWallets struct{}

func (deadWallets) Do(context.Context, string, credit.Command) (ledger.Result, error) {
	return ledger.Result{}, errors.New("the process died")
}

func TestAnInterruptedRegistrationIsHealedByRepeatingIt(t *testing.T) {
	t.Parallel()
	s := start(t)
	dying, err := orgs.NewRegistrar(s.store, deadWallets{}, catalogue.NewStore(s.Client, slog.New(slog.DiscardHandler), catalogue.StoreOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := dying.Put(t.Context(), "acme", orgs.Profile{Name: "Acme", Country: "ZA", OwnerEmail: "thandi@acme.example"}); err == nil {
		t.Fatal("the registration was not interrupted")
	}
	for _, path := range []string{"/orgs/acme/balance", "/orgs/acme/balance?at=2026-03-01T00:00:00Z"} {
		if got := s.must(t, s.platform(t), http.MethodGet, path, ""); number(got.body["available"]) != 0 {
			t.Errorf("%s: %s", path, got.raw)
		}
	}
	s.must(t, s.platform(t), http.MethodPut, "/orgs/acme", acmeProfile)
	s.grant(t, "acme", "pi_1", credit.Purchase, 100, time.Time{})
	if got := s.must(t, s.platform(t), http.MethodGet, "/orgs/acme/balance", ""); number(got.body["available"]) != 100 {
		t.Errorf("after the repeated registration: %s", got.raw)
	}
}

func TestBadInputIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.populate(t, "acme")
	platform, admin := s.platform(t), s.token(t, "acme-admin")
	for name, c := range map[string]struct {
		token, method, path, body string
		field                     string
		status                    int // 400 unless set
	}{
		"org: not JSON":               {token: platform, method: "PUT", path: "/orgs/acme", body: "name=Acme"},
		"org: empty":                  {token: platform, method: "PUT", path: "/orgs/acme", body: ""},
		"org: trailing data":          {token: platform, method: "PUT", path: "/orgs/acme", body: acmeProfile + "{}"},
		"org: unknown field":          {token: platform, method: "PUT", path: "/orgs/acme", body: strings.Replace(acmeProfile, "{", `{"currency":"USD",`, 1), field: "currency"},
		"org: its own id":             {token: platform, method: "PUT", path: "/orgs/acme", body: strings.Replace(acmeProfile, "{", `{"org_id":"globex",`, 1), field: "org_id"},
		"org: no name":                {token: platform, method: "PUT", path: "/orgs/acme", body: `{"country":"ZA","owner_email":"a@b.example"}`, field: "name"},
		"org: country":                {token: platform, method: "PUT", path: "/orgs/acme", body: strings.Replace(acmeProfile, "ZA", "ZZ", 1), field: "country"},
		"org: zone":                   {token: platform, method: "PUT", path: "/orgs/acme", body: strings.Replace(acmeProfile, "{", `{"time_zone":"Mars/Olympus",`, 1), field: "time_zone"},
		"org: owner":                  {token: platform, method: "PUT", path: "/orgs/acme", body: strings.Replace(acmeProfile, "@", " at ", 1), field: "owner_email"},
		"org: id in capitals":         {token: platform, method: "PUT", path: "/orgs/ACME", body: acmeProfile},
		"org: id too long":            {token: platform, method: "PUT", path: "/orgs/" + strings.Repeat("a", 65), body: acmeProfile},
		"org: id with a slash":        {token: platform, method: "PUT", path: "/orgs/a%2Fb", body: acmeProfile},
		"org: too large":              {token: platform, method: "PUT", path: "/orgs/acme", body: `{"name":"` + strings.Repeat("a", bodyMaxBytes) + `"}`, status: http.StatusRequestEntityTooLarge},
		"alerts: half":                {token: admin, method: "PUT", path: "/orgs/acme/alerts", body: `{"low_balance":{"enabled":true,"threshold":1,"channels":["email"]}}`, field: "expiry"},
		"alerts: no threshold":        {token: admin, method: "PUT", path: "/orgs/acme/alerts", body: strings.Replace(alertsBody, `"threshold":50,`, "", 1), field: "low_balance.threshold"},
		"alerts: a fraction":          {token: admin, method: "PUT", path: "/orgs/acme/alerts", body: strings.Replace(alertsBody, "50", "50.5", 1), field: "low_balance.threshold"},
		"alerts: below zero":          {token: admin, method: "PUT", path: "/orgs/acme/alerts", body: strings.Replace(alertsBody, "50", "-1", 1), field: "low_balance.threshold"},
		"alerts: a text":              {token: admin, method: "PUT", path: "/orgs/acme/alerts", body: strings.Replace(alertsBody, "50", `"50"`, 1), field: "low_balance.threshold"},
		"alerts: null":                {token: admin, method: "PUT", path: "/orgs/acme/alerts", body: strings.Replace(alertsBody, "50", "null", 1), field: "low_balance.threshold"},
		"alerts: unknown channel":     {token: admin, method: "PUT", path: "/orgs/acme/alerts", body: strings.Replace(alertsBody, "email", "sms", 1), field: "low_balance.channels"},
		"alerts: a kind's channels":   {token: admin, method: "PUT", path: "/orgs/acme/alerts", body: withKinds(`{"kind":"debt"}`), field: "kinds[0].channels"},
		"alerts: a kind twice":        {token: admin, method: "PUT", path: "/orgs/acme/alerts", body: withKinds(`{"kind":"debt","channels":[]},{"kind":"debt","channels":[]}`), field: "kinds"},
		"alerts: an unknown kind":     {token: admin, method: "PUT", path: "/orgs/acme/alerts", body: withKinds(`{"kind":"party","channels":[]}`), field: "kinds"},
		"alerts: a kind's pigeon":     {token: admin, method: "PUT", path: "/orgs/acme/alerts", body: withKinds(`{"kind":"debt","channels":["pigeon"]}`), field: "kinds.debt.channels"},
		"alerts: an answer to others": {token: admin, method: "PUT", path: "/orgs/acme/alerts", body: strings.Replace(alertsBody, "{", `{"billing_contact":["limit_answers"],`, 1), field: "billing_contact"},
		"alerts: on for nobody":       {token: admin, method: "PUT", path: "/orgs/acme/alerts", body: strings.Replace(alertsBody, `"email"`, "", 1), field: "low_balance.channels"},
		"balance: no time":            {token: admin, method: "GET", path: "/orgs/acme/balance?at=yesterday", field: "at"},
		"balance: empty time":         {token: admin, method: "GET", path: "/orgs/acme/balance?at=", field: "at"},
		"balance: the future":         {token: admin, method: "GET", path: "/orgs/acme/balance?at=2026-03-01T08:00:01Z", field: "at"},
		"balance: unknown":            {token: admin, method: "GET", path: "/orgs/acme/balance?when=now", field: "query"},
		"balance: twice":              {token: admin, method: "GET", path: "/orgs/acme/balance?at=2026-01-01T00:00:00Z&at=2026-01-01T00:00:00Z", field: "at"},
		"balance: half a query":       {token: admin, method: "GET", path: "/orgs/acme/balance?at=%zz", field: "query"},
		"entries: no page":            {token: admin, method: "GET", path: "/orgs/acme/entries?page_size=0", field: "page_size"},
		"entries: a huge page":        {token: admin, method: "GET", path: "/orgs/acme/entries?page_size=1000000000", field: "page_size"},
		"entries: beyond counting":    {token: admin, method: "GET", path: "/orgs/acme/entries?page_size=99999999999999999999", field: "page_size"},
		"entries: token":              {token: admin, method: "GET", path: "/orgs/acme/entries?page_token=AAAA", field: "page_token"},
		"entries: long token":         {token: admin, method: "GET", path: "/orgs/acme/entries?page_token=" + strings.Repeat("A", 600), field: "page_token"},
		"entries: another list":       {token: admin, method: "GET", path: "/orgs/acme/entries?page_token=" + tokenOf(t, position{List: notificationsList, At: 1, ID: "x"}), field: "page_token"},
		"notifications: token":        {token: admin, method: "GET", path: "/orgs/acme/notifications?page_token=!", field: "page_token"},
		"catalogue: country":          {token: admin, method: "GET", path: "/catalogue?country=South+Africa", field: "country"},
		"catalogue: empty country":    {token: admin, method: "GET", path: "/catalogue?country=", field: "country"},
		"entry: not there":            {token: admin, method: "GET", path: "/orgs/acme/entries/absent", status: http.StatusNotFound},
		"notification: not there":     {token: admin, method: "POST", path: "/orgs/acme/notifications/absent/read", status: http.StatusNotFound},
		"notification: another doc":   {token: admin, method: "POST", path: "/orgs/acme/notifications/..%2Fmembers%2Facme-admin/read", status: http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := s.call(t, c.token, c.method, c.path, c.body)
			status, code := http.StatusBadRequest, "invalid_request"
			switch c.status {
			case http.StatusNotFound:
				status, code = c.status, "not_found"
			case http.StatusRequestEntityTooLarge:
				status, code = c.status, "too_large"
			}
			if got.status != status || got.code() != code || got.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%d %s, want %d %s", got.status, got.raw, status, code)
			}
			if field, _ := got.body["field"].(string); c.field != "" && field != c.field {
				t.Errorf("the field at fault is %q, want %q: %s", field, c.field, got.raw)
			}
		})
	}
}

func tokenOf(t *testing.T, p position) string {
	t.Helper()
	token, err := p.token()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestTheFeedIsPagedAndRead(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	s.register(t, "globex")
	for i := range 7 {
		for _, org := range []string{"acme", "globex"} {
			if _, err := s.store.AddNotification(t.Context(), org, orgs.Notification{
				ID: fmt.Sprintf("low:%s:%d", org, i), Kind: "low_balance", At: s.now().Add(time.Duration(i) * time.Minute), Title: "Low balance", Text: "left", Credits: 90, Threshold: 100,
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	token := s.token(t, "acme-member")
	got := s.walk(t, token, "/orgs/acme/notifications", 3)
	if len(got) != 7 {
		t.Fatalf("%d notifications, want 7", len(got))
	}
	for i, n := range got {
		if n["id"] != fmt.Sprintf("low:acme:%d", 6-i) || n["read"] != false || number(n["threshold"]) != 100 {
			t.Errorf("item %d: %v", i, n)
		}
	}
	read := s.must(t, token, http.MethodPost, "/orgs/acme/notifications/low:acme:3/read", "")
	again := s.must(t, s.token(t, "acme-admin"), http.MethodPost, "/orgs/acme/notifications/low:acme:3/read", "")
	if read.body["read"] != true || read.body["read_by"] != "acme-member" || again.raw != read.raw {
		t.Errorf("read: %s, again: %s", read.raw, again.raw)
	}
	if got := s.call(t, token, http.MethodPost, "/orgs/acme/notifications/low:globex:3/read", ""); got.code() != "not_found" {
		t.Errorf("another organisation's: %d %s", got.status, got.raw)
	}
}

// walk reads a whole list, page by page.
func (s *system) walk(t *testing.T, token, path string, size int) []map[string]any {
	t.Helper()
	var out []map[string]any
	page, joint := "", "?"
	if strings.Contains(path, "?") {
		joint = "&"
	}
	for range 1000 {
		got := s.must(t, token, http.MethodGet, fmt.Sprintf("%s%spage_size=%d&page_token=%s", path, joint, size, page), "")
		items, _ := got.body["items"].([]any)
		for _, item := range items {
			out = append(out, item.(map[string]any))
		}
		page, _ = got.body["next_page_token"].(string)
		if page == "" {
			return out
		}
		if len(items) != size {
			t.Fatalf("a page of %d items is not the last", len(items))
		}
	}
	t.Fatal("the list does not end")
	return nil
}
