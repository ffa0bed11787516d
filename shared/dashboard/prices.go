package dashboard

import (
	"net/http"
	"net/url"
)

// prices shows what features cost.
func (v *visit) prices() error {
	var d priceList
	if err := v.get("/catalogue", url.Values{"country": {v.Org.Country}}, &d); err != nil {
		return err
	}
	return v.render("Prices", d)
}

func (v *visit) referral() error {
	var d referral
	if err := v.get(v.in("referral"), nil, &d); err != nil {
		return err
	}
	return v.render("Referral", d)
}

// claim says by whose code the organisation came.
func (v *visit) claim() error {
	if err := v.do(http.MethodPost, v.in("referral", "claim"), map[string]string{"code": v.field("code")}, nil); err != nil {
		return v.again((*visit).referral, err)
	}
	return v.done("/orgs/"+v.org+"/referral", "claimed")
}
