package inbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/fluxori/ai-credits/shared/embedded/inbox"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// serve starts an inbox on a free port.
func serve(t *testing.T, opts inbox.Options) (*inbox.Inbox, *net.TCPAddr) {
	t.Helper()
	opts.Now = func() time.Time { return noon }
	in := inbox.New(opts)
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- in.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(in.Close(), <-done); err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("listening on a %T", l.Addr())
	}
	return in, addr
}

func newMessage(t *testing.T, subject string) *mail.Msg {
	t.Helper()
	m := mail.NewMsg()
	err := errors.Join(
		m.FromFormat("AI Credits", "credits@fluxori.example"),
		m.AddToFormat("Ann Dlamini", "ann@acme.example"),
		m.AddTo("ben@acme.example"),
		m.Cc("sue@acme.example"),
	)
	if err != nil {
		t.Fatal(err)
	}
	m.Subject(subject)
	m.SetMessageIDWithValue("low.acme.1@fluxori.example")
	m.SetBodyString(mail.TypeTextPlain, "Your balance is 90 credits.\nÀ bientôt.")
	m.AddAlternativeString(mail.TypeTextHTML, "<p>Your balance is <b>90</b> credits.</p>")
	return m
}

func send(ctx context.Context, t *testing.T, to *net.TCPAddr, m *mail.Msg, opts ...mail.Option) error {
	t.Helper()
	opts = append([]mail.Option{
		mail.WithPort(to.Port), mail.WithTLSPolicy(mail.NoTLS), mail.WithTimeout(10 * time.Second), mail.WithHELO("test.localhost"),
	}, opts...)
	c, err := mail.NewClient(to.IP.String(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return c.DialAndSendWithContext(ctx, m)
}

func TestMessageIsShownAsAReaderSeesIt(t *testing.T) {
	t.Parallel()
	in, addr := serve(t, inbox.Options{})
	m := newMessage(t, "Low balance – naïve")
	if err := m.AttachReader("statement.csv", strings.NewReader("a,b\n")); err != nil {
		t.Fatal(err)
	}
	if err := send(t.Context(), t, addr, m, mail.WithSMTPAuth(mail.SMTPAuthPlainNoEnc), mail.WithUsername("any"), mail.WithPassword("one")); err != nil {
		t.Fatal(err)
	}
	got := in.Messages()
	if len(got) != 1 {
		t.Fatalf("%d messages", len(got))
	}
	if !bytes.Contains(got[0].Raw, []byte("Message-ID: <low.acme.1@fluxori.example>")) {
		t.Error("the message was not kept as it came")
	}
	got[0].Raw = nil
	want := inbox.Message{
		ID: 1, At: noon, From: "AI Credits <credits@fluxori.example>",
		To: []string{"Ann Dlamini <ann@acme.example>", "ben@acme.example"}, Cc: []string{"sue@acme.example"},
		MessageID: "low.acme.1@fluxori.example", Subject: "Low balance – naïve",
		Text: "Your balance is 90 credits.\nÀ bientôt.", HTML: "<p>Your balance is <b>90</b> credits.</p>",
		Attachments: []string{"statement.csv"}, EnvelopeFrom: "credits@fluxori.example",
		EnvelopeTo: []string{"ann@acme.example", "ben@acme.example", "sue@acme.example"},
	}
	if g, w := fmt.Sprintf("%+v", got[0]), fmt.Sprintf("%+v", want); g != w {
		t.Errorf("got  %s\nwant %s", g, w)
	}
}

func TestFaultModes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		mode      inbox.Mode
		fails     bool
		temporary bool // as the client sees it, where the server says
		kept      int
	}{
		{mode: inbox.ModeUp, kept: 1},
		{mode: inbox.ModeSlow, kept: 1},
		{mode: inbox.ModeDown, fails: true},
		{mode: inbox.ModeDefer, fails: true, temporary: true},
		{mode: inbox.ModeRefuse, fails: true},
		{mode: inbox.ModeDrop, fails: true, kept: 1},
	}
	for _, tt := range tests {
		t.Run(string(tt.mode), func(t *testing.T) {
			t.Parallel()
			const delay = 50 * time.Millisecond
			in, addr := serve(t, inbox.Options{Delay: delay})
			if err := in.SetMode(tt.mode); err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			err := send(t.Context(), t, addr, newMessage(t, "x"))
			if (err != nil) != tt.fails {
				t.Errorf("error = %v, want one: %t", err, tt.fails)
			}
			var refusal *mail.SendError
			if errors.As(err, &refusal) && refusal.IsTemp() != tt.temporary {
				t.Errorf("temporary = %t, want %t: %v", refusal.IsTemp(), tt.temporary, err)
			}
			if tt.mode == inbox.ModeSlow && time.Since(begun) < delay {
				t.Error("a slow server was quick")
			}
			if got := len(in.Messages()); got != tt.kept {
				t.Errorf("%d messages kept, want %d", got, tt.kept)
			}
			if err := in.SetMode(inbox.ModeUp); err != nil {
				t.Fatal(err)
			}
			if err := send(t.Context(), t, addr, newMessage(t, "y")); err != nil {
				t.Errorf("after the fault: %v", err)
			}
		})
	}
}

func TestUnknownModeIsRefused(t *testing.T) {
	t.Parallel()
	if err := inbox.New(inbox.Options{}).SetMode("asleep"); err == nil {
		t.Error("it was set")
	}
}

