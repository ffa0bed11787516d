package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	netmail "net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/fluxori/ai-credits/shared/embedded/inbox"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// local is a configuration for a server at a listener.
func local(l net.Listener, security string) SMTPConfig {
	return SMTPConfig{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, Security: security, From: "Fluxori AI Credits <credits@fluxori.test>"}
}

func newSMTP(t *testing.T, c SMTPConfig) *SMTP {
	t.Helper()
	s, err := NewSMTP(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func openInbox(t *testing.T) (*inbox.Inbox, net.Listener) {
	t.Helper()
	in, l := inbox.New(inbox.Options{}), listen(t)
	go func() {
		if err := in.Serve(l); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { in.Close() })
	return in, l
}

func example() Mail {
	return Mail{
		To: "owner@acme.test", Subject: "12\u00a0345 AI credits left — Café", Text: "Text: é\nnext\n", HTML: "<p>HTML: é</p>", ID: "abc123",
		Date: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC), Unsubscribe: "https://credits.test/account/unsubscribe?token=" + strings.Repeat("a1-_", 60) + ".xyz",
	}
}

func TestAMailArrivesAsItWasWritten(t *testing.T) {
	t.Parallel()
	in, l := openInbox(t)
	c := local(l, noTLS)
	c.Username, c.Password = "credits", "secret"
	if err := newSMTP(t, c).Send(t.Context(), example()); err != nil {
		t.Fatal(err)
	}
	ms := in.Messages()
	if len(ms) != 1 {
		t.Fatalf("%d mails", len(ms))
	}
	m := ms[0]
	if m.From != "Fluxori AI Credits <credits@fluxori.test>" || strings.Join(m.To, "") != "owner@acme.test" || m.Subject != example().Subject ||
		strings.TrimSpace(m.Text) != "Text: é\nnext" || strings.TrimSpace(m.HTML) != "<p>HTML: é</p>" || m.MessageID != "abc123@fluxori.test" || m.Defect != "" {
		t.Errorf("%+v", m)
	}
	for _, header := range []string{"Auto-Submitted: auto-generated\r\n", "Date: Sun, 01 Mar 2026 08:00:00 +0000\r\n",
		"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"} {
		if !strings.Contains(string(m.Raw), header) {
			t.Errorf("no %q in\n%s", header, m.Raw)
		}
	}
}

// TestTheLinkToLeaveIsWholeInItsHeader: however it is folded, a mail program finds one address between angle brackets.
func TestTheLinkToLeaveIsWholeInItsHeader(t *testing.T) {
	t.Parallel()
	in, l := openInbox(t)
	if err := newSMTP(t, local(l, noTLS)).Send(t.Context(), example()); err != nil {
		t.Fatal(err)
	}
	read, err := netmail.ReadMessage(bytes.NewReader(in.Messages()[0].Raw))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := read.Header.Get("List-Unsubscribe"), "<"+example().Unsubscribe+">"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// host is a mail server that answers as it is told, over TLS if it is given a certificate.
type host struct {
	mu    sync.Mutex
	rcpt  error // to each address
	data  error // to each mail
	auth  string
	mails int
	// drops is how many mails it takes and hangs up on, before saying so; ids are those of the mails that it took.
	drops int
	ids   []string
}

// quiet is a logger of go-smtp that says nothing.
type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

type session struct {
	host *host
	conn *smtp.Conn
}

// AuthMechanisms implements smtp.AuthSession.
func (s session) AuthMechanisms() []string { return []string{sasl.Plain} }

// Auth implements smtp.AuthSession.
func (s session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		s.host.mu.Lock()
		defer s.host.mu.Unlock()
		s.host.auth = user + ":" + password
		return nil
	}), nil
}

// Mail implements smtp.Session.
func (s session) Mail(string, *smtp.MailOptions) error { return nil }

// Rcpt implements smtp.Session.
func (s session) Rcpt(string, *smtp.RcptOptions) error { return s.host.rcpt }

// Data implements smtp.Session.
func (s session) Data(r io.Reader) error {
	read, err := netmail.ReadMessage(r)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, read.Body); err != nil {
		return err
	}
	s.host.mu.Lock()
	defer s.host.mu.Unlock()
	s.host.mails++
	s.host.ids = append(s.host.ids, read.Header.Get("To")+" "+read.Header.Get("Message-Id"))
	if s.host.drops > 0 {
		s.host.drops--
		return s.conn.Conn().Close()
	}
	return s.host.data
}

// Reset implements smtp.Session.
func (s session) Reset() {}

// Logout implements smtp.Session.
func (s session) Logout() error { return nil }

var _ smtp.AuthSession = session{}

