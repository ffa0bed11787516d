package main

import (
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"path"
	"time"

	"github.com/fluxori/ai-credits/shared/serve"
)

// sessionOf finds the checkout session in the answer to a purchase: the last part of its payment page's address.
func sessionOf(answer []byte) (string, error) {
	var started struct {
		CheckoutURL string `json:"checkout_url"`
	}
	if err := json.Unmarshal(answer, &started); err != nil {
		return "", fmt.Errorf("read the purchase: %w", err)
	}
	return path.Base(started.CheckoutURL), nil
}

// place is something to look at.
type place struct{ Name, Where string }

// places lists where everything is.
func (s *system) places() []place {
	var out []place
	for _, f := range serve.Functions() {
		out = append(out, place{"function " + f.Name(), s.base + "/" + f.Name()})
	}
	if s.stripe != nil {
		out = append(out, place{"Stripe's stand-in (controls: POST /_local/stripe/…)", s.base + "/_local/stripe-api"})
	}
	if s.inbox != nil {
		out = append(out, place{"e-mails that were sent", s.base + "/_local/inbox"})
	}
	return append(out,
		place{"the dashboard, for people", s.base + "/account/ui/"},
		place{"sign-in (OpenID Connect)", s.issuerURL()},
		place{"Firestore, project " + project, s.documents},
		place{"Pub/Sub, project " + project, s.messages},
		place{"the system's clock", s.base + "/_local/clock"},
		place{"figures of what happened", s.base + "/_local/metrics"},
	)
}

// welcome says where everything is, and what to try.
func (s *system) welcome(w io.Writer) {
	fmt.Fprintf(w, "AI Credits is running. It is %s for it.\n\n", s.clock.Now().Format("Monday 2 January 2006, 15:04 MST"))
	for _, p := range s.places() {
		fmt.Fprintf(w, "  %-52s %s\n", p.Name, p.Where)
	}
	if s.demonstration != "" {
		fmt.Fprintf(w, "\nThe organisation %s has a history: %s. The promotion code %s gives any organisation 50 credits.\n", demoOrg, s.demonstration, demoCode)
	}
	fmt.Fprintf(w, `
Three commands to try:

  TOKEN=$(curl -s %[1]s/_local/token -d '{"role":"service"}' | sed 's/.*"token":"\([^"]*\)".*/\1/')
  curl -s %[1]s/debit -H "Authorization: Bearer $TOKEN" -d '{"event_id":"try-1","org_id":%[2]q,"feature":"pricing-recommendation"}'
  curl -s %[1]s/_local/clock -d '{"advance":"720h"}'

Ctrl-C stops it.
`, s.base, demoOrg)
	if s.opts.data == "" {
		fmt.Fprintln(w, "Nothing is kept; -data DIR would.")
	}
}

var indexPage = template.Must(template.New("index").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>AI Credits, locally</title>
<style>body{font:16px/1.6 system-ui,sans-serif;max-width:48rem;margin:2rem auto;padding:0 1rem;color:#1c1e21;background:#fff}
dt{margin-top:.8rem;color:#5b6068}dd{margin:0;overflow-wrap:anywhere}a{color:#0b57d0}
@media (prefers-color-scheme: dark){body{color:#e6e6e6;background:#17181a}dt{color:#9aa0a8}a{color:#8ab4f8}}</style>
<h1>AI Credits, locally</h1><p>It is {{.Now}} for the system.</p><dl>{{range .Places}}<dt>{{.Name}}</dt><dd>{{.Where}}</dd>{{end}}</dl>
<p><a href="/_local/inbox">The e-mails that were sent</a></p></html>
`))

// index is the page at /: where everything is.
func (s *system) index(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := indexPage.Execute(w, map[string]any{"Now": s.clock.Now().Format(time.RFC1123), "Places": s.places()}); err != nil {
		s.log.WarnContext(r.Context(), "the index was not written", "error", err)
	}
}
