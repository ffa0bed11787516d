package issuer

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	maxFormBytes = 64 << 10
	// maxParamLen bounds what a client may have echoed back or kept.
	maxParamLen = 2048
)

//go:embed pages/*.html
var pageFiles embed.FS

var pages = template.Must(template.ParseFS(pageFiles, "pages/*.html"))

// request is a checked authorisation request.
type request struct {
	client                             Client
	redirect, state, nonce, scope      string
	challenge, prompt, hint            string
	problem, problemText, responseType string
}

// readRequest checks an authorisation request. An error means that the client
// or its address cannot be trusted, so that nothing may be sent there; a
// problem is for the client to hear.
func (i *Issuer) readRequest(q url.Values) (request, error) {
	for name, values := range q {
		if len(values) != 1 || len(values[0]) > maxParamLen {
			return request{}, fmt.Errorf("the parameter %q is repeated or too long", name)
		}
	}
	client, ok := i.client(q.Get("client_id"))
	if !ok {
		return request{}, fmt.Errorf("the client %q is not known", q.Get("client_id"))
	}
	r := request{
		client: client, redirect: q.Get("redirect_uri"), state: q.Get("state"), nonce: q.Get("nonce"), scope: q.Get("scope"),
		challenge: q.Get("code_challenge"), prompt: q.Get("prompt"), hint: q.Get("login_hint"), responseType: q.Get("response_type"),
	}
	if !slices.Contains(client.RedirectURIs, r.redirect) {
		return request{}, fmt.Errorf("the redirect address %q is not one of client %q", r.redirect, client.ID)
	}
	switch {
	case r.responseType != "code":
		r.problem, r.problemText = "unsupported_response_type", "response_type must be code"
	case !slices.Contains(strings.Fields(r.scope), "openid"):
		r.problem, r.problemText = "invalid_scope", "scope must contain openid"
	case r.challenge == "" || q.Get("code_challenge_method") != "S256":
		r.problem, r.problemText = "invalid_request", "PKCE with S256 is required"
	case r.prompt == "none":
		r.problem, r.problemText = "login_required", "the issuer keeps no sessions"
	}
	return r, nil
}

// back is the client's address with what it is to hear.
func (r request) back(issuer string, answer url.Values) string {
	answer.Set("iss", issuer)
	if r.state != "" {
		answer.Set("state", r.state)
	}
	joint := "?"
	if strings.Contains(r.redirect, "?") {
		joint = "&"
	}
	return r.redirect + joint + answer.Encode()
}

// admit reads an authorisation request and, if it has a defect, answers it.
func (i *Issuer) admit(w http.ResponseWriter, r *http.Request) (request, bool) {
	req, err := i.readRequest(r.URL.Query())
	if err != nil {
		render(w, http.StatusBadRequest, "message", message{Title: "This sign-in cannot go on", Text: err.Error() + "."})
		return request{}, false
	}
	if req.problem != "" {
		answer := url.Values{"error": {req.problem}, "error_description": {req.problemText}}
		http.Redirect(w, r, req.back(i.opts.URL, answer), http.StatusSeeOther)
		return request{}, false
	}
	return req, true
}

type message struct{ Title, Text string }

type signInPage struct {
	Title, Client, Hint, Problem string
	People                       []Person
}

func (i *Issuer) showSignIn(w http.ResponseWriter, r *http.Request) {
	if req, ok := i.admit(w, r); ok {
		i.renderSignIn(w, http.StatusOK, req, "")
	}
}

// renderSignIn lists the people, the one hinted at first.
func (i *Issuer) renderSignIn(w http.ResponseWriter, status int, req request, problem string) {
	people := slices.Clone(i.opts.People)
	if at := slices.IndexFunc(people, func(p Person) bool { return req.hint != "" && p.Email == req.hint }); at > 0 {
		hinted := people[at]
		people = slices.Insert(slices.Delete(people, at, at+1), 0, hinted)
	}
	render(w, status, "signin", signInPage{
		Title: "Sign in", Client: req.client.ID, Hint: req.hint, Problem: problem, People: people,
	})
}

