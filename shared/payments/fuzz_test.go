package payments

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/fluxori/ai-credits/shared/catalogue"
)

// FuzzVerify hands anything to what Stripe's webhooks are handed to. Only what was signed is taken, and the error explains itself.
func FuzzVerify(f *testing.F) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	v, err := NewVerifier([]string{"whsec_fuzz"}, false, func() time.Time { return now })
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte, header string) {
		refused := func(err error) {
			t.Helper()
			var e *Error
			if !errors.As(err, &e) || e.Code() != "invalid_request" {
				t.Fatalf("error %v is no refusal", err)
			}
		}
		if _, err := v.Verify(body, header); err == nil {
			t.Fatalf("took what nobody signed: %q %q", body, header)
		} else {
			refused(err)
		}
		signed := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: body, Secret: "whsec_fuzz", Timestamp: now})
		n, err := v.Verify(body, signed.Header)
		if err != nil {
			refused(err)
			return
		}
		if !validObjectID(n.ID) || n.Type == "" || len(n.Object) == 0 {
			t.Fatalf("took %+v", n)
		}
	})
}

// FuzzNotice hands anything signed to what reads events, and what was read to what decides. Neither fails but by an error, and nothing is granted
// on nothing known.
func FuzzNotice(f *testing.F) {
	seed, err := catalogue.Seed()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, kind string, object []byte) {
		n := Notice{ID: "evt_1", Type: kind, At: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Object: object}
		if !n.matters() {
			return
		}
		e, err := n.event()
		if err != nil {
			return
		}
		d := Plan(e, Known{Now: n.At, Prices: seed})
		for _, g := range d.Grants {
			if g.Terms.Granted <= 0 || d.Org == "" || strings.TrimSpace(g.Key.ID) == "" {
				t.Fatalf("grants %+v to %q", g, d.Org)
			}
		}
	})
}

// FuzzReference reads what people may write for a reference: what it is read as is one, and is read as itself.
func FuzzReference(f *testing.F) {
	f.Fuzz(func(t *testing.T, written string) {
		reference, ok := NormalReference(written)
		if !ok {
			if ValidReference(written) {
				t.Fatalf("%q is no reference, and read as %q", written, reference)
			}
			return
		}
		if again, ok := NormalReference(reference); !ValidReference(reference) || !ok || again != reference {
			t.Fatalf("%q is read as %q, and that as %q, %t", written, reference, again, ok)
		}
	})
}
