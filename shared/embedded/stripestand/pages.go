package stripestand

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"
)

//go:embed pages/*.html
var pageFiles embed.FS

var pageTemplates = template.Must(template.ParseFS(pageFiles, "pages/*.html"))

// pageRow is a row of a table of amounts.
type pageRow struct{ Name, Detail, Amount, URL string }

// pageChoice is an option of a select element.
type pageChoice struct{ Value, Label string }

type payPage struct {
	Title, Heading, Total          string
	Items, Sums                    []pageRow
	Email, Declined, Cancel        string
	AskEmail, AskCard, CanPayLater bool
	AskCode                        bool
	Cards                          []pageChoice
}

type messagePage struct{ Title, Text, Back string }

type invoicePage struct {
	Title, Number, Total, Status, Due string
	Items, Sums                       []pageRow
}

var savableCards = []pageChoice{
	{string(CardVisa), "Visa 4242 – is accepted"},
	{string(CardMastercard), "Mastercard 4444 – is accepted"},
	{string(CardFailsLater), "Visa 0341 – can be saved, later charges are declined"},
	{string(CardAuthentication), "Visa 3184 – later charges ask for authentication"},
}

// checkoutCards are the cards of the payment page: those that can be saved but
// fail when charged are for the portal.
var checkoutCards = []pageChoice{savableCards[0], savableCards[1], savableCards[3]}

func (s *Stand) mountPages(mux *http.ServeMux) {
	mux.HandleFunc("GET /pay/{id}", s.showPay)
	mux.HandleFunc("POST /pay/{id}", s.submitPay)
	mux.HandleFunc("GET /pay/invoice/{id}", s.showInvoice)
	mux.HandleFunc("GET /receipt/{id}", s.showReceipt)
	mux.HandleFunc("GET /portal/{id}", s.showPortal)
	mux.HandleFunc("POST /portal/{id}", s.submitPortal)
}

// money formats an amount in minor units: "ZAR 1 234.50".
func money(amount int64, currency string) string {
	sign := ""
	if amount < 0 {
		sign, amount = "−", -amount
	}
	decimals := int64(100)
	if zeroDecimal[currency] {
		decimals = 1
	}
	whole := fmt.Sprint(amount / decimals)
	var grouped strings.Builder
	for i, digit := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			grouped.WriteRune('\u00a0')
		}
		grouped.WriteRune(digit)
	}
	out := sign + strings.ToUpper(currency) + "\u00a0" + grouped.String()
	if decimals > 1 {
		out += fmt.Sprintf(".%02d", amount%decimals)
	}
	return out
}

// zeroDecimal lists the currencies that Stripe counts without decimals.
var zeroDecimal = map[string]bool{
	"bif": true, "clp": true, "djf": true, "gnf": true, "jpy": true, "kmf": true, "krw": true, "mga": true, "pyg": true,
	"rwf": true, "ugx": true, "vnd": true, "vuv": true, "xaf": true, "xof": true, "xpf": true,
}

