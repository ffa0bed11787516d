package dashboard

import (
	"bytes"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestEveryAnswerForbidsScriptsWithinPagesAndOtherSites(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	p := s.visitor(t)
	p.signIn("ann", "/orgs/acme/prices")
	for _, path := range []string{"/orgs/acme/prices", "/nothing", "/orgs/globex"} {
		res, body := p.send(http.MethodGet, path, nil)
		policy := res.Header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "style-src 'self'", "script-src 'self'", "base-uri 'none'", "frame-ancestors 'none'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: the policy %q lacks %q", path, policy, want)
			}
		}
		scripts := strings.Count(body, "<script")
		if strings.Contains(policy, "unsafe") || scripts != strings.Count(body, `<script src="/account/ui/live-`) || scripts != strings.Count(body, "></script>") || strings.Contains(body, " style=") {
			t.Errorf("%s: scripts or styles within the page", path)
		}
		if res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: %v", path, res.Header)
		}
	}
	if res, _ := p.send(http.MethodGet, "/orgs/globex", nil); res.StatusCode != http.StatusNotFound {
		t.Errorf("another organisation is answered %d", res.StatusCode)
	}
}

func TestOnlyAConfiguredOriginMayFrameThePages(t *testing.T) {
	t.Parallel()
	s := newStand(t, func(o *Options) { o.FrameOrigin = "https://app.fluxori.example" })
	res, _ := s.visitor(t).send(http.MethodGet, "/", nil)
	if got := res.Header.Get("Content-Security-Policy"); !strings.HasSuffix(got, "frame-ancestors https://app.fluxori.example") {
		t.Errorf("%s", got)
	}
}

func TestCookiesOnHTTPSAreSecure(t *testing.T) {
	t.Parallel()
	d := &Dashboard{secure: true, base: "/account/ui"}
	c := d.cookie(&sealer{purpose: "session"}, "v", 60)
	if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/account/ui" || c.Name != "__Secure-credits-session" || c.Domain != "" {
		t.Errorf("%+v", c)
	}
}

func TestOnlyAddressesOfThesePagesAreLedBackTo(t *testing.T) {
	t.Parallel()
	d := &Dashboard{base: "/account/ui"}
	for to, want := range map[string]string{
		"/account/ui/orgs/acme?month=2026-11": "/account/ui/orgs/acme?month=2026-11",
		"https://evil.example/account/ui/":    "/account/ui/",
		"//evil.example":                      "/account/ui/",
		"/account/ui//evil.example":           "/account/ui/",
		"/account/ui/\\evil.example":          "/account/ui/",
		"/account/uix/":                       "/account/ui/",
		"":                                    "/account/ui/",
		"/account/ui/" + strings.Repeat("a", paramMaxBytes): "/account/ui/",
	} {
		if got := d.local(to); got != want {
			t.Errorf("%.60q leads to %.60q", to, got)
		}
	}
}

func TestSealedValuesOpenOnlyWholeForTheirPurposeAndUnderAKnownKey(t *testing.T) {
	t.Parallel()
	key := func(c string) []byte { return []byte(strings.Repeat(c, keyBytes)) }
	sealerOf := func(purpose string, keys ...[]byte) *sealer {
		s, err := newSealer(keys, purpose)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	old, rotated := sealerOf("session", key("a")), sealerOf("session", key("b"), key("a"))
	other, gone := sealerOf("signin", key("a")), sealerOf("session", key("b"))
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SliceOfN(rapid.Byte(), 0, 500).Draw(t, "plain")
		sealed := old.seal(plain)
		for name, s := range map[string]*sealer{"the key": old, "a new key before it": rotated} {
			if got, err := s.open(sealed); err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("under %s: %q, %v", name, got, err)
			}
		}
		for name, s := range map[string]*sealer{"another purpose": other, "another key": gone} {
			if got, err := s.open(sealed); err == nil {
				t.Fatalf("for %s it opens to %q", name, got)
			}
		}
		at := rapid.IntRange(0, len(sealed)-2).Draw(t, "at") // the last character may hold bits that say nothing
		changed := []byte(sealed)
		changed[at] = map[bool]byte{true: 'B', false: 'A'}[changed[at] == 'A']
		if _, err := old.open(string(changed)); err == nil {
			t.Fatal("a changed one opens")
		}
	})
}