// serve starts a host. With security it has a certificate, which the pool that is returned trusts.
func (h *host) serve(t *testing.T, security string) (net.Listener, *x509.CertPool) {
	t.Helper()
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return session{h, c}, nil }))
	server.Domain = "mail.test"
	server.ErrorLog = quiet{} // of handshakes that are meant to fail
	l := listen(t)
	pool := x509.NewCertPool()
	if security != noTLS {
		web := httptest.NewTLSServer(nil) // for its certificate of 127.0.0.1
		t.Cleanup(web.Close)
		server.TLSConfig = web.TLS.Clone()
		server.TLSConfig.NextProtos = nil
		pool.AddCert(web.Certificate())
	}
	bound := l
	if security == implicitTLS {
		bound = tls.NewListener(l, server.TLSConfig)
	}
	go func() {
		if err := server.Serve(bound); err != nil && !errors.Is(err, smtp.ErrServerClosed) {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { server.Close() })
	return l, pool
}

func TestMailGoesOverTLSOnly(t *testing.T) {
	t.Parallel()
	for _, security := range []string{startTLS, implicitTLS} {
		t.Run(security, func(t *testing.T) {
			t.Parallel()
			h := &host{}
			l, pool := h.serve(t, security)
			c := local(l, security)
			c.Username, c.Password = "credits", "secret"
			s := newSMTP(t, c)
			if err := s.Send(t.Context(), example()); err == nil {
				t.Error("a certificate that nobody vouches for is taken")
			}
			s.tls.RootCAs = pool
			if err := s.Send(t.Context(), example()); err != nil {
				t.Error(err)
			}
			if h.mails != 1 || h.auth != "credits:secret" {
				t.Errorf("%d mails, signed in as %q", h.mails, h.auth)
			}
		})
	}
	t.Run("a server without TLS", func(t *testing.T) {
		t.Parallel()
		in, l := openInbox(t)
		for _, security := range []string{startTLS, implicitTLS} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := newSMTP(t, local(l, security)).Send(ctx, example()); err == nil || len(in.Messages()) != 0 {
				t.Errorf("%s: %v, %d mails", security, err, len(in.Messages()))
			}
			cancel()
		}
	})
}

func TestOnlyADefiniteNoToTheAddressIsRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		host    *host
		to      string
		refused bool
	}{
		{"no such mailbox", &host{rcpt: &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "none"}}, "", true},
		{"a mailbox name that cannot be", &host{rcpt: &smtp.SMTPError{Code: 553, EnhancedCode: smtp.EnhancedCode{5, 1, 3}, Message: "bad"}}, "", true},
		{"not an address", &host{}, "no address", true},
		{"relaying is denied to us", &host{rcpt: &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "denied"}}, "", false},
		{"a full mailbox", &host{rcpt: &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 2, 2}, Message: "<Someone@Acme.example> is full"}}, "", false},
		{"the mail is not taken", &host{data: &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "spam"}}, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l, _ := tt.host.serve(t, noTLS)
			m := example()
			if tt.to != "" {
				m.To = tt.to
			}
			err := newSMTP(t, local(l, noTLS)).Send(t.Context(), m)
			if _, refused := errors.AsType[*RefusedError](err); err == nil || refused != tt.refused {
				t.Errorf("%v, want refused %v", err, tt.refused)
			}
			if err != nil && (strings.Contains(err.Error(), "@") || strings.Contains(err.Error(), "no address")) {
				t.Errorf("the error, which is logged, names somebody: %v", err)
			}
		})
	}
}

func TestAServerThatHangsIsNotWaitedForBeyondTheContext(t *testing.T) {
	t.Parallel()
	l := listen(t) // accepts, and says nothing
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := newSMTP(t, local(l, noTLS)).Send(ctx, example()); err == nil || time.Since(began) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

func TestAConfigurationThatIsNotSafeIsRefused(t *testing.T) {
	t.Parallel()
	good := SMTPConfig{Host: "mail.test", Port: 587, Security: startTLS, From: "credits@fluxori.test"}
	tests := []struct {
		name   string
		change func(*SMTPConfig)
		ok     bool
	}{
		{"as it should be", func(*SMTPConfig) {}, true},
		{"in clear to this machine", func(c *SMTPConfig) { c.Security, c.Host = noTLS, "localhost" }, true},
		{"in clear to another", func(c *SMTPConfig) { c.Security = noTLS }, false},
		{"a security that is not known", func(c *SMTPConfig) { c.Security = "ssl" }, false},
		{"no sender", func(c *SMTPConfig) { c.From = "Fluxori" }, false},
		{"a user without a password", func(c *SMTPConfig) { c.Username = "u" }, false},
		{"a password without a user", func(c *SMTPConfig) { c.Password = "p" }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := good
			tt.change(&c)
			if _, err := NewSMTP(c, nil); (err == nil) != tt.ok {
				t.Errorf("%v", err)
			}
		})
	}
	var logged bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&logged, nil))
	signedIn := good
	signedIn.Username, signedIn.Password = "u", "hidden"
	log.Info("starts", "mail", signedIn)
	if got := logged.String(); strings.Contains(got, "hidden") || !strings.Contains(got, "mail.test") {
		t.Errorf("logged as %s", got)
	}
}
