package notify

import (
	"embed"
	"fmt"
	htmltemplate "html/template"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/fluxori/ai-credits/shared/coded"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/orgs"
)

//go:embed templates
var files embed.FS

// nbsp keeps a number's groups, and a number and its unit, on one line. It is how South African English separates thousands.
const nbsp = "\u00a0"

// templates render alerts.
type templates struct {
	texts *template.Template     // alerts.tmpl and mail.txt.tmpl
	html  *htmltemplate.Template // mail.html.tmpl
}

// facts are what the texts may say.
type facts struct {
	Org                      string
	Credits, Held, Threshold int64
	Reason                   string        // such as "refund of purchase CR-7F3K-9QX2"
	ExpiresAt                time.Time     // in the organisation's zone
	Request                  *request      // of an alert about a limit request
	Limit                    *events.Limit // of a notice of a limit
	Cycle                    *events.Cycle // of a cycle's statement, or of a renewal that did not come
}

// page is what a mail is made of.
type page struct {
	Org, Title, Text, Link string
	// Leave is the link by which the address gets no more of these mails.
	Leave string
	// Personal says that it is for one member, and not for the administrators; Contact that it is for the billing contact too.
	Personal, Contact bool
}

// written is an alert in words.
type written struct {
	title, text string
	kind        orgs.KindRow
}

func parseTemplates() (*templates, error) {
	funcs := template.FuncMap{"number": number, "credits": credits, "lapse": lapse, "day": day, "clock": clock}
	texts, err := template.New("texts").Funcs(funcs).Option("missingkey=error").ParseFS(files, "templates/alerts.tmpl", "templates/mail.txt.tmpl")
	if err != nil {
		return nil, fmt.Errorf("parse texts: %w", err)
	}
	html, err := htmltemplate.ParseFS(files, "templates/mail.html.tmpl")
	if err != nil {
		return nil, fmt.Errorf("parse mail.html: %w", err)
	}
	return &templates{texts: texts, html: html}, nil
}

// write puts an alert in words that may be kept. A kind without words is an *Error, `invalid_request`.
func (t *templates) write(e events.Credit, o orgs.Org) (written, error) {
	return t.writeAbout(e, o, "")
}

// writeAbout is write with the name of the member whom the alert is about, and with what was written by people.
func (t *templates) writeAbout(e events.Credit, o orgs.Org, name string) (written, error) {
	title, text := string(e.Type)+".title", string(e.Type)+".text"
	asks := e.Type == events.LimitRequested || e.Type == events.LimitRequestGranted || e.Type == events.LimitRequestDeclined
	limits := e.Type == credit.EventLimit || e.Type == credit.EventLimitFull
	cycles := e.Type == events.CycleClosed || e.Type == events.RenewalMissing
	kind, known := orgs.KindOf(e.Type)
	if !known || t.texts.Lookup(title) == nil || t.texts.Lookup(text) == nil || asks != (e.LimitRequest != nil) || limits != (e.Limit != nil) || cycles != (e.Cycle != nil) {
		return written{}, &Error{coded.Reason{Is: "invalid_request", Says: fmt.Sprintf("There are no words for an alert of the kind %q.", e.Type)}}
	}
	f := facts{Org: o.Name, Credits: e.Credits, Held: e.Balance.Held, Reason: e.Reason, Request: readRequest(e, name)}
	if e.Threshold != nil {
		f.Threshold = *e.Threshold
	}
	zone, err := time.LoadLocation(o.Zone)
	if err != nil {
		zone = time.UTC // of an organisation whose zone this machine does not know
	}
	if e.ExpiresAt != nil {
		f.ExpiresAt = e.ExpiresAt.In(zone)
	}
	if e.Cycle != nil {
		cycle := *e.Cycle
		cycle.Start, cycle.End = cycle.Start.In(zone), cycle.End.In(zone)
		f.Cycle = &cycle
	}
	if e.Limit != nil {
		limit := *e.Limit
		limit.ResetsAt = limit.ResetsAt.In(zone)
		f.Limit = &limit
	}
	w := written{kind: kind}
	if w.title, err = t.text(title, f); err != nil {
		return written{}, err
	}
	w.text, err = t.text(text, f)
	return w, err
}

// mail makes the two bodies of an alert's e-mail.
func (t *templates) mail(w written, o orgs.Org, link, leave string) (plain, html string, err error) {
	p := page{Org: o.Name, Title: w.title, Text: w.text, Link: link, Leave: leave, Personal: w.kind.Personal, Contact: o.Alerts.TellsContact(w.kind)}
	if plain, err = t.text("mail.txt.tmpl", p); err != nil {
		return "", "", err
	}
	var b strings.Builder
	if err := t.html.Execute(&b, p); err != nil {
		return "", "", fmt.Errorf("render mail.html: %w", err)
	}
	return plain, b.String(), nil
}

func (t *templates) text(name string, data any) (string, error) {
	var b strings.Builder
	if err := t.texts.ExecuteTemplate(&b, name, data); err != nil {
		return "", fmt.Errorf("render %s: %w", name, err)
	}
	return b.String(), nil
}

// number writes a whole number as South African English does: 12 345.
func number(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteString(nbsp)
		}
		b.WriteRune(d)
	}
	return sign + b.String()
}

// credits writes an amount of credits.
func credits(n int64) string {
	if n == 1 {
		return number(n) + nbsp + "AI credit"
	}
	return number(n) + nbsp + "AI credits"
}

func lapse(n int64) string {
	if n == 1 {
		return "lapses"
	}
	return "lapse"
}

func day(t time.Time) string { return t.Format("2" + nbsp + "January" + nbsp + "2006") }

func clock(t time.Time) string { return t.Format("15:04") }
