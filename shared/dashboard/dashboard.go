// Package dashboard is the pages in which people see and steer their organisation's credits, and support its customers' purchases.
//
// The pages are a client of the account API: each asks and changes through it, in this process, with the ID token of whoever has signed in. So a
// page can show and do nothing that its person could not over the API, and who may do what is decided there alone.
//
// Invariants: the session is in a cookie that is sealed, that scripts and other sites cannot use, and that the API does not take; a page changes
// something only for a form that carries the session's own secret and that comes from these pages; every page works without a script, none is
// written into a page, and nothing is loaded from elsewhere; money moves under a key that the form has carried since it was shown, so that sending it twice is once. Sealed cookies cannot be
// called back: a session that is signed out is gone from its browser, and a copy of it is good until its ID token ends.
//
// Tokens and cookies are dated by the machine's clock, what is shown by the system's. The package does not own roles, rules or figures (the
// API), nor the people (the issuer).
package dashboard

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/fluxori/ai-credits/shared/identity"
	"github.com/fluxori/ai-credits/shared/problem"
)

// Options say what the pages stand on.
type Options struct {
	// URL is where people find the pages: an https address, or one on loopback, that ends in /ui/.
	URL string
	// API answers the account API's paths, such as /orgs/acme/balance, to the bearer of an ID token.
	API http.Handler
	// People knows the bearers of ID tokens as the API does.
	People *identity.People
	// Issuer is the OpenID Connect issuer; ClientID and ClientSecret are the pages' at it. A public client has no secret.
	Issuer, ClientID, ClientSecret string
	// Keys seal the cookies.
	Keys Keys
	// FrameOrigin is the one other origin that may frame the pages, or empty.
	FrameOrigin string
	// SupportAddress is the e-mail address that people are told to write to, or empty.
	SupportAddress string
	// Now is the system's clock. MachineNow is that of tokens and cookies; nil means time.Now.
	Now, MachineNow func() time.Time
	// Client asks the issuer. Nil means http.DefaultClient.
	Client *http.Client
}

// Dashboard serves the pages.
type Dashboard struct {
	opts   Options
	url    string // without the slash at its end
	base   string // the path of url
	secure bool
	policy string

	issuer            *signer
	sessions, signIns *sealer
	pages             pages
	styleSheet,
	script asset
	crossOrigin *http.CrossOriginProtection
	mux         *http.ServeMux
}

// New returns a Dashboard. An error says what is wrong with the options.
func New(o Options) (*Dashboard, error) {
	if o.MachineNow == nil {
		o.MachineNow = time.Now
	}
	if o.Client == nil {
		o.Client = http.DefaultClient
	}
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, fmt.Errorf("dashboard: %w", err)
	}
	if u.Host == "" || !strings.HasSuffix(u.Path, "/ui/") || u.RawQuery != "" || u.Fragment != "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, fmt.Errorf("dashboard: the address %q is not that of the pages, which ends in /ui/", o.URL)
	}
	if o.API == nil || o.People == nil || o.Now == nil || o.Issuer == "" || o.ClientID == "" {
		return nil, errors.New("dashboard: the API, the people, the clock, the issuer and the client id are required")
	}
	d := &Dashboard{
		opts: o, url: strings.TrimSuffix(o.URL, "/"), base: strings.TrimSuffix(u.Path, "/"), secure: u.Scheme == "https",
		issuer: &signer{client: o.Client, url: o.Issuer}, crossOrigin: http.NewCrossOriginProtection(), mux: http.NewServeMux(),
	}
	if d.policy, err = policy(o); err != nil {
		return nil, err
	}
	if d.sessions, err = newSealer(o.Keys, "session"); err != nil {
		return nil, fmt.Errorf("dashboard: %w", err)
	}
	if d.signIns, err = newSealer(o.Keys, "signin"); err != nil {
		return nil, fmt.Errorf("dashboard: %w", err)
	}
	if d.pages, err = loadPages(); err != nil {
		return nil, err
	}
	d.styleSheet, d.script = newAsset("style", ".css", "text/css; charset=utf-8", styleSheet), newAsset("live", ".js", "text/javascript; charset=utf-8", script)
	d.routes()
	return d, nil
}

// policy is the pages' content security policy. Forms may lead to the issuer, which signs people out, and to Stripe, where they pay.
func policy(o Options) (string, error) {
	i, err := url.Parse(o.Issuer)
	if err != nil {
		return "", fmt.Errorf("dashboard: issuer: %w", err)
	}
	ancestors := "'none'"
	if o.FrameOrigin != "" {
		f, err := url.Parse(o.FrameOrigin)
		if err != nil || f.Host == "" || f.Scheme+"://"+f.Host != o.FrameOrigin {
			return "", fmt.Errorf("dashboard: %q is not an origin", o.FrameOrigin)
		}
		ancestors = o.FrameOrigin
	}
	return "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'self' https://checkout.stripe.com https://billing.stripe.com " +
		i.Scheme + "://" + i.Host + "; frame-ancestors " + ancestors, nil
}

// routes are all pages. Whoever is not signed in is sent to the sign-in from every page of an organisation or of support.
func (d *Dashboard) routes() {
	d.mux.HandleFunc("GET /ui", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, d.base+"/", http.StatusSeeOther) })
	for _, a := range []asset{d.styleSheet, d.script} {
		d.mux.HandleFunc("GET /ui/"+a.name, a.serve)
	}
	d.mux.HandleFunc("GET /ui/signin", d.beginSignIn)
	d.mux.HandleFunc("GET /ui/callback", d.endSignIn)
	d.mux.HandleFunc("GET /ui/signedout", d.signedOut)
	d.mux.HandleFunc("GET /ui/{$}", d.home)
	d.mux.HandleFunc("GET /ui/", func(w http.ResponseWriter, r *http.Request) {
		d.Notice(w, r, statusOf(problem.NotFound), Notice{Title: "There is no such page", Text: "Please check the address.", Link: d.base + "/", LinkText: "Your organisations"})
	})
	for _, p := range pageTable() {
		if p.show != nil {
			d.mux.HandleFunc("GET /ui"+p.path, d.visit(p, p.show))
		}
		if p.change != nil {
			d.mux.HandleFunc("POST /ui"+p.path, d.visit(p, p.change))
		}
	}
}

// ServeHTTP answers paths that begin with /ui.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", d.policy)
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()")
	if d.opts.FrameOrigin != "" {
		h.Del("X-Frame-Options") // which knows no origins; the policy above says who may
	}
	if err := d.crossOrigin.Check(r); err != nil {
		d.Notice(w, r, statusOf(problem.Forbidden), Notice{Title: "Nothing was changed", Text: "This form was not sent from these pages.", Link: d.base + "/", LinkText: "Your organisations"})
		return
	}
	d.mux.ServeHTTP(w, r)
}

// home leads to the person's organisation, or lists them.
func (d *Dashboard) home(w http.ResponseWriter, r *http.Request) {
	if _, ok := d.current(r); !ok {
		d.Notice(w, r, http.StatusOK, Notice{Title: "Credits Dashboard", Text: "Sign in to see your organisation's AI credits.", Link: d.base + "/signin", LinkText: "Sign in"})
		return
	}
	d.visit(page{name: "home"}, (*visit).home)(w, r)
}

func (d *Dashboard) signedOut(w http.ResponseWriter, r *http.Request) {
	d.Notice(w, r, http.StatusOK, Notice{Title: "You are signed out", Text: "Close the browser if others use it too.", Link: d.base + "/signin", LinkText: "Sign in again"})
}
