package dashboard

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// The lives of what cookies hold, by the machine's clock.
const (
	sessionLife = 12 * time.Hour
	signInLife  = 10 * time.Minute
	// renewBefore is how long before its end an ID token is renewed.
	renewBefore = 5 * time.Minute
)

// session is who has signed in. The cookie holds all of it: nothing is kept here, so that any instance serves anybody.
type session struct {
	// IDToken is what the API is shown; Refresh renews it, and may be missing.
	IDToken string `json:"i"`
	Refresh string `json:"r,omitempty"`
	// Expires is when the ID token ends, Ends when the person must sign in again; seconds since 1970.
	Expires int64 `json:"e"`
	Ends    int64 `json:"n"`
	// Name, Support and Platform are shown and decide nothing: the API asks the token.
	Sub      string `json:"s"`
	Name     string `json:"m"`
	Support  bool   `json:"u,omitempty"`
	Platform bool   `json:"p,omitempty"`
	// Form is in every form that this person is shown, and in no other.
	Form string `json:"f"`
}

// signIn is a sign-in under way: what the issuer's answer must fit.
type signIn struct {
	State    string `json:"s"`
	Nonce    string `json:"n"`
	Verifier string `json:"v"`
	// To is where the person wanted to go.
	To   string `json:"t"`
	Ends int64  `json:"e"`
}

// cookieName is a cookie's name. On https it is set over https alone, so by nobody who only stands in the way of an open connection.
func (d *Dashboard) cookieName(purpose string) string {
	if d.secure {
		return "__Secure-credits-" + purpose
	}
	return "credits-" + purpose
}

// put seals a value into a cookie that only these pages are sent.
func (d *Dashboard) put(w http.ResponseWriter, s *sealer, value any, life time.Duration) error {
	plain, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode the cookie %s: %w", s.purpose, err)
	}
	sealed := s.seal(plain)
	if len(sealed) > cookieMaxBytes {
		return fmt.Errorf("the cookie %s has %d bytes, more than %d", s.purpose, len(sealed), cookieMaxBytes)
	}
	http.SetCookie(w, d.cookie(s, sealed, int(life/time.Second)))
	return nil
}

// drop takes a cookie away.
func (d *Dashboard) drop(w http.ResponseWriter, s *sealer) { http.SetCookie(w, d.cookie(s, "", -1)) }

// cookie is Lax: it comes with links from other sites, since their e-mails and pages lead here, and with no form of theirs.
func (d *Dashboard) cookie(s *sealer, value string, seconds int) *http.Cookie {
	return &http.Cookie{
		Name: d.cookieName(s.purpose), Value: value, Path: d.base, MaxAge: seconds, Secure: d.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

// take opens a cookie.
func (d *Dashboard) take(r *http.Request, s *sealer, into any) error {
	c, err := r.Cookie(d.cookieName(s.purpose))
	if err != nil {
		return fmt.Errorf("the cookie %s: %w", s.purpose, err)
	}
	plain, err := s.open(c.Value)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(plain, into); err != nil {
		return fmt.Errorf("decode the cookie %s: %w", s.purpose, err)
	}
	return nil
}

// current is the session that a request comes with; ok is false for one that is missing, has ended, or is not ours.
func (d *Dashboard) current(r *http.Request) (s session, ok bool) {
	if err := d.take(r, d.sessions, &s); err != nil {
		return session{}, false
	}
	now := d.opts.MachineNow().Unix()
	return s, now < s.Ends && (now < s.Expires || s.Refresh != "")
}
