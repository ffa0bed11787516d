package dashboard

import (
	"net/http"
	"net/url"

	"github.com/fluxori/ai-credits/shared/problem"
)

// supportData fills the page where support finds a customer.
type supportData struct{ Reference, Org string }

// support finds a purchase by its reference alone, or an organisation by its id.
func (v *visit) support() error {
	d := supportData{v.query("reference"), v.query("org")}
	switch {
	case d.Reference != "":
		var found purchase
		err := v.get("/purchases/"+url.PathEscape(d.Reference), nil, &found)
		if err == nil {
			return v.done("/orgs/"+url.PathEscape(found.OrgID)+"/purchases/"+url.PathEscape(found.Reference), "")
		}
		if no, ok := refused(err); !ok || no.Status != statusOf(problem.NotFound) {
			return err
		}
		v.Problem, v.status = "No organisation has a purchase with the reference “"+d.Reference+"”.", statusOf(problem.NotFound)
	case d.Org != "":
		err := v.get("/orgs/"+url.PathEscape(d.Org), nil, &organisation{})
		if err == nil {
			return v.done("/orgs/"+url.PathEscape(d.Org), "")
		}
		if no, ok := refused(err); !ok || no.Status != statusOf(problem.NotFound) {
			return err
		}
		v.Problem, v.status = "There is no organisation “"+d.Org+"”.", statusOf(problem.NotFound)
	}
	return v.render("Support", d)
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
