package account

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"net/http"

	"github.com/fluxori/ai-credits/shared/dashboard"
	"github.com/fluxori/ai-credits/shared/numerals"
	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/problem"
	"github.com/fluxori/ai-credits/shared/request"
)

// returnPage is what somebody sees who comes back from Stripe where no dashboard is served.
var returnPage = template.Must(template.New("returned").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{{.Title}}</title>
<style>body{font:17px/1.6 system-ui,sans-serif;max-width:34rem;margin:4rem auto;padding:0 1rem;color:#1c1e21;background:#fff}
code{font-size:1.05em}@media (prefers-color-scheme: dark){body{color:#e6e6e6;background:#17181a}}</style>
<main><h1>{{.Title}}</h1><p>{{.Text}}</p>{{with .Reference}}<p>Your reference: <code>{{.}}</code></p>{{end}}</main></html>
`))

// returnView fills the page.
type returnView struct {
	Title, Text, Reference string
	status                 int
}

// returned answers the browser of somebody who comes back from the checkout, and does what the webhook would do, if that was not there
// first. Whoever has the session's id was at the checkout: nobody need be signed in, and nothing is told but what they bought.
func (h *handler) returned(w http.ResponseWriter, r *http.Request) error {
	v := h.returnView(r)
	if h.dashboard != nil {
		h.dashboard.Notice(w, r, v.status, dashboard.Notice{
			Title: v.Title, Text: v.Text, Reference: v.Reference, Link: h.dashboard.Home(), LinkText: "Credits Dashboard",
		})
		return nil
	}
	var page bytes.Buffer
	if err := returnPage.Execute(&page, v); err != nil {
		return fmt.Errorf("write the page of a return: %w", err)
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer") // the address holds the session's id
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	w.WriteHeader(v.status)
	if _, err := w.Write(page.Bytes()); err != nil {
		return fmt.Errorf("send the page of a return: %w", err)
	}
	return nil
}

// whileFrozen is for whoever comes back while the system is frozen.
var whileFrozen = returnView{
	"Thank you", "Payments cannot be looked up just now. What you paid is not lost: its credits come by themselves once the service goes on.", "", http.StatusOK,
}

func (h *handler) returnView(r *http.Request) returnView {
	q := r.URL.Query()
	if q.Get("session_id") == "" { // the customer turned back
		return returnView{"Nothing was paid", "You can begin the purchase again whenever you like.", "", http.StatusOK}
	}
	if h.frozen { // looking it up grants it
		return whileFrozen
	}
	p, err := h.receiver.RecoverSession(r.Context(), q.Get("reference"), q.Get("session_id"))
	var no *payments.Error
	switch {
	case errors.As(err, &no) && no.Code() == problem.NotFound:
		status, _ := problem.Status(problem.NotFound)
		return returnView{"There is no such purchase", "Please check the address.", "", status}
	case err != nil:
		request.Logger(r.Context()).WarnContext(r.Context(), "a purchase was not looked up on return", "error", err)
		return returnView{"Thank you", "Your payment could not be looked up just now. Your credits come by themselves, within 15 minutes of your payment.", "", http.StatusOK}
	}
	return viewOf(p)
}

func viewOf(p payments.Purchase) returnView {
	v := returnView{Reference: p.Reference, status: http.StatusOK}
	switch {
	case p.Grant != "":
		v.Title, v.Text = "Thank you", fmt.Sprintf("Your payment has arrived. You bought %s credits, and they are there to use.", numerals.Whole(p.Credits))
	case p.Status == payments.Failed || p.Status == payments.Expired:
		v.Title, v.Text = "Nothing was paid", "The payment did not go through. You can begin the purchase again whenever you like."
	default:
		v.Title, v.Text = "Thank you", fmt.Sprintf("Your payment is on its way. Your %s credits come by themselves as soon as it arrives.", numerals.Whole(p.Credits))
	}
	return v
}
