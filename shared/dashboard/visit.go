package dashboard

import (
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fluxori/ai-credits/shared/problem"
	"github.com/fluxori/ai-credits/shared/request"
)

// page is one of the pages: what is shown at its path, and what its forms change.
type page struct {
	name, path string
	// staff pages are for Fluxori's support and platform alone.
	staff  bool
	show   func(*visit) error
	change func(*visit) error
}

// visit is one request of somebody who has signed in.
type visit struct {
	d       *Dashboard
	w       http.ResponseWriter
	r       *http.Request
	session session
	page    page

	// org is the organisation that the path names, Org what the API tells of it, to pages of organisations.
	org  string
	Org  organisation
	zone *time.Location

	// Problem is why the form that was sent did nothing.
	Problem string
	status  int
}

// organisation is an organisation as the API tells it.
type organisation struct {
	ID        string    `json:"org_id"`
	Name      string    `json:"name"`
	Country   string    `json:"country"`
	Zone      string    `json:"time_zone"`
	Currency  string    `json:"currency"`
	YourRoles []string  `json:"your_roles"`
	CreatedAt time.Time `json:"created_at"`
}

// is reports whether the person has one of the roles in the organisation.
func (v *visit) is(roles ...string) bool {
	return slices.ContainsFunc(roles, func(r string) bool { return slices.Contains(v.Org.YourRoles, r) })
}

// visit serves a page to whoever has signed in.
func (d *Dashboard) visit(p page, serve func(*visit) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := &visit{d: d, w: w, r: r, page: p, org: r.PathValue("org"), zone: time.UTC, status: http.StatusOK}
		s, ok := d.current(r)
		if v.session = s; !ok || !d.renew(w, r, &v.session) {
			d.mustSignIn(w, r)
			return
		}
		err := v.arrive() //nolint:contextcheck // a visit's context is its request's
		if err == nil {
			err = serve(v)
		}
		if err != nil {
			d.failed(w, r, err)
		}
	}
}

// arrive checks the form that was sent, and reads the organisation.
func (v *visit) arrive() error {
	if v.r.Method == http.MethodPost {
		if err := v.r.ParseForm(); err != nil {
			return &refusal{Status: statusOf(problem.InvalidRequest), Code: "invalid_request", Detail: "The form could not be read."}
		}
		if subtle.ConstantTimeCompare([]byte(v.r.PostForm.Get("form")), []byte(v.session.Form)) != 1 {
			return &refusal{Status: statusOf(problem.Forbidden), Code: "forbidden", Detail: "This form is not of your session. Please open the page again."}
		}
	}
	if v.page.staff && !v.Staff() {
		return &refusal{Status: statusOf(problem.Forbidden), Code: "forbidden", Detail: "This page is for Fluxori's support."}
	}
	if v.org == "" {
		return nil
	}
	if err := v.get(v.in(), nil, &v.Org); err != nil {
		return err
	}
	zone, err := time.LoadLocation(v.Org.Zone)
	if err == nil {
		v.zone = zone
	}
	return nil
}

// mustSignIn sends whoever is not signed in to the sign-in, and then back.
func (d *Dashboard) mustSignIn(w http.ResponseWriter, r *http.Request) {
	to := d.base + "/"
	if r.Method == http.MethodGet {
		to = d.base + strings.TrimPrefix(r.URL.Path, "/ui")
		if r.URL.RawQuery != "" {
			to += "?" + r.URL.RawQuery
		}
	}
	http.Redirect(w, r, d.base+"/signin?"+url.Values{"to": {to}}.Encode(), http.StatusSeeOther)
}

// failed tells a person why there is no page.
func (d *Dashboard) failed(w http.ResponseWriter, r *http.Request, err error) {
	n := Notice{Title: "This did not work", Text: "Something went wrong on our side. Please try again in a moment.", Link: d.base + "/", LinkText: "Your organisations"}
	no, ok := refused(err)
	switch {
	case ok && no.Status == statusOf(problem.Unauthenticated):
		d.mustSignIn(w, r)
		return
	case ok && no.Status == statusOf(problem.NotFound):
		n.Title, n.Text = "There is nothing here", "Either it does not exist, or it is not yours to see."
	case ok && no.Status < statusOf(problem.Internal):
		n.Title, n.Text = "This is not possible", no.Detail
	}
	if r.PostForm.Get("key") != "" && (!ok || no.Status >= statusOf(problem.Internal)) {
		// A fresh form would carry a fresh key, and move credits or money twice if they have moved.
		n.repeat = r.PostForm
	}
	status := statusOf(problem.Internal)
	if ok {
		status = no.Status
	} else if !errors.Is(err, r.Context().Err()) {
		request.Logger(r.Context()).ErrorContext(r.Context(), "a page failed", slog.Any("error", err))
	}
	d.Notice(w, r, status, n)
}

// done ends a change: the page is shown again by a request of its own, so that loading it once more changes nothing.
func (v *visit) done(path, what string) error {
	to := v.d.base + path
	if what != "" {
		to += "?done=" + url.QueryEscape(what)
	}
	http.Redirect(v.w, v.r, to, http.StatusSeeOther)
	return nil
}

// again shows the page with the reason why its form did nothing. What is wrong on our side is not the form's fault.
func (v *visit) again(show func(*visit) error, err error) error {
	no, ok := refused(err)
	if !ok || no.Status >= statusOf(problem.Internal) || no.Status == statusOf(problem.Unauthenticated) || no.Code == "unknown_org" {
		return err
	}
	v.Problem, v.status = no.Detail, no.Status
	return show(v)
}

// wrong is what a form's field is refused with before the API is asked.
func wrong(detail string) error {
	return &refusal{Status: statusOf(problem.InvalidRequest), Code: "invalid_request", Detail: detail}
}

// field is what a form's field holds.
func (v *visit) field(name string) string { return strings.TrimSpace(v.r.PostForm.Get(name)) }

// number reads a whole number that people may have written with spaces; ok is false if the field is empty.
func (v *visit) number(name, what string) (n int64, ok bool, err error) {
	written := strings.NewReplacer(" ", "", "\u00a0", "", "\u202f", "").Replace(v.field(name))
	if written == "" {
		return 0, false, nil
	}
	n, err = strconv.ParseInt(written, 10, 64)
	if err != nil || n < 0 {
		return 0, false, wrong(what + " must be a whole number, 0 or more.")
	}
	return n, true, nil
}

// query is one parameter of the address, cut to what can be meant.
func (v *visit) query(name string) string {
	s := strings.TrimSpace(v.r.URL.Query().Get(name))
	return s[:min(len(s), 200)]
}
