package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"regexp"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/fluxori/ai-credits/shared/secret"
)

// smtpTimeout bounds each exchange with the mail server.
const smtpTimeout = 10 * time.Second

// The ways that a connection to the mail server is kept secret.
const (
	startTLS    = "starttls" // begins in clear and must turn to TLS before anything is sent
	implicitTLS = "tls"
	noTLS       = "none" // for a server on this machine
)

// SMTPConfig says which mail server takes the mail, and who it is from.
type SMTPConfig struct {
	Host string `env:"SMTP_HOST, required"`
	Port int    `env:"SMTP_PORT, default=587"`
	// Security is starttls, tls or none.
	Security string `env:"SMTP_SECURITY, default=starttls"`
	// Username and Password sign in, if the server wants that.
	Username string      `env:"SMTP_USERNAME"`
	Password secret.Text `env:"SMTP_PASSWORD"`
	// From is the sender, such as Fluxori AI Credits <credits@fluxori.com>. Message ids bear its domain.
	From string `env:"MAIL_FROM, required"`
}

// Mail is one e-mail to one address.
type Mail struct {
	To         string
	Subject    string
	Text, HTML string
	// ID is the part of the message id before the @. The same mail sent again has the same.
	ID   string
	Date time.Time
	// Unsubscribe is the URL by which the address leaves, with one POST as RFC 8058 has it; empty for none.
	Unsubscribe string
}

// RefusedError says that the mail server knows no such address: sending again would not help.
type RefusedError struct {
	Err error // what the server said
}

// Error implements error.
func (e *RefusedError) Error() string { return fmt.Sprintf("the address is refused: %v", e.Err) }

// Unwrap returns what the server said.
func (e *RefusedError) Unwrap() error { return e.Err }

// addressPattern finds what could be an address.
var addressPattern = regexp.MustCompile(`[^\s<>"',;]+@[^\s<>"',;]+`)

// nameless is an error that does not say whom a mail was for: the library and the server do, and errors are logged.
type nameless struct{ err error }

// Error implements error.
func (e nameless) Error() string {
	return addressPattern.ReplaceAllString(e.err.Error(), "(an address)")
}

// Unwrap returns the error as it was.
func (e nameless) Unwrap() error { return e.err }

// SMTP sends mail through a mail server, with a connection for each mail: mails are few and far between.
type SMTP struct {
	config SMTPConfig
	from   netmail.Address
	domain string
	tls    *tls.Config
	dialer func(ctx context.Context, network, address string) (net.Conn, error)
}

// NewSMTP returns an SMTP. It connects when it sends, by dial or, without one, as net.Dialer's DialContext does.
func NewSMTP(c SMTPConfig, dial func(ctx context.Context, network, address string) (net.Conn, error)) (*SMTP, error) {
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	from, err := netmail.ParseAddress(c.From)
	if err != nil {
		return nil, fmt.Errorf("MAIL_FROM %q: %w", c.From, err)
	}
	switch c.Security {
	case startTLS, implicitTLS:
	case noTLS:
		if ip := net.ParseIP(c.Host); c.Host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return nil, fmt.Errorf("SMTP_SECURITY none is for a server on this machine, not for %s", c.Host)
		}
	default:
		return nil, fmt.Errorf("SMTP_SECURITY is %q, not %s, %s or %s", c.Security, startTLS, implicitTLS, noTLS)
	}
	if c.Username == "" != (c.Password == "") {
		return nil, errors.New("SMTP_USERNAME and SMTP_PASSWORD go together")
	}
	return &SMTP{
		config: c, from: *from, domain: from.Address[strings.LastIndexByte(from.Address, '@')+1:],
		tls: &tls.Config{ServerName: c.Host, MinVersion: tls.VersionTLS12}, dialer: dial,
	}, nil
}

// Send hands a mail to the mail server. A *RefusedError says that its address will not be taken; any other error that it may not have been
// taken, and may be sent again.
func (s *SMTP) Send(ctx context.Context, m Mail) error {
	msg, err := s.message(m)
	if err != nil {
		return &RefusedError{err}
	}
	// The library heeds the context while it connects only, and leaves the connection open when a greeting or sign-in fails.
	over, cancel := context.WithCancel(ctx)
	defer cancel()
	client, err := mail.NewClient(s.config.Host, s.options(func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := s.dial(ctx, network, address)
		if err == nil {
			context.AfterFunc(over, func() { conn.Close() })
		}
		return conn, err
	})...)
	if err != nil {
		return fmt.Errorf("set up a connection to %s: %w", s.config.Host, err)
	}
	if err := client.DialWithContext(ctx); err != nil {
		return fmt.Errorf("connect to mail server %s:%d: %w", s.config.Host, s.config.Port, err)
	}
	if err := client.Send(msg); err != nil && !msg.IsDelivered() {
		return refused(fmt.Errorf("send mail %s: %w", m.ID, nameless{err}))
	}
	// The mail is with the server; whether the parting went well does not matter.
	_ = client.Close()
	return nil
}

func (s *SMTP) message(m Mail) (*mail.Msg, error) {
	msg := mail.NewMsg()
	msg.FromMailAddress(&s.from)
	if err := msg.To(m.To); err != nil {
		return nil, errors.New("it is none") // the library's error quotes it
	}
	msg.Subject(m.Subject)
	msg.SetDateWithValue(m.Date)
	msg.SetMessageIDWithValue(m.ID + "@" + s.domain)
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	if m.Unsubscribe != "" {
		msg.SetGenHeader("List-Unsubscribe", "<"+m.Unsubscribe+">")
		msg.SetGenHeader("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
	}
	msg.SetBodyString(mail.TypeTextPlain, m.Text)
	msg.AddAlternativeString(mail.TypeTextHTML, m.HTML)
	return msg, nil
}

func (s *SMTP) options(dial mail.DialContextFunc) []mail.Option {
	out := []mail.Option{
		mail.WithPort(s.config.Port), mail.WithTimeout(smtpTimeout), mail.WithHELO(s.domain), mail.WithDialContextFunc(dial), mail.WithoutNoop(),
	}
	switch s.config.Security {
	case startTLS:
		out = append(out, mail.WithTLSPolicy(mail.TLSMandatory), mail.WithTLSConfig(s.tls))
	case implicitTLS:
		out = append(out, mail.WithSSL())
	default:
		out = append(out, mail.WithTLSPolicy(mail.NoTLS))
	}
	if s.config.Username != "" {
		out = append(out, mail.WithSMTPAuth(mail.SMTPAuthPlain), mail.WithUsername(s.config.Username), mail.WithPassword(s.config.Password.Reveal()))
	}
	return out
}

func (s *SMTP) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := s.dialer(ctx, network, address)
	if err != nil || s.config.Security != implicitTLS {
		return conn, err
	}
	secured := tls.Client(conn, s.tls)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return secured, nil
}

// refused tells a server's definite no to an address from what may pass. A no for reasons of policy (5.7) is about us, not about the address:
// it is mended in the configuration, and then the mail goes out.
func refused(err error) error {
	var said *mail.SendError
	if !errors.As(err, &said) || said.Reason != mail.ErrSMTPRcptTo {
		return err
	}
	switch said.ErrorCode() {
	case 550, 551, 553:
		if !strings.HasPrefix(said.EnhancedStatusCode(), "5.7.") {
			return &RefusedError{err}
		}
	}
	return err
}
