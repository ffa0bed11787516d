package payments_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/problem"
)

var (
	_ problem.Coded     = (*payments.Error)(nil)
	_ problem.Retryable = (*payments.Error)(nil)
)

const eventBody = `{"id":"evt_1","object":"event","api_version":"2023-10-16","created":1772366400,"livemode":false,"type":"charge.refunded","data":{"object":{"id":"ch_1","amount_total":1000000}}}`

// sign signs a body as Stripe does.
func sign(body, secret string, at time.Time) string {
	return webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: []byte(body), Secret: secret, Timestamp: at}).Header
}

func TestOnlyWhatStripeSignedIsTaken(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	valid := sign(eventBody, "whsec_new", now)
	replace := func(old, new string) (body, header string) {
		body = strings.Replace(eventBody, old, new, 1)
		return body, sign(body, "whsec_new", now)
	}
	live, liveHeader := replace(`"livemode":false`, `"livemode":true`)
	version, versionHeader := replace("2023-10-16", "2024-06-20")
	noVersion, noVersionHeader := replace(`"api_version":"2023-10-16",`, "")
	noData, noDataHeader := replace(`,"data":{"object":{"id":"ch_1","amount_total":1000000}}`, "")
	path, pathHeader := replace("evt_1", "evt/../1")
	_, signature, _ := strings.Cut(valid, "v1=")
	tests := []struct {
		name, body, header string
		taken              bool
	}{
		{"by the secret in use", eventBody, valid, true},
		{"by the secret before it", eventBody, sign(eventBody, "whsec_old", now), true},
		{"by several, one of them ours", eventBody, fmt.Sprintf("%s,v1=%s,v0=00", sign(eventBody, "whsec_strange", now), signature), true},
		{"300 s ago", eventBody, sign(eventBody, "whsec_new", now.Add(-300*time.Second)), true},
		{"in 300 s", eventBody, sign(eventBody, "whsec_new", now.Add(300*time.Second)), true},
		{"301 s ago", eventBody, sign(eventBody, "whsec_new", now.Add(-301*time.Second)), false},
		{"in 301 s", eventBody, sign(eventBody, "whsec_new", now.Add(301*time.Second)), false},
		{"years ahead", eventBody, sign(eventBody, "whsec_new", now.AddDate(5, 0, 0)), false},
		{"by a secret that is not ours", eventBody, sign(eventBody, "whsec_strange", now), false},
		{"by the empty secret", eventBody, sign(eventBody, "", now), false},
		{"with one byte changed", strings.Replace(eventBody, "ch_1", "ch_2", 1), valid, false},
		{"with a space more", eventBody + " ", valid, false},
		{"with another time than was signed", eventBody, fmt.Sprintf("t=%d,v1=%s", now.Unix()+1, signature), false},
		{"with two times", eventBody, fmt.Sprintf("t=%d,%s", now.Unix()-1000, valid), false},
		{"without a header", eventBody, "", false},
		{"without a time", eventBody, "v1=" + signature, false},
		{"without a signature", eventBody, fmt.Sprintf("t=%d", now.Unix()), false},
		{"with a signature that is no number", eventBody, fmt.Sprintf("t=%d,v1=zz", now.Unix()), false},
		{"with more signatures than are checked", eventBody, valid + strings.Repeat(",v1=00", 8), false},
		{"but of the other mode", live, liveHeader, false},
		{"but of another API version", version, versionHeader, false},
		{"but of no API version", noVersion, noVersionHeader, false},
		{"but without an object", noData, noDataHeader, false},
		{"but with an id that is a path", path, pathHeader, false},
		{"but no JSON", "hello", sign("hello", "whsec_new", now), false},
		{"but empty", "", sign("", "whsec_new", now), false},
	}
	v, err := payments.NewVerifier([]string{"whsec_new", "whsec_old"}, false, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n, err := v.Verify([]byte(tt.body), tt.header)
			if !tt.taken {
				refused, ok := errors.AsType[*payments.Error](err)
				if !ok || refused.Code() != problem.InvalidRequest {
					t.Errorf("it is taken: %+v, %v", n, err)
				}
				return
			}
			if err != nil || n.ID != "evt_1" || n.Type != "charge.refunded" || n.At.Unix() != 1772366400 || !strings.Contains(string(n.Object), "1000000") {
				t.Errorf("read as %+v, %v", n, err)
			}
		})
	}
}

func TestAVerifierNeedsSecretsThatAreSecret(t *testing.T) {
	t.Parallel()
	for _, secrets := range [][]string{nil, {}, {""}, {" "}, {"whsec_1", ""}, {"whsec_1", " whsec_2"}, make([]string, 9)} {
		if _, err := payments.NewVerifier(secrets, false, time.Now); err == nil {
			t.Errorf("%q are taken", secrets)
		}
	}
	if _, err := payments.NewVerifier([]string{"whsec_1"}, false, nil); err == nil {
		t.Error("no clock is taken")
	}
}

func TestAGatewayNeedsAKeyOfItsMode(t *testing.T) {
	t.Parallel()
	tests := []struct {
		key      string
		livemode bool
		taken    bool
	}{
		{"sk_test_1", false, true}, {"sk_live_1", true, true}, {"rk_live_1", true, true}, {"sk_local", false, true}, {"sk_local", true, true},
		{"sk_test_1", true, false}, {"sk_live_1", false, false}, {"rk_test_1", true, false}, {"", false, false}, {" ", false, false},
	}
	for _, tt := range tests {
		_, err := payments.NewGateway(payments.GatewayOptions{Key: tt.key, Livemode: tt.livemode})
		if (err == nil) != tt.taken {
			t.Errorf("key %q, livemode %t: %v", tt.key, tt.livemode, err)
		}
	}
}
