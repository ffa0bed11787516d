package inbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // messages in charsets other than UTF-8
	"github.com/emersion/go-message/mail"
)

// maxParts bounds the parts of a message that are looked at.
const maxParts = 50

// Message is a message as a reader sees it, and as it came.
type Message struct {
	// ID counts the messages from 1.
	ID int64     `json:"id"`
	At time.Time `json:"at"`
	// From, To and Cc are the addresses in the message's header.
	From string   `json:"from"`
	To   []string `json:"to"`
	Cc   []string `json:"cc,omitempty"`
	// MessageID has no angle brackets.
	MessageID string `json:"message_id"`
	Subject   string `json:"subject"`
	Text      string `json:"text"`
	HTML      string `json:"html,omitempty"`
	// Attachments names the files attached.
	Attachments []string `json:"attachments,omitempty"`
	// EnvelopeFrom and EnvelopeTo are what the sender told the server.
	EnvelopeFrom string   `json:"envelope_from"`
	EnvelopeTo   []string `json:"envelope_to"`
	// Defect says what about the message could not be read.
	Defect string `json:"defect,omitempty"`
	// Raw is the message as it came.
	Raw []byte `json:"-"`
}

// parse reads a message. One that cannot be read is kept too, with its defect.
func parse(raw []byte) Message {
	m := Message{Raw: raw, To: []string{}}
	r, err := mail.CreateReader(bytes.NewReader(raw))
	if err != nil && (r == nil || !message.IsUnknownCharset(err)) {
		m.Defect = err.Error()
		return m
	}
	var defects []error
	note := func(err error) {
		if err != nil {
			defects = append(defects, err)
		}
	}
	m.Subject, err = r.Header.Subject()
	note(err)
	m.MessageID, err = r.Header.MessageID()
	note(err)
	from, err := r.Header.AddressList("From")
	note(err)
	m.From = strings.Join(addresses(from), ", ")
	to, err := r.Header.AddressList("To")
	note(err)
	m.To = append(m.To, addresses(to)...)
	cc, err := r.Header.AddressList("Cc")
	note(err)
	m.Cc = addresses(cc)
	note(m.readParts(r))
	if err := errors.Join(defects...); err != nil {
		m.Defect = err.Error()
	}
	return m
}

func addresses(list []*mail.Address) []string {
	var out []string
	for _, a := range list {
		if a.Name == "" {
			out = append(out, a.Address)
			continue
		}
		out = append(out, a.Name+" <"+a.Address+">")
	}
	return out
}

// readParts takes the first text, the first HTML and the names of attachments.
func (m *Message) readParts(r *mail.Reader) error {
	for range maxParts {
		part, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !message.IsUnknownCharset(err) {
			return fmt.Errorf("reading a part: %w", err)
		}
		switch h := part.Header.(type) {
		case *mail.InlineHeader:
			err = m.readInline(h, part.Body)
		case *mail.AttachmentHeader:
			var name string
			name, err = h.Filename()
			m.Attachments = append(m.Attachments, name)
		}
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("the message has more than %d parts", maxParts)
}

func (m *Message) readInline(h *mail.InlineHeader, body io.Reader) error {
	kind, _, err := h.ContentType()
	if err != nil {
		return fmt.Errorf("reading a part's type: %w", err)
	}
	dst := &m.Text
	switch {
	case kind == "text/html":
		dst = &m.HTML
	case kind != "text/plain":
		return nil
	}
	if *dst != "" {
		return nil
	}
	content, err := io.ReadAll(body)
	*dst = strings.ReplaceAll(string(content), "\r\n", "\n")
	if err != nil {
		return fmt.Errorf("reading a part: %w", err)
	}
	return nil
}