func TestKeysAreRefusedUnlessAllAreWhole(t *testing.T) {
	t.Parallel()
	whole := "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="
	for text, good := range map[string]bool{whole: true, whole + "," + whole: true, "": false, "QUFB": false, whole + ",": false, "not base64": false} {
		var k Keys
		if err := k.UnmarshalText([]byte(text)); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestFiguresAreWrittenAsSouthAfricanEnglishDoes(t *testing.T) {
	t.Parallel()
	v := &visit{zone: time.FixedZone("", 2*3600)}
	for got, want := range map[string]string{
		v.Credits(0): "0", v.Credits(999): "999", v.Credits(1000): "1\u00a0000", v.Credits(-1234567): "−1\u00a0234\u00a0567",
		v.Money(129900, "ZAR"): "R\u00a01\u00a0299,00", v.Money(5, "EUR"): "€0,05", v.Money(-4799, "USD"): "−US$47,99", v.Money(100, "GBP"): "GBP\u00a01,00",
		v.Moment(time.Date(2026, 11, 22, 22, 30, 0, 0, time.UTC)): "23 Nov 2026, 00:30", v.Words("limit_exceeded"): "Limit exceeded",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestColumnsAreAsHighAsTheirValues(t *testing.T) {
	t.Parallel()
	got := newColumns([]string{"1", "2", "3", "4"}, []int64{0, 50, 100, 1})
	for i, want := range []int64{0, 60, 120, 2} {
		if b := got.Bars[i]; b.Height != want || b.Y+b.Height != columnsHeight {
			t.Errorf("bar %d: %+v, want %d high", i, b, want)
		}
	}
	if empty := newColumns([]string{"1"}, []int64{0}); empty.Max != 0 || empty.Bars[0].Height != 0 {
		t.Errorf("%+v", empty)
	}
}

func TestTeamsAreNamedAfterTheirNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"Web Shop": "web-shop", "  R&D (2) ": "r-d-2", "—": "", strings.Repeat("ab ", 40): strings.Repeat("ab-", 21) + "a"} {
		if got := teamID(name); got != want || len(got) > 64 {
			t.Errorf("%q is %q", name, got)
		}
	}
}

// TestThePicturesAreSmall bounds what the README loads.
func TestThePicturesAreSmall(t *testing.T) {
	t.Parallel()
	found, err := os.ReadDir("pictures")
	if err != nil || len(found) != 4 {
		t.Fatalf("%d pictures, %v", len(found), err)
	}
	for _, f := range found {
		if info, err := f.Info(); err != nil || info.Size() > 80<<10 {
			t.Errorf("%s: %v, %d bytes", f.Name(), err, info.Size())
		}
	}
}

func TestChannelsOfEachKindAreSavedAsTicked(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	p := s.visitor(t)
	_, page := p.signIn("ann", "/orgs/acme/notifications")
	for _, want := range []string{
		`name="channel-purchases" value="email" aria-label="Purchases: by e-mail" checked`, `name="contact" value="low_balance" checked`, `name="contact" value="purchases"`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(page, `name="contact" value="limit_answers"`) {
		t.Error("what goes to one member alone is offered to the billing contact")
	}
	p.stay()
	form := url.Values{
		"form": {secret(t, page)}, "do": {"alerts"}, "threshold": {"1 250"}, "low": {"1"}, "low_channel": {"email"}, "kind": {"purchases", "limit_answers"},
		"channel-purchases": {"email", "dashboard"}, "contact": {"purchases"},
	}
	res, body := p.send(http.MethodPost, "/orgs/acme/notifications", form)
	want := `PUT /orgs/acme/alerts {"low_balance":{"enabled":true,"threshold":1250,"channels":["email"]},"expiry":{"enabled":false,"channels":[]},` +
		`"kinds":[{"kind":"purchases","channels":["email","dashboard"]},{"kind":"limit_answers","channels":[]}],"billing_contact":["purchases"]} key=false`
	if res.StatusCode != http.StatusSeeOther || len(s.changes) != 1 || s.changes[0] != want {
		t.Errorf("%d %s\n%v, want\n%s", res.StatusCode, body, s.changes, want)
	}
}

func TestADearerPlansPriceIsShownBeforeItIsTaken(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	p := s.visitor(t)
	_, page := p.signIn("ann", "/orgs/acme/plan?to=growth")
	for _, want := range []string{"Change to Growth?", "R\u00a0675,00", "1\u00a0125", "1 Dec 2026, 00:30", "Change now"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	p.stay()
	res, _ := p.send(http.MethodPost, "/orgs/acme/plan", url.Values{"form": {secret(t, page)}, "key": {"k"}, "do": {"change"}, "plan": {"growth"}})
	if want := `POST /orgs/acme/subscription/change {"plan":"growth"} key=true`; res.StatusCode != http.StatusSeeOther || s.changes[0] != want {
		t.Errorf("%d %v", res.StatusCode, s.changes)
	}
}
