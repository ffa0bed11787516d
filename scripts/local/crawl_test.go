package main

import (
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// crawlMax bounds how many pages of one person are looked at.
const crawlMax = 300

// found is what a page leads to.
type found struct {
	links, loads []string
	forms        []form
}

// form is one of a page's forms with its fields, and the buttons that send it.
type form struct {
	method, action string
	fields         []input
	buttons        []input
}

// input is a field or a button. A field with options holds one of them.
type input struct {
	kind, name, value string
	required, checked bool
	options           []string
}

// readPage finds what a page leads to. Its language is HTML as these pages write it: every element is closed but those that hold nothing.
func readPage(page string) (found, error) {
	d := xml.NewDecoder(strings.NewReader(page))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	var out found
	var open *form
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return found{}, err
		}
		if end, ok := token.(xml.EndElement); ok && end.Name.Local == "form" {
			out.forms, open = append(out.forms, *open), nil
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		has := map[string]string{}
		for _, a := range e.Attr {
			has[a.Name.Local] = a.Value
		}
		_, required := has["required"]
		_, checked := has["checked"]
		one := input{kind: cmp.Or(has["type"], e.Name.Local), name: has["name"], value: has["value"], required: required, checked: checked}
		switch e.Name.Local {
		case "a":
			out.links = append(out.links, has["href"])
		case "link", "script":
			out.loads = append(out.loads, cmp.Or(has["href"], has["src"]))
		case "form":
			open = &form{method: strings.ToUpper(cmp.Or(has["method"], "get")), action: has["action"]}
		case "input", "textarea", "select":
			open.fields = append(open.fields, one)
		case "option":
			last := &open.fields[len(open.fields)-1]
			last.options = append(last.options, has["value"])
		case "button":
			if open != nil {
				open.buttons = append(open.buttons, one)
			}
		}
	}
}

// values are what a person would send who fills in every field, or none.
func (f form) values(button input, filled bool) url.Values {
	out := url.Values{}
	if button.name != "" {
		out.Set(button.name, button.value)
	}
	for _, in := range f.fields {
		value := in.value
		switch {
		case in.kind == "hidden":
		case !filled && (in.kind == "checkbox" || in.kind == "radio"):
			continue
		case !filled:
			value = ""
		case in.kind == "radio" && !in.checked:
			continue
		case in.kind == "select":
			value = in.options[len(in.options)-1]
		case in.kind == "number" && value == "":
			value = "60"
		case in.kind == "email":
			value = "thandi@kalahari-crafts.example"
		case in.name == "cap":
			value = "1 299,00"
		case value == "":
			value = "Something " + in.name
		}
		out.Add(in.name, value)
	}
	return out
}

// crawler follows every link and sends every form that one person is shown.
type crawler struct {
	*reader
	who     string
	base    string
	waiting []string
	pages   map[string]bool
	forms   map[string]bool
	assets  map[string]int
}

// unnamed is what differs from one subject to the next in an address.
var unnamed = regexp.MustCompile(`CR-[0-9A-Z-]+|[cs]_[0-9a-f]{16,}|after=[^&]+`)

// TestEveryLinkAndFormOfTheDashboardIsAnswered follows all links that an administrator, a member, support and the platform see, weighs each page
// with all that it loads, and sends each form: as it stands, filled in, with nothing filled in, and without the session's secret.
func TestEveryLinkAndFormOfTheDashboardIsAnswered(t *testing.T) {
	t.Parallel()
	for who, least := range map[string]struct{ pages, forms int }{"thandi": {22, 22}, "pieter": {15, 4}, "sam": {26, 8}, "pat": {24, 6}} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			client := startDemonstration(t)
			client.leaveTraces()
			c := &crawler{
				reader: signedIn(t, client.base, who), who: who, base: client.base, pages: map[string]bool{}, forms: map[string]bool{}, assets: map[string]int{},
				waiting: []string{"/account/ui/", "/account/ui" + kalahari},
			}
			for len(c.waiting) > 0 && len(c.pages) < crawlMax {
				at := c.waiting[0]
				c.waiting = c.waiting[1:]
				if key := unnamed.ReplaceAllString(at, "*"); !c.pages[key] {
					c.pages[key] = true
					c.visit(at)
				}
			}
			if len(c.pages) < least.pages || len(c.pages) >= crawlMax || len(c.forms) < least.forms {
				t.Errorf("%d pages and %d forms were seen, want %d and %d", len(c.pages), len(c.forms), least.pages, least.forms)
			}
		})
	}
}

