package issuer

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// oauthError is a refusal of the token endpoint, as RFC 6749 states it.
type oauthError struct {
	status      int
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

func refuse(code, description string) *oauthError {
	return &oauthError{status: http.StatusBadRequest, Code: code, Description: description}
}

type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	IDToken      string `json:"id_token"`
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope"`
}

// token is the token endpoint.
func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxFormBytes)
	if err := r.ParseForm(); err != nil {
		writeRefusal(w, refuse("invalid_request", err.Error()))
		return
	}
	client, refusal := i.authenticate(r)
	if refusal != nil {
		writeRefusal(w, refusal)
		return
	}
	var g grant
	switch r.PostForm.Get("grant_type") {
	case "authorization_code":
		g, refusal = i.redeemCode(client, r)
	case "refresh_token":
		g, refusal = i.redeemRefresh(client, r)
	default:
		refusal = refuse("unsupported_grant_type", "grant_type must be authorization_code or refresh_token")
	}
	if refusal != nil {
		writeRefusal(w, refusal)
		return
	}
	answer, err := i.issue(g)
	if err != nil {
		writeRefusal(w, &oauthError{status: http.StatusInternalServerError, Code: "server_error", Description: err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

func writeRefusal(w http.ResponseWriter, e *oauthError) { writeJSON(w, e.status, e) }

// authenticate finds the client that asks, by HTTP Basic or by the body.
func (i *Issuer) authenticate(r *http.Request) (Client, *oauthError) {
	id, secret := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	if user, password, ok := r.BasicAuth(); ok {
		var errID, errSecret error
		id, errID = url.QueryUnescape(user)
		secret, errSecret = url.QueryUnescape(password)
		if errID != nil || errSecret != nil {
			return Client{}, refuse("invalid_request", "the credentials are not form-encoded")
		}
	}
	client, ok := i.client(id)
	if !ok || subtle.ConstantTimeCompare([]byte(secret), []byte(client.Secret)) != 1 {
		return Client{}, &oauthError{
			status: http.StatusUnauthorized, Code: "invalid_client", Description: "the client is unknown or its secret is wrong",
		}
	}
	return client, nil
}

func (i *Issuer) redeemCode(client Client, r *http.Request) (grant, *oauthError) {
	i.mu.Lock()
	g, ok := i.codes.take(r.PostForm.Get("code"))
	i.mu.Unlock()
	sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	challenge := base64.RawURLEncoding.EncodeToString(sum[:])
	switch {
	case !ok || g.expired(i.opts.Now()):
		return grant{}, refuse("invalid_grant", "the code is unknown, used or expired")
	case g.client != client.ID || g.redirect != r.PostForm.Get("redirect_uri"):
		return grant{}, refuse("invalid_grant", "the code was made for another client or address")
	case subtle.ConstantTimeCompare([]byte(challenge), []byte(g.challenge)) != 1:
		return grant{}, refuse("invalid_grant", "the code verifier is wrong")
	}
	return g, nil
}

func (i *Issuer) redeemRefresh(client Client, r *http.Request) (grant, *oauthError) {
	i.mu.Lock()
	g, ok := i.refreshes.take(r.PostForm.Get("refresh_token"))
	i.mu.Unlock()
	if !ok || g.client != client.ID || g.expired(i.opts.Now()) {
		return grant{}, refuse("invalid_grant", "the refresh token is unknown, used or expired")
	}
	g.nonce = "" // of the sign-in alone
	return g, nil
}

// issue makes the tokens of a grant.
func (i *Issuer) issue(g grant) (tokenAnswer, error) {
	now := i.opts.Now()
	claims := g.person.claims()
	claims["aud"], claims["auth_time"] = g.client, g.signedInAt.Unix()
	if g.nonce != "" {
		claims["nonce"] = g.nonce
	}
	id, err := i.Mint(claims)
	if err != nil {
		return tokenAnswer{}, err
	}
	access, err := i.accessToken(g, now)
	if err != nil {
		return tokenAnswer{}, err
	}
	a := tokenAnswer{
		AccessToken: access, TokenType: "Bearer", ExpiresIn: int64(i.opts.TokenLife / time.Second), IDToken: id, Scope: g.scope,
	}
	if slices.Contains(strings.Fields(g.scope), "offline_access") {
		a.RefreshToken = rand.Text()
		g.expires = now.Add(i.opts.RefreshLife)
		i.mu.Lock()
		i.refreshes.put(a.RefreshToken, g)
		i.mu.Unlock()
	}
	return a, nil
}

// accessToken is good for the user information alone: its type and audience
// keep it from passing as an ID token.
func (i *Issuer) accessToken(g grant, now time.Time) (string, error) {
	claims := g.person.claims()
	maps.Copy(claims, map[string]any{
		"iss": i.opts.URL, "aud": i.opts.URL + "/userinfo", "client_id": g.client, "scope": g.scope,
		"iat": now.Unix(), "exp": now.Add(i.opts.TokenLife).Unix(), "jti": rand.Text(),
	})
	return i.sign("at+jwt", claims)
}

// ofTheToken lists the claims that speak of an access token, not of its person.
var ofTheToken = []string{"iss", "aud", "client_id", "scope", "iat", "exp", "jti"}

func (i *Issuer) userinfo(w http.ResponseWriter, r *http.Request) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	claims, known, err := i.open(token, "at+jwt")
	if !ok || err != nil || !i.opts.Now().Before(known.Expiry.Time()) {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		writeJSON(w, http.StatusUnauthorized, refuse("invalid_token", "the access token is absent, expired or not ours"))
		return
	}
	for _, name := range ofTheToken {
		delete(claims, name)
	}
	writeJSON(w, http.StatusOK, claims)
}