func TestOnlyTheNewestMessagesAreKept(t *testing.T) {
	t.Parallel()
	in, addr := serve(t, inbox.Options{Limit: 3})
	for i := range 5 {
		if err := send(t.Context(), t, addr, newMessage(t, fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	var subjects []string
	for _, m := range in.Messages() {
		subjects = append(subjects, m.Subject)
	}
	if want := []string{"4", "3", "2"}; !slices.Equal(subjects, want) {
		t.Errorf("kept %q, want %q", subjects, want)
	}
	in.Clear()
	if n := len(in.Messages()); n != 0 {
		t.Errorf("%d messages after clearing", n)
	}
}

func TestMessageOverTheLimitIsRefused(t *testing.T) {
	t.Parallel()
	in, addr := serve(t, inbox.Options{MaxMessageBytes: 2000})
	m := newMessage(t, "long")
	m.SetBodyString(mail.TypeTextPlain, strings.Repeat("word ", 1000))
	if err := send(t.Context(), t, addr, m); err == nil {
		t.Error("it was taken")
	}
	if n := len(in.Messages()); n != 0 {
		t.Errorf("%d messages", n)
	}
}

func TestMessageThatCannotBeReadIsKeptWithItsDefect(t *testing.T) {
	t.Parallel()
	in, addr := serve(t, inbox.Options{})
	raw := []byte("From: not an address\r\nSubject: odd\r\n\r\nbody\r\n")
	if err := smtp.SendMail(addr.String(), nil, "a@b.example", []string{"c@d.example"}, raw); err != nil {
		t.Fatal(err)
	}
	m := in.Messages()[0]
	if m.Defect == "" || m.Subject != "odd" || strings.TrimSpace(m.Text) != "body" {
		t.Errorf("message = %+v", m)
	}
}

func TestWaitEndsWhenEnoughArrivedOrTheContextEnds(t *testing.T) {
	t.Parallel()
	in, addr := serve(t, inbox.Options{})
	sent := make(chan error, 1)
	m := newMessage(t, "x")
	go func() { sent <- send(t.Context(), t, addr, m) }()
	got, err := in.Wait(t.Context(), 1)
	if err := errors.Join(err, <-sent); err != nil || len(got) != 1 {
		t.Errorf("Wait = %d messages, %v", len(got), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := in.Wait(ctx, 2); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error = %v", err)
	}
}

func get(t *testing.T, h http.Handler, method, target, body string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body)))
	return w
}

func TestJSON(t *testing.T) {
	t.Parallel()
	in, addr := serve(t, inbox.Options{})
	for _, subject := range []string{"first", "second"} {
		if err := send(t.Context(), t, addr, newMessage(t, subject)); err != nil {
			t.Fatal(err)
		}
	}
	h := in.JSON()
	var list struct {
		Items []struct {
			ID        int64    `json:"id"`
			To        []string `json:"to"`
			Subject   string   `json:"subject"`
			MessageID string   `json:"message_id"`
			Text      string   `json:"text"`
		} `json:"items"`
	}
	if err := json.Unmarshal(get(t, h, http.MethodGet, "/_local/emails", "").Body.Bytes(), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 2 || list.Items[0].Subject != "second" || list.Items[0].MessageID != "low.acme.1@fluxori.example" {
		t.Errorf("items = %+v", list.Items)
	}
	tests := []struct {
		method, target, body string
		status               int
		contains             string
	}{
		{http.MethodGet, "/_local/emails?to=ben@acme.example", "", 200, `"subject":"first"`},
		{http.MethodGet, "/_local/emails?to=nobody@acme.example", "", 200, `{"items":[]}`},
		{http.MethodGet, "/_local/emails/1", "", 200, `"subject":"first"`},
		{http.MethodGet, "/_local/emails/9", "", 404, `"code":"not_found"`},
		{http.MethodGet, "/_local/emails/x", "", 404, `"code":"not_found"`},
		{http.MethodPost, "/_local/emails/mode", `{"mode":"defer"}`, 200, `{"mode":"defer"}`},
		{http.MethodPost, "/_local/emails/mode", `{"mode":"lost"}`, 400, `"code":"invalid_request"`},
		{http.MethodPost, "/_local/emails/mode", `{"mode":"up"}{}`, 400, `"code":"invalid_request"`},
		{http.MethodDelete, "/_local/emails", "", 204, ""},
		{http.MethodGet, "/_local/emails", "", 200, `{"items":[]}`},
	}
	for _, tt := range tests {
		w := get(t, h, tt.method, tt.target, tt.body)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.contains) {
			t.Errorf("%s %s %s: %d %s", tt.method, tt.target, tt.body, w.Code, w.Body)
		}
	}
	if in.Mode() != inbox.ModeDefer {
		t.Errorf("mode = %s", in.Mode())
	}
}

func TestPageShowsMessagesAndRunsNothingInThem(t *testing.T) {
	t.Parallel()
	in, addr := serve(t, inbox.Options{})
	m := newMessage(t, "<script>alert(1)</script>")
	m.AddAlternativeString(mail.TypeTextHTML, `<script>alert(2)</script>`)
	if err := send(t.Context(), t, addr, m); err != nil {
		t.Fatal(err)
	}
	h := in.Page("/_local/inbox/")
	for _, target := range []string{"/_local/inbox", "/_local/inbox/", "/_local/inbox/1"} {
		w := get(t, h, http.MethodGet, target, "")
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "&lt;script&gt;alert(1)") {
			t.Errorf("%s: %d", target, w.Code)
		}
		if strings.Contains(w.Body.String(), "<script>") {
			t.Errorf("%s holds the message's script", target)
		}
		if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
			t.Errorf("%s: policy %q", target, csp)
		}
	}
	if raw := get(t, h, http.MethodGet, "/_local/inbox/1/raw", ""); !strings.Contains(raw.Body.String(), "Message-ID:") {
		t.Errorf("raw: %s", raw.Body)
	}
	if w := get(t, h, http.MethodGet, "/_local/inbox/7", ""); w.Code != http.StatusNotFound {
		t.Errorf("an unknown message: %d", w.Code)
	}
}