// signIn gives the client a code for the person chosen on the page.
func (i *Issuer) signIn(w http.ResponseWriter, r *http.Request) {
	req, ok := i.admit(w, r)
	if !ok {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxFormBytes)
	person, err := i.chosen(r.PostFormValue("sub"), r.PostFormValue("email"), r.PostFormValue("name"))
	if err != nil {
		i.renderSignIn(w, http.StatusBadRequest, req, err.Error()+".")
		return
	}
	now := i.opts.Now()
	code := rand.Text()
	i.mu.Lock()
	i.codes.put(code, grant{
		client: req.client.ID, redirect: req.redirect, nonce: req.nonce, challenge: req.challenge, scope: req.scope,
		person: person, signedInAt: now, expires: now.Add(codeLife),
	})
	i.mu.Unlock()
	http.Redirect(w, r, req.back(i.opts.URL, url.Values{"code": {code}}), http.StatusSeeOther)
}

// chosen is the listed person with a subject, or someone else by their
// address. The same address is always the same person.
func (i *Issuer) chosen(subject, email, name string) (Person, error) {
	if subject != "" {
		at := slices.IndexFunc(i.opts.People, func(p Person) bool { return p.Subject == subject })
		if at < 0 {
			return Person{}, fmt.Errorf("nobody here is %q", subject)
		}
		return i.opts.People[at], nil
	}
	address, err := mail.ParseAddress(email)
	if err != nil || len(email) > maxParamLen || len(name) > maxParamLen {
		return Person{}, fmt.Errorf("%q is not an e-mail address", email)
	}
	at := slices.IndexFunc(i.opts.People, func(p Person) bool { return strings.EqualFold(p.Email, address.Address) })
	if at >= 0 {
		return i.opts.People[at], nil
	}
	return Person{Subject: subjectOf(address.Address), Name: name, Email: address.Address}, nil
}

// subjectOf derives a stable subject from an address.
func subjectOf(email string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(email)))
	return "u-" + hex.EncodeToString(sum[:8])
}

// endSession signs a person out: their refresh tokens end, and they are sent
// back if the client's address is known.
func (i *Issuer) endSession(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxFormBytes)
	clientID := r.FormValue("client_id")
	if hint := r.FormValue("id_token_hint"); hint != "" {
		claims, known, err := i.open(hint, "JWT")
		if err != nil {
			render(w, http.StatusBadRequest, "message", message{Title: "You could not be signed out", Text: err.Error() + "."})
			return
		}
		if len(known.Audience) > 0 {
			clientID = known.Audience[0]
		}
		i.mu.Lock()
		i.refreshes.drop(func(_ string, g grant) bool { return g.person.Subject == claims["sub"] && g.client == clientID })
		i.mu.Unlock()
	}
	to := r.FormValue("post_logout_redirect_uri")
	if to == "" {
		render(w, http.StatusOK, "message", message{Title: "Signed out", Text: "You may close this page."})
		return
	}
	client, ok := i.client(clientID)
	if !ok || !slices.Contains(client.SignedOutURIs, to) {
		render(w, http.StatusBadRequest, "message", message{
			Title: "Signed out", Text: fmt.Sprintf("The address %q is not one to return to.", to),
		})
		return
	}
	if state := r.FormValue("state"); state != "" {
		to = request{redirect: to, state: state}.back(i.opts.URL, url.Values{})
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func render(w http.ResponseWriter, status int, name string, data any) {
	var body bytes.Buffer
	if err := pages.ExecuteTemplate(&body, name, data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(body.Bytes())
}

// expired reports whether a grant's life has ended.
func (g grant) expired(now time.Time) bool { return !now.Before(g.expires) }