func render(w http.ResponseWriter, status int, name string, data any) {
	var body bytes.Buffer
	if err := pageTemplates.ExecuteTemplate(&body, name, data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(body.Bytes())
}

func renderProblem(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var e *apiError
	if errors.As(err, &e) {
		status = http.StatusNotFound
	}
	render(w, status, "message", messagePage{Title: "That did not work", Text: sentence(err)})
}

// sentence is what a page says of an error.
func sentence(err error) string {
	var e *apiError
	if errors.As(err, &e) {
		return e.Message
	}
	return err.Error()
}

func (s *Stand) showPay(w http.ResponseWriter, r *http.Request) {
	var page payPage
	var closed *messagePage
	err := s.read(func(o *op) error {
		c, err := o.session(r.PathValue("id"), "id")
		if err != nil {
			return err
		}
		if c.Status != sessionOpen {
			closed = &messagePage{Title: "This page is closed", Text: "The payment is " + c.Status + ".", Back: string(c.CancelURL)}
			return nil
		}
		page = newPayPage(c)
		return nil
	})
	switch {
	case err != nil:
		renderProblem(w, err)
	case closed != nil:
		render(w, http.StatusOK, "message", *closed)
	default:
		render(w, http.StatusOK, "pay", page)
	}
}

func newPayPage(c *session) payPage {
	page := payPage{
		Title: "Pay", Heading: "Pay", Total: money(c.AmountTotal, c.Currency), Declined: c.Hidden.Declined,
		Cancel: string(c.CancelURL), AskEmail: true, AskCard: c.AmountTotal > 0 || c.Mode == modeSubscription,
		CanPayLater: c.Mode == modePayment && c.AmountTotal > 0, Cards: checkoutCards, AskCode: c.takesCodes(),
	}
	if c.Mode == modeSubscription {
		page.Heading = "Subscribe"
	}
	if c.CustomerDetails != nil && c.CustomerDetails.Email != "" {
		page.AskEmail, page.Email = false, string(c.CustomerDetails.Email)
	}
	for _, item := range c.Hidden.Items {
		row := pageRow{Name: item.Description, Amount: money(item.AmountSubtotal, item.Currency)}
		if item.Quantity > 1 {
			row.Detail = fmt.Sprintf("%d × %s", item.Quantity, money(item.Price.UnitAmount, item.Currency))
		}
		if every := item.Price.Recurring; every != nil {
			row.Detail = strings.TrimSpace(row.Detail + " " + every.words())
		}
		page.Items = append(page.Items, row)
	}
	page.Sums = sums(-c.TotalDetails.AmountDiscount, c.TotalDetails.AmountTax, c.Currency)
	return page
}

// words says how often a price recurs: "each month", "every 3 months".
func (r recurring) words() string {
	if r.IntervalCount == 1 {
		return "each " + r.Interval
	}
	return fmt.Sprintf("every %d %ss", r.IntervalCount, r.Interval)
}

func sums(discount, tax int64, currency string) []pageRow {
	var rows []pageRow
	if discount != 0 {
		rows = append(rows, pageRow{Name: "Discount", Amount: money(discount, currency)})
	}
	if tax != 0 {
		rows = append(rows, pageRow{Name: "Tax", Amount: money(tax, currency)})
	}
	return rows
}

// submitPay does what the customer chose and sends them on, as Checkout does.
func (s *Stand) submitPay(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxRequestBytes)
	by := payment{card: Card(r.PostFormValue("card")), email: r.PostFormValue("email"), code: r.PostFormValue("promotion_code")}
	if by.card == "" {
		by.card = CardVisa
	}
	switch action := r.PostFormValue("action"); action {
	case "pay":
	case "pay-later":
		by.later = true
	case "decline":
		by.card = CardDeclined
	default:
		render(w, http.StatusBadRequest, "message", messagePage{Title: "That did not work", Text: "Unknown action " + action + "."})
		return
	}
	id := r.PathValue("id")
	var to string
	err := s.do(func(o *op) error {
		declined, err := o.paySession(id, by)
		if err != nil {
			return err
		}
		c, err := o.session(id, "id")
		if err != nil {
			return err
		}
		to = strings.ReplaceAll(string(c.SuccessURL), "{CHECKOUT_SESSION_ID}", id)
		if declined != nil {
			to = string(c.CancelURL)
		}
		return nil
	})
	if err != nil {
		renderProblem(w, err)
		return
	}
	if to == "" { // declined, and nowhere to go back to: the page says so
		to = s.opts.BaseURL + "/pay/" + id
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (s *Stand) showInvoice(w http.ResponseWriter, r *http.Request) {
	var page invoicePage
	err := s.read(func(o *op) error {
		in, err := o.invoice(r.PathValue("id"), "id")
		if err != nil {
			return err
		}
		page = invoicePage{
			Title: "Invoice", Number: string(in.Number), Total: money(in.Total, in.Currency), Due: money(in.AmountRemaining, in.Currency),
			Status: fmt.Sprintf("%s, %s", in.Status, day(in.Created)),
		}
		for _, l := range in.Lines.Data {
			page.Items = append(page.Items, pageRow{
				Name: string(l.Description), Amount: money(l.Amount, l.Currency),
				Detail: fmt.Sprintf("%s – %s", day(l.Period.Start), day(l.Period.End)),
			})
		}
		var tax int64
		if in.Tax != nil {
			tax = *in.Tax
		}
		page.Sums = sums(0, tax, in.Currency)
		return nil
	})
	if err != nil {
		renderProblem(w, err)
		return
	}
	render(w, http.StatusOK, "invoice", page)
}

func (s *Stand) showReceipt(w http.ResponseWriter, r *http.Request) {
	var page messagePage
	err := s.read(func(o *op) error {
		ch, err := o.charge(r.PathValue("id"), "id")
		if err != nil {
			return err
		}
		page = messagePage{Title: "Receipt", Text: fmt.Sprintf("%s, %s: %s.", money(ch.Amount, ch.Currency), day(ch.Created), ch.Status)}
		return nil
	})
	if err != nil {
		renderProblem(w, err)
		return
	}
	render(w, http.StatusOK, "message", page)
}

func day(unix int64) string { return time.Unix(unix, 0).UTC().Format("2 January 2006") }
