package dashboard

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/fluxori/ai-credits/shared/request"
)

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed style.css
var styleSheet []byte

//go:embed live.js
var script []byte

// pages are the templates by the page's name.
type pages map[string]*template.Template

// loadPages reads the templates: each page fills the layout.
func loadPages() (pages, error) {
	names, err := fs.Glob(pageFiles, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("dashboard: list the pages: %w", err)
	}
	out := pages{}
	for _, name := range names {
		if name == "pages/layout.html" {
			continue
		}
		t, err := template.ParseFS(pageFiles, "pages/layout.html", name)
		if err != nil {
			return nil, fmt.Errorf("dashboard: read %s: %w", name, err)
		}
		out[strings.TrimSuffix(path.Base(name), ".html")] = t
	}
	return out, nil
}

// asset is a file that pages load. Its name changes with what is in it, so that browsers may keep it.
type asset struct {
	name, kind string
	body       []byte
}

func newAsset(name, ending, kind string, body []byte) asset {
	sum := sha256.Sum256(body)
	return asset{name + "-" + hex.EncodeToString(sum[:6]) + ending, kind, body}
}

func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	if _, err := w.Write(a.body); err != nil {
		request.Logger(r.Context()).WarnContext(r.Context(), "a file was not sent", slog.String("file", a.name), slog.Any("error", err))
	}
}

// screen is what a template is filled with.
type screen struct {
	*visit
	Title string
	Data  any
}

// render shows the page's template.
func (v *visit) render(title string, data any) error {
	var body bytes.Buffer
	if err := v.d.pages[v.page.name].ExecuteTemplate(&body, "layout", screen{visit: v, Title: title, Data: data}); err != nil {
		return fmt.Errorf("write the page %s: %w", v.page.name, err)
	}
	send(v.w, v.r, v.status, body.Bytes())
	return nil
}

func send(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		request.Logger(r.Context()).WarnContext(r.Context(), "a page was not sent", slog.Any("error", err))
	}
}

// Notice is a page of a few words, for whoever is not signed in too.
type Notice struct {
	Title, Text string
	// Reference is a purchase's, or empty.
	Reference string
	// Link leads on, if it is not empty.
	Link, LinkText string
	// repeat is a form that may have done what it asks for, to be sent again as it was; or empty.
	repeat url.Values
}

// Repeat is for templates.
func (n Notice) Repeat() url.Values { return n.repeat }

// Notice answers with a page of a few words.
func (d *Dashboard) Notice(w http.ResponseWriter, r *http.Request, status int, n Notice) {
	w.Header().Set("Content-Security-Policy", d.policy)
	var body bytes.Buffer
	v := &visit{d: d, w: w, r: r, page: page{name: "notice"}}
	if err := d.pages["notice"].ExecuteTemplate(&body, "layout", screen{visit: v, Title: n.Title, Data: n}); err != nil {
		request.Logger(r.Context()).ErrorContext(r.Context(), "a notice was not written", slog.Any("error", err))
		http.Error(w, n.Title, status)
		return
	}
	send(w, r, status, body.Bytes())
}

// Home is the address of the pages of somebody's organisations.
func (d *Dashboard) Home() string { return d.base + "/" }

// The following are for templates.

// Base is what the addresses of pages begin with.
func (v *visit) Base() string { return v.d.base }

// Style is the address of the style sheet, Script that of the script.
func (v *visit) Style() string  { return v.d.base + "/" + v.d.styleSheet.name }
func (v *visit) Script() string { return v.d.base + "/" + v.d.script.name }

// Form is the secret that every form carries.
func (v *visit) Form() string { return v.session.Form }

// Key is a fresh key under which a form moves credits or money.
func (v *visit) Key() string { return secretText() }

// Name is who has signed in, or empty.
func (v *visit) Name() string { return v.session.Name }

// Support reports whether the person is of Fluxori's support.
func (v *visit) Support() bool { return v.session.Support }

// Staff reports whether the person is of Fluxori's support or platform.
func (v *visit) Staff() bool { return v.session.Support || v.session.Platform }

// Admin reports whether the person is an administrator of the organisation.
func (v *visit) Admin() bool { return v.is("admin") }

// Reads reports whether the person may see what all of the organisation does.
func (v *visit) Reads() bool { return v.is("admin", "support", "platform") }

// Belongs reports whether the person is a member of the organisation, or an administrator.
func (v *visit) Belongs() bool { return v.is("member", "admin") }

// Page is the page's name.
func (v *visit) Page() string { return v.page.name }

// Home is the address of the organisation's pages.
func (v *visit) Home() string { return v.d.base + "/orgs/" + v.org }

// Done says what the change before did, or nothing.
func (v *visit) Done() string { return doneTexts[v.r.URL.Query().Get("done")] }

// SupportAddress is where to write to, or empty.
func (v *visit) SupportAddress() string { return v.d.opts.SupportAddress }

// doneTexts say what a change did. Only these can be said, whatever an address holds.
var doneTexts = map[string]string{
	"limits":   "The limits are saved.",
	"alerts":   "The alert settings are saved.",
	"read":     "Marked as read.",
	"asked":    "Your request has been sent to your administrators.",
	"granted":  "The limit is raised, and the member is told.",
	"declined": "The request is declined, and the member is told.",
	"team":     "The team is saved.",
	"archived": "The team is archived.",
	"moved":    "The member is moved.",
	"redeemed": "The code is redeemed. Its credits are there, or come with your first purchase, as the code says.",
	"topup":    "Auto top-up is saved.",
	"plan":     "The change of plan is taken. It is shown here as soon as Stripe has told us.",
	"replayed": "It is handled once more.",
	"resolved": "It is noted as resolved.",
	"claimed":  "Your referral is noted. Both sides get their credits with your first purchase.",
	"checked":  "We have asked Stripe. What it said is shown below.",
	"refunded": "The refund is made.",
	"adjusted": "The credits are adjusted.",
}

// Sub is who has signed in, as the issuer knows the person.
func (v *visit) Sub() string { return v.session.Sub }

// rows are entries with the page that lists them, and what their people are called; without names nobody is named.
type rows struct {
	Screen  *visit
	Entries []entry
	names   map[string]string
}

// Rows lists entries.
func (v *visit) Rows(entries []entry, names map[string]string) rows { return rows{v, entries, names} }

// Called is what the person is called who an entry is of, or empty.
func (r rows) Called(id string) string {
	if r.names == nil {
		return ""
	}
	return cmp.Or(r.names[id], id)
}

// bound is a limit with who is bound by it.
type bound struct {
	Screen *visit
	Use    limitUse
	Name   string
	Share  int64
	Left   string
}

// Bound shows a limit.
func (v *visit) Bound(use any, name string) bound {
	out := bound{Screen: v, Name: name}
	switch u := use.(type) {
	case limitUse:
		out.Use = u
	case *limitUse:
		out.Use = *u
	}
	if out.Use.Limit != nil {
		out.Share = v.Share(out.Use.Used, out.Use.Limit.Credits)
	}
	if out.Use.Left != nil {
		out.Left = v.Credits(*out.Use.Left)
	}
	return out
}

// state is a purchase's status for people.
type state struct{ Text, Tone string }

// State is how a purchase stands.
func (v *visit) State(p purchase) state {
	switch {
	case p.Status == "created":
		return state{"Waiting for payment", "warn"}
	case p.Status == "paid" && p.GrantID == "":
		return state{"Paid, being credited", "warn"}
	case p.Status == "paid":
		return state{"Paid", "good"}
	}
	return state{v.Words(p.Status), ""}
}
