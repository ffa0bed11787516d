package account

import (
	"fmt"
	"html/template"
	"net/http"

	"github.com/fluxori/ai-credits/shared/notify"
	"github.com/fluxori/ai-credits/shared/orgs"
)

// unsubscribeHTML is the page that a mail's link leads to. To open it changes nothing, since programs open links too; the button, or the POST of a
// mail program (RFC 8058), does.
var unsubscribeHTML = template.Must(template.New("unsubscribe").Parse(`<!doctype html>
<html lang="en-ZA">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>E-mails about AI credits</title>
</head>
<body>
<main>
<h1>E-mails about AI credits</h1>
{{if not .Done}}<p>Should this address get no more e-mails about {{.Topic}} of {{.Org}}? The dashboard goes on to show them.</p>
<form method="post"><button type="submit">Get no more of these</button></form>
{{else if .Out}}<p>This address gets no more e-mails about {{.Topic}} of {{.Org}}.</p>
<form method="post" action="?token={{.Token}}&amp;undo=1"><button type="submit">Undo</button></form>
{{else}}<p>This address gets e-mails about {{.Topic}} of {{.Org}} again.</p>
{{end}}</main>
</body>
</html>
`))

// topicWords are the topics as people call them.
func topicWords(t orgs.Topic) string {
	switch t {
	case orgs.TopicBalance:
		return "the balance"
	case orgs.TopicExpiry:
		return "credits that lapse"
	case orgs.TopicLimits:
		return "limits"
	case orgs.TopicRequests:
		return "requests for higher limits"
	case orgs.TopicPayments:
	}
	return "payments"
}

// unsubscribeView is what the page shows.
type unsubscribeView struct {
	Org, Topic, Token string
	Done, Out         bool
}

func (h *handler) unsubscribePage(w http.ResponseWriter, r *http.Request) error {
	return h.showUnsubscribe(w, r, func(notify.Choice) (done, out bool, err error) { return false, false, nil })
}

func (h *handler) unsubscribe(w http.ResponseWriter, r *http.Request) error {
	return h.showUnsubscribe(w, r, func(c notify.Choice) (done, out bool, err error) {
		out = r.URL.Query().Get("undo") == ""
		return true, out, h.optOuts.Set(r.Context(), c, out)
	})
}

func (h *handler) showUnsubscribe(w http.ResponseWriter, r *http.Request, act func(notify.Choice) (done, out bool, err error)) error {
	token := r.URL.Query().Get("token")
	c, err := h.optOuts.Read(r.Context(), token)
	if err != nil {
		return err
	}
	done, out, err := act(c)
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	header.Set("Referrer-Policy", "no-referrer") // the address bar holds the token
	header.Set("Cache-Control", "no-store")
	if err := unsubscribeHTML.Execute(w, unsubscribeView{Org: c.Org, Topic: topicWords(c.Topic), Token: token, Done: done, Out: out}); err != nil {
		return fmt.Errorf("write the page of %s: %w", c.Org, err)
	}
	return nil
}
