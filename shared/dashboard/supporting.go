package dashboard

import (
	"net/http"
	"net/url"

	"github.com/fluxori/ai-credits/shared/problem"
)

// supportData fills the page where support finds a customer.
type supportData struct {
	Reference, Email, Org string
	Found                 []found
}

// support finds a purchase by its reference alone, and organisations by an e-mail address or their id.
func (v *visit) support() error {
	d := supportData{Reference: v.query("reference"), Email: v.query("email"), Org: v.query("org")}
	var err error
	var nothing string
	switch {
	case d.Reference != "":
		var p purchase
		if err = v.get("/purchases/"+url.PathEscape(d.Reference), nil, &p); err == nil {
			return v.done("/orgs/"+url.PathEscape(p.OrgID)+"/purchases/"+url.PathEscape(p.Reference), "")
		}
		nothing = "No organisation has a purchase with the reference “" + d.Reference + "”."
	case d.Org != "":
		if err = v.get("/orgs/"+url.PathEscape(d.Org), nil, &organisation{}); err == nil {
			return v.done("/orgs/"+url.PathEscape(d.Org), "")
		}
		nothing = "There is no organisation “" + d.Org + "”."
	case d.Email != "":
		var people list[found]
		err = v.get("/people", url.Values{"email": {d.Email}}, &people)
		d.Found = people.Items
		if err == nil && len(d.Found) == 0 {
			v.Problem = "No organisation has somebody with the address “" + d.Email + "”."
		}
	}
	no, ok := refused(err)
	switch {
	case missing(err):
		v.Problem, v.status = nothing, no.Status
	case ok && no.Status == statusOf(problem.InvalidRequest):
		v.Problem, v.status = no.Detail, no.Status
	case err != nil:
		return err
	}
	return v.render("Support", d)
}

// waiting fills the pages of what waits for a person.
type waiting[T any] struct {
	Items []T
	Next  string
	// State is what is listed: waiting, or what became of it.
	State string
	// Done is what such things become.
	Done string
}

// states lead from what waits to what is done with.
type states struct{ State, Done, Text string }

// States is for templates.
func (v *visit) States(state, done string) states { return states{state, done, v.Words(done)} }

// list reads what waits for a person, or what is done with.
func (w *waiting[T]) list(v *visit, path, done string) error {
	w.State, w.Done = "waiting", done
	if v.query("state") == done {
		w.State = done
	}
	q := v.paging()
	q.Set("state", w.State)
	var found list[T]
	if err := v.get(path, q, &found); err != nil {
		return err
	}
	w.Items, w.Next = found.Items, v.next(found.Next)
	return nil
}

// letters lists messages that could not be handled.
func (v *visit) letters() error {
	var d waiting[letter]
	if err := d.list(v, "/operations/dead-letters", "replayed"); err != nil {
		return err
	}
	return v.render("Dead letters", d)
}

func (v *visit) changeLetters() error {
	if err := v.do(http.MethodPost, "/operations/dead-letters/"+url.PathEscape(v.field("id"))+"/replay", nil, nil); err != nil {
		return v.again((*visit).letters, err)
	}
	return v.done("/support/dead-letters", "replayed")
}

// quarantine lists events of Stripe's that belong to nobody, or do not fit.
func (v *visit) quarantine() error {
	var d waiting[aside]
	if err := d.list(v, "/operations/quarantine", "resolved"); err != nil {
		return err
	}
	return v.render("Quarantine", d)
}

func (v *visit) changeQuarantine() error {
	path, done := "/operations/quarantine/"+url.PathEscape(v.field("id")), "replayed"
	var err error
	switch v.field("do") {
	case "replay":
		err = v.do(http.MethodPost, path+"/replay", nil, nil)
	case "resolve":
		done = "resolved"
		err = v.do(http.MethodPost, path+"/resolve", map[string]string{"resolution": v.field("resolution")}, nil)
	default:
		err = wrong("This form is not known.")
	}
	if err != nil {
		return v.again((*visit).quarantine, err)
	}
	return v.done("/support/quarantine", done)
}

// adjustments is the page where support adds credits by hand, or takes them.
func (v *visit) adjustments() error {
	var b balance
	if err := v.get(v.in("balance"), nil, &b); err != nil {
		return err
	}
	return v.render("Adjust credits", b)
}

func (v *visit) adjust() error {
	n, ok, err := v.number("credits", "The number of credits")
	if err == nil && (!ok || n == 0) {
		err = wrong("Please say how many credits.")
	}
	if err == nil {
		if v.field("direction") == "take" {
			n = -n
		}
		err = v.do(http.MethodPost, v.in("adjustments"), map[string]any{"credits": n, "reason": v.field("reason")}, nil)
	}
	if err != nil {
		return v.again((*visit).adjustments, err)
	}
	return v.done("/orgs/"+v.org+"/adjust", "adjusted")
}
