// Package secret is the type of settings that must not be seen: keys, passwords, signing secrets.
//
// Invariant: a Text comes out whole by [Text.Reveal] alone; printed, logged or encoded, by itself or within a configuration, it is "[redacted]".
//
// It does not own where secrets are kept, nor what a log leaves out by its name (package serve).
package secret

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Text is a secret setting. Its zero value is none.
type Text string

// Reveal returns the secret, for what it is the secret of.
func (t Text) Reveal() string { return string(t) }

// LogValue implements slog.LogValuer.
func (Text) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format implements fmt.Formatter, for every verb.
func (Text) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) } // whoever formats hears of its writer's failures

// MarshalText implements encoding.TextMarshaler, which JSON uses too.
func (Text) MarshalText() ([]byte, error) { return []byte(redacted), nil }
