package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// pageMax is how large a page may be with its style sheet, in bytes.
const pageMax = 100 << 10

// pagesOfKalahari are all pages of the demonstration organisation, for an administrator.
var pagesOfKalahari = []string{
	"", "/purchase", "/purchase?credits=600", "/purchases", "/auto-top-up", "/plan", "/plan?to=growth", "/controls", "/notifications", "/teams", "/usage",
	"/usage?by=user", "/statement", "/refusals", "/activity", "/prices", "/referral",
}

// reader reads the dashboard's pages without a browser.
type reader struct {
	tb     testing.TB
	base   string
	client *http.Client
}

// signedIn is a reader who has signed in.
func signedIn(tb testing.TB, base, sub string) *reader {
	tb.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		tb.Fatal(err)
	}
	r := &reader{tb: tb, base: base, client: &http.Client{Jar: jar}}
	res, _ := r.send(http.MethodGet, base+"/account/ui/signin", nil)
	if res, _ = r.send(http.MethodPost, res.Request.URL.String(), url.Values{"sub": {sub}}); res.StatusCode != http.StatusOK {
		tb.Fatalf("the sign-in of %s ends with %d", sub, res.StatusCode)
	}
	return r
}

func (r *reader) send(method, address string, form url.Values, headers ...string) (*http.Response, string) {
	r.tb.Helper()
	return r.traced(r.tb.Context(), method, address, form, headers...)
}

// traced is send with a context that may watch the request.
func (r *reader) traced(ctx context.Context, method, address string, form url.Values, headers ...string) (*http.Response, string) {
	r.tb.Helper()
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
	if err != nil {
		r.tb.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := r.client.Do(req)
	if err != nil {
		r.tb.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		r.tb.Fatal(err)
	}
	return res, string(body)
}

func TestAStolenCookieDoesNotWorkOnTheAPIAndAnotherSitesFormChangesNothing(t *testing.T) {
	t.Parallel()
	c := startDemonstration(t)
	r := signedIn(t, c.base, "thandi")
	u, err := url.Parse(c.base + "/account/ui/")
	if err != nil {
		t.Fatal(err)
	}
	var stolen []string
	for _, cookie := range r.client.Jar.Cookies(u) {
		stolen = append(stolen, cookie.Name+"="+cookie.Value)
		if status, _ := c.call("GET", "/account/orgs/"+demoOrg+"/balance", cookie.Value, ""); status != http.StatusUnauthorized {
			t.Errorf("%s as a bearer token is answered %d", cookie.Name, status)
		}
	}
	if status, _ := c.call("GET", "/account/orgs/"+demoOrg+"/balance", "", "", "Cookie", strings.Join(stolen, "; ")); len(stolen) == 0 || status != http.StatusUnauthorized {
		t.Errorf("the API answers %d cookies with %d", len(stolen), status)
	}
	_, page := r.send(http.MethodGet, c.base+"/account/ui"+kalahari+"/controls", nil)
	secret := regexp.MustCompile(`name="form" value="([^"]+)"`).FindStringSubmatch(page)
	form := url.Values{"form": {secret[1]}, "do": {"organisation"}, "organisation": {"1"}}
	if res, _ := r.send(http.MethodPost, c.base+"/account/ui"+kalahari+"/controls", form, "Origin", "https://evil.example"); res.StatusCode != http.StatusForbidden {
		t.Errorf("another site's form is answered %d", res.StatusCode)
	}
	if _, page = r.send(http.MethodGet, c.base+"/account/ui"+kalahari+"/controls", nil); !strings.Contains(page, `value="6000"`) {
		t.Error("another site's form changed the limit")
	}
}

func TestAMemberSeesAndChangesNothingThatIsForAdministrators(t *testing.T) {
	t.Parallel()
	c := startDemonstration(t)
	r := signedIn(t, c.base, "pieter")
	_, page := r.send(http.MethodGet, c.base+"/account/ui"+kalahari+"/controls", nil)
	secret := regexp.MustCompile(`name="form" value="([^"]+)"`).FindStringSubmatch(page)
	for path, form := range map[string]url.Values{
		"/controls": {"do": {"organisation"}, "organisation": {"1"}}, "/teams": {"do": {"archive"}, "team": {"workshop"}},
		"/notifications": {"do": {"alerts"}, "threshold": {"1"}}, "/purchase": {"package": {"credits-100"}, "key": {"k"}}, "/adjust": {"credits": {"5"}, "reason": {"x"}, "key": {"k"}},
	} {
		form.Set("form", secret[1])
		if res, body := r.send(http.MethodPost, c.base+"/account/ui"+kalahari+path, form); res.StatusCode != http.StatusForbidden || strings.Contains(body, "pieter@") {
			t.Errorf("%s is answered %d", path, res.StatusCode)
		}
	}
	for _, path := range []string{"/purchases", "/adjust"} {
		if res, _ := r.send(http.MethodGet, c.base+"/account/ui"+kalahari+path, nil); res.StatusCode != http.StatusForbidden {
			t.Errorf("%s is answered %d", path, res.StatusCode)
		}
	}
}

// BenchmarkPage is one page over HTTP on loopback, for the demonstration's administrator, and how long its first byte takes: the median.
func BenchmarkPage(b *testing.B) {
	base := startDemonstration(b).base
	r := signedIn(b, base, "thandi")
	for _, page := range slices.DeleteFunc(slices.Clone(pagesOfKalahari), func(p string) bool { return strings.Contains(p, "?") }) {
		b.Run(fmt.Sprintf("page%s", page), func(b *testing.B) {
			var body string
			var waits []time.Duration
			for b.Loop() {
				var sent time.Time
				trace := &httptrace.ClientTrace{
					WroteRequest:         func(httptrace.WroteRequestInfo) { sent = time.Now() },
					GotFirstResponseByte: func() { waits = append(waits, time.Since(sent)) },
				}
				_, body = r.traced(httptrace.WithClientTrace(b.Context(), trace), http.MethodGet, base+"/account/ui"+kalahari+page, nil)
			}
			slices.Sort(waits)
			b.ReportMetric(float64(waits[len(waits)/2].Microseconds())/1000, "ms-to-first-byte")
			b.ReportMetric(float64(len(body)), "bytes")
		})
	}
}
