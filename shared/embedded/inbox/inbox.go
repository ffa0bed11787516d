// Package inbox is a mail server that runs in the process of the local runner
// and of tests. It takes what is sent to it by SMTP, whoever it is for, and
// shows it; it can be told to fail as mail servers do.
//
// Invariants:
//
//   - What was acknowledged is kept, until newer messages push it out.
//   - The number of messages and their size are bounded.
//   - Nothing is ever sent on: no mail leaves the machine.
//
// The package does not judge senders, recipients or signatures, and accepts any
// user name and password.
package inbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

const (
	defaultLimit           = 500
	defaultMaxMessageBytes = 1 << 20
	defaultDelay           = 2 * time.Second
	maxRecipients          = 100
	connectionTimeout      = time.Minute
)

// Mode says how the server behaves.
type Mode string

// The modes of the server.
const (
	ModeUp     Mode = "up"     // takes everything
	ModeDown   Mode = "down"   // hangs up on whoever connects
	ModeSlow   Mode = "slow"   // takes everything, after Options.Delay
	ModeDefer  Mode = "defer"  // refuses for now: 451, try again later
	ModeRefuse Mode = "refuse" // refuses for good: 550
	// ModeDrop takes a message and hangs up before saying so: the sender cannot
	// know that it arrived.
	ModeDrop Mode = "drop"
)

var modes = []Mode{ModeUp, ModeDown, ModeSlow, ModeDefer, ModeRefuse, ModeDrop}

// Options configure an Inbox. The zero value of a field means its default.
type Options struct {
	// Now dates what arrives. Default the machine's clock.
	Now func() time.Time
	// Limit bounds the messages kept, the newest. Default 500.
	Limit int
	// MaxMessageBytes bounds one message. Default 1 MiB.
	MaxMessageBytes int64
	// Delay is how long ModeSlow waits. Default 2 s.
	Delay time.Duration
	// Logger is told of broken connections. Default: nothing is logged.
	Logger *slog.Logger
}

// Inbox is the mail server and what it holds. Its methods are safe for
// concurrent use.
type Inbox struct {
	opts   Options
	server *smtp.Server
	closed chan struct{}

	mu       sync.Mutex
	mode     Mode
	messages []Message // oldest first
	last     int64     // id of the newest message ever
	arrived  chan struct{}
}

// New makes an inbox. It takes mail once Serve is called.
func New(opts Options) *Inbox {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Limit <= 0 {
		opts.Limit = defaultLimit
	}
	if opts.MaxMessageBytes <= 0 {
		opts.MaxMessageBytes = defaultMaxMessageBytes
	}
	if opts.Delay <= 0 {
		opts.Delay = defaultDelay
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	in := &Inbox{opts: opts, mode: ModeUp, closed: make(chan struct{}), arrived: make(chan struct{})}
	in.server = smtp.NewServer(smtp.BackendFunc(in.session))
	in.server.Domain = "inbox.localhost"
	in.server.MaxMessageBytes = opts.MaxMessageBytes
	in.server.MaxRecipients = maxRecipients
	in.server.ReadTimeout = connectionTimeout
	in.server.WriteTimeout = connectionTimeout
	in.server.AllowInsecureAuth = true
	in.server.EnableSMTPUTF8 = true
	in.server.ErrorLog = smtpLog{opts.Logger}
	return in
}

// Serve takes mail from a listener, which it closes, until Close is called; it
// then returns nil.
func (in *Inbox) Serve(l net.Listener) error {
	if err := in.server.Serve(&gate{Listener: l, inbox: in}); err != nil && !errors.Is(err, smtp.ErrServerClosed) {
		return fmt.Errorf("inbox: serving mail: %w", err)
	}
	return nil
}

// Close stops taking mail and closes open connections. What arrived stays.
func (in *Inbox) Close() error {
	in.mu.Lock()
	select {
	case <-in.closed:
		in.mu.Unlock()
		return nil
	default:
		close(in.closed)
	}
	in.mu.Unlock()
	if err := in.server.Close(); err != nil && !errors.Is(err, smtp.ErrServerClosed) {
		return fmt.Errorf("inbox: closing: %w", err)
	}
	return nil
}

// SetMode changes how the server behaves from now on.
func (in *Inbox) SetMode(m Mode) error {
	if !slices.Contains(modes, m) {
		return fmt.Errorf("inbox: unknown mode %q", m)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.mode = m
	return nil
}

// Mode returns how the server behaves.
func (in *Inbox) Mode() Mode {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.mode
}

// Messages returns what is kept, the newest first.
func (in *Inbox) Messages() []Message {
	in.mu.Lock()
	defer in.mu.Unlock()
	out := slices.Clone(in.messages)
	slices.Reverse(out)
	return out
}

// Message returns one message.
func (in *Inbox) Message(id int64) (Message, bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	at := slices.IndexFunc(in.messages, func(m Message) bool { return m.ID == id })
	if at < 0 {
		return Message{}, false
	}
	return in.messages[at], true
}

// Clear forgets what arrived.
func (in *Inbox) Clear() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.messages = nil
}

// Wait blocks until at least n messages are kept and returns them, the newest
// first.
func (in *Inbox) Wait(ctx context.Context, n int) ([]Message, error) {
	for {
		in.mu.Lock()
		have, arrived := len(in.messages), in.arrived
		in.mu.Unlock()
		if have >= n {
			return in.Messages(), nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("inbox: waiting for %d messages, %d are here: %w", n, have, ctx.Err())
		case <-arrived:
		}
	}
}

// keep adds a message, pushing out the oldest when full.
func (in *Inbox) keep(m Message) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.last++
	m.ID = in.last
	in.messages = append(in.messages, m)
	if excess := len(in.messages) - in.opts.Limit; excess > 0 {
		in.messages = slices.Delete(in.messages, 0, excess)
	}
	close(in.arrived)
	in.arrived = make(chan struct{})
}
