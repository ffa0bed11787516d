package payments

import (
	"crypto/hmac"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/webhook"
)

// Bounds of a webhook.
const (
	// MaxNoticeBytes is how large an event may be: line items repeat metadata.
	MaxNoticeBytes = 1 << 20
	// tolerance is how far the time of a signature may be from ours, either way.
	tolerance = 300 * time.Second
	// maxSignatures is how many signatures a header may hold; Stripe sends one per secret while one is rotated.
	maxSignatures = 8
	// maxSecrets bounds the work per request.
	maxSecrets = 8
)

// Verifier tells Stripe's events from others.
type Verifier struct {
	secrets  []string
	livemode bool
	now      func() time.Time
}

// NewVerifier makes a Verifier that takes events signed with any of the secrets, of the given mode. now is the machine's clock. Without a
// secret, or with an empty one, there is none: an empty secret verifies what anybody signs.
func NewVerifier(secrets []string, livemode bool, now func() time.Time) (*Verifier, error) {
	if len(secrets) == 0 || len(secrets) > maxSecrets {
		return nil, fmt.Errorf("%d webhook secrets; there must be from 1 to %d", len(secrets), maxSecrets)
	}
	for i, s := range secrets {
		if strings.TrimSpace(s) == "" || strings.TrimSpace(s) != s {
			return nil, fmt.Errorf("webhook secret %d is empty or has spaces around it", i+1)
		}
	}
	if now == nil {
		return nil, errors.New("verifying webhooks needs the machine's clock")
	}
	return &Verifier{secrets: secrets, livemode: livemode, now: now}, nil
}

// Verify reads an event from a request's raw body and its Stripe-Signature header. The error is an *Error, `invalid_request`.
func (v *Verifier) Verify(body []byte, header string) (Notice, error) {
	if err := v.signature(body, header); err != nil {
		return Notice{}, refuse("The signature does not verify.", err)
	}
	var e stripe.Event
	if err := json.Unmarshal(body, &e); err != nil {
		return Notice{}, refuse("The body is not an event.", err)
	}
	switch {
	case e.APIVersion != stripe.APIVersion:
		return Notice{}, refuse("Events must be of the API version "+stripe.APIVersion+".", fmt.Errorf("event %q is of %q", e.ID, e.APIVersion))
	case e.Livemode != v.livemode:
		return Notice{}, refuse("The event is of the other mode, live or test.", fmt.Errorf("event %q has livemode %t", e.ID, e.Livemode))
	case !validObjectID(e.ID) || e.Type == "" || e.Data == nil || len(e.Data.Raw) == 0:
		return Notice{}, refuse("The body is not an event.", fmt.Errorf("event %q of type %q", e.ID, e.Type))
	}
	return Notice{ID: e.ID, Type: string(e.Type), At: time.Unix(e.Created, 0).UTC(), Object: e.Data.Raw}, nil
}

// signature tells whether one of the secrets signed the body at about this time.
func (v *Verifier) signature(body []byte, header string) error {
	at, signatures, err := parseSignature(header)
	if err != nil {
		return err
	}
	if age := v.now().Sub(at); age > tolerance || age < -tolerance {
		return fmt.Errorf("signed %v ago, more than %v away", age, tolerance)
	}
	for _, secret := range v.secrets {
		want := webhook.ComputeSignature(at, body, secret)
		for _, s := range signatures {
			if hmac.Equal(want, s) {
				return nil
			}
		}
	}
	return fmt.Errorf("none of %d signatures is by one of %d secrets", len(signatures), len(v.secrets))
}

// parseSignature reads a header such as t=1495999758,v1=5257a8… with one time and some signatures. Other schemes are passed over.
func parseSignature(header string) (at time.Time, signatures [][]byte, err error) {
	for part := range strings.SplitSeq(header, ",") {
		scheme, value, _ := strings.Cut(part, "=")
		switch scheme {
		case "t":
			seconds, err := strconv.ParseInt(value, 10, 64)
			if err != nil || !at.IsZero() || seconds <= 0 {
				return time.Time{}, nil, errors.New("the header has no one time")
			}
			at = time.Unix(seconds, 0)
		case "v1":
			s, err := hex.DecodeString(value)
			if err != nil || len(signatures) == maxSignatures {
				return time.Time{}, nil, errors.New("the header has a malformed signature, or too many")
			}
			signatures = append(signatures, s)
		}
	}
	if at.IsZero() || len(signatures) == 0 {
		return time.Time{}, nil, errors.New("the header has no time or no signature")
	}
	return at, signatures, nil
}