// leaveTraces has something wait on every page: a refusal, a request for more, a purchase that is not paid, a message that cannot be charged.
func (c *client) leaveTraces() {
	c.t.Helper()
	admin := c.token(`{"role":"admin","org_id":"` + demoOrg + `","user_id":"thandi"}`)
	member := c.token(`{"role":"member","org_id":"` + demoOrg + `","user_id":"pieter"}`)
	c.must("PUT", "/account/orgs/"+demoOrg+"/limits/users/pieter", admin, `{"credits":10}`)
	c.call("POST", "/debit", c.token(`{"role":"service"}`), `{"event_id":"blocked-1","org_id":"`+demoOrg+`","user_id":"pieter","feature":"bulk-pricing"}`)
	c.must("POST", "/account/orgs/"+demoOrg+"/limit-requests", member, `{"scope":"user","credits":60,"reason":"The daily report"}`)
	c.must("POST", "/account/orgs/"+demoOrg+"/purchases", admin, `{"package":"credits-100"}`, "Idempotency-Key", "left-open")
	c.must("POST", "/_local/publish/ai-usage", "", `{"event_id":"p1","org_id":"`+demoOrg+`","feature":"alchemy"}`)
	c.eventually("the message is put aside", func() bool {
		items, _ := c.must("GET", "/account/operations/dead-letters", c.token(`{"role":"platform"}`), "")["items"].([]any)
		return len(items) == 1
	})
}

// visit reads a page, notes where it leads, and sends its forms.
func (c *crawler) visit(at string) {
	c.tb.Helper()
	res, body := c.send(http.MethodGet, c.base+at, nil)
	if res.StatusCode != http.StatusOK {
		c.tb.Errorf("%s: %s is answered %d", c.who, at, res.StatusCode)
		return
	}
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") || !strings.HasPrefix(res.Request.URL.Path, "/account/ui/") {
		return // an export, or Stripe's page
	}
	page, err := readPage(body)
	if err != nil {
		c.tb.Errorf("%s: %s: %v", c.who, at, err)
		return
	}
	weight := len(body)
	for _, asset := range page.loads {
		weight += c.weigh(asset)
	}
	if weight > pageMax {
		c.tb.Errorf("%s: %s has %d bytes", c.who, at, weight)
	}
	here := res.Request.URL
	for _, to := range page.links {
		u, err := here.Parse(to)
		if err != nil {
			c.tb.Errorf("%s: %s leads to %q: %v", c.who, at, to, err)
			continue
		}
		if u.Host == here.Host && strings.HasPrefix(u.Path, "/account/ui") {
			c.waiting = append(c.waiting, u.RequestURI())
		}
	}
	for _, f := range page.forms {
		for _, button := range f.buttons {
			c.fill(here, f, button)
		}
	}
}

// weigh is how many bytes an asset has.
func (c *crawler) weigh(path string) int {
	c.tb.Helper()
	if strings.HasPrefix(path, "data:") {
		return 0
	}
	if _, ok := c.assets[path]; !ok {
		res, body := c.send(http.MethodGet, c.base+path, nil)
		if res.StatusCode != http.StatusOK {
			c.tb.Errorf("%s is answered %d", path, res.StatusCode)
		}
		c.assets[path] = len(body)
	}
	return c.assets[path]
}

// fill sends a form once for each page that has it and each of its buttons; signing out would end the walk, and is left.
func (c *crawler) fill(here *url.URL, f form, button input) {
	c.tb.Helper()
	to, err := here.Parse(f.action)
	if err != nil {
		c.tb.Fatal(err)
	}
	var names []string
	for _, in := range f.fields {
		names = append(names, in.name)
	}
	key := fmt.Sprint(f.method, " ", unnamed.ReplaceAllString(to.Path, "*"), " ", button.name, "=", button.value, names)
	if c.forms[key] || strings.HasSuffix(to.Path, "/signout") {
		return
	}
	c.forms[key] = true
	if f.method == http.MethodGet {
		to.RawQuery = f.values(button, true).Encode()
		c.answered(key, http.MethodGet, to.String(), nil, http.StatusNotFound)
		return
	}
	stolen := f.values(button, true)
	stolen.Set("form", "guessed")
	if res, _ := c.send(http.MethodPost, to.String(), stolen); res.StatusCode != http.StatusForbidden {
		c.tb.Errorf("%s: %s without the session's secret is answered %d", c.who, key, res.StatusCode)
	}
	for _, filled := range []bool{false, true} {
		c.answered(key, http.MethodPost, to.String(), f.values(button, filled), http.StatusBadRequest, http.StatusPaymentRequired, http.StatusNotFound, http.StatusConflict,
			http.StatusUnprocessableEntity, http.StatusTooManyRequests)
	}
}

// answered checks that what was sent either did something or is told why it did not; that it is not allowed is no reason for a form that is shown.
func (c *crawler) answered(key, method, to string, form url.Values, refusals ...int) {
	c.tb.Helper()
	res, body := c.send(method, to, form)
	told := strings.Contains(body, `role="alert"`)
	if res.StatusCode != http.StatusOK && (!slices.Contains(refusals, res.StatusCode) || !told) {
		c.tb.Errorf("%s: %s %v is answered %d, with a reason: %t\n%s", c.who, key, form, res.StatusCode, told, body)
	}
}
