package inbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// gate hangs up on connections while the server is down.
type gate struct {
	net.Listener
	inbox *Inbox
}

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil || g.inbox.Mode() != ModeDown {
			return conn, err
		}
		if err := conn.Close(); err != nil {
			g.inbox.opts.Logger.LogAttrs(context.Background(), slog.LevelDebug, "hanging up", slog.Any("error", err))
		}
	}
}

// session is one connection; the library calls it from one goroutine.
type session struct {
	inbox *Inbox
	conn  *smtp.Conn
	from  string
	to    []string
}

func (in *Inbox) session(c *smtp.Conn) (smtp.Session, error) {
	return &session{inbox: in, conn: c}, nil
}

// AuthMechanisms implements smtp.AuthSession.
func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

// Auth implements smtp.AuthSession: anyone may send.
func (s *session) Auth(mechanism string) (sasl.Server, error) {
	if mechanism != sasl.Plain {
		return nil, smtp.ErrAuthUnknownMechanism
	}
	return sasl.NewPlainServer(func(_, _, _ string) error { return nil }), nil
}

// Mail implements smtp.Session.
func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

// Rcpt implements smtp.Session.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	switch s.inbox.Mode() {
	case ModeDefer:
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "Try again later"}
	case ModeRefuse:
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "Nobody of that name here"}
	default:
		s.to = append(s.to, to)
		return nil
	}
}

// errHungUp ends a connection whose sender is not to know what became of the
// message.
var errHungUp = errors.New("the connection was dropped on purpose")

// Data implements smtp.Session.
func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("reading a message: %w", err)
	}
	mode := s.inbox.Mode()
	if mode == ModeSlow && !s.wait() {
		return errHungUp
	}
	m := parse(raw)
	m.At, m.EnvelopeFrom, m.EnvelopeTo = s.inbox.opts.Now().UTC(), s.from, s.to
	s.inbox.keep(m)
	if mode == ModeDrop {
		// The library answers after Data returns: by then the connection is gone.
		return errors.Join(errHungUp, s.conn.Conn().Close())
	}
	return nil
}

// wait makes the sender wait; it reports whether the server still runs.
func (s *session) wait() bool {
	t := time.NewTimer(s.inbox.opts.Delay)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.inbox.closed:
		return false
	}
}

// Reset implements smtp.Session.
func (s *session) Reset() { s.from, s.to = "", nil }

// Logout implements smtp.Session.
func (s *session) Logout() error { return nil }

// smtpLog passes the library's complaints on.
type smtpLog struct{ logger *slog.Logger }

// Printf implements smtp.Logger.
func (l smtpLog) Printf(format string, v ...any) {
	l.log(fmt.Sprintf(format, v...))
}

// Println implements smtp.Logger.
func (l smtpLog) Println(v ...any) { l.log(fmt.Sprintln(v...)) }

func (l smtpLog) log(text string) {
	l.logger.LogAttrs(context.Background(), slog.LevelWarn, "a mail connection failed",
		slog.String("detail", string(bytes.TrimSpace([]byte(text)))))
}
