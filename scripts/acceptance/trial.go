package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/webhook"
	"golang.org/x/oauth2"

	"github.com/fluxori/ai-credits/shared/client"
)

// What is spent, and by whom.
const (
	organisation = "smoke"
	feature      = "custom-query"
	credits      = 10
)

// attempts is how often the client asks: everything is tried again as it is.
const attempts = 2

// maxAnswerBytes bounds what is read of an answer.
const maxAnswerBytes = 1 << 20

// trial is one run.
type trial struct {
	url      func(function string) string
	token    func(ctx context.Context, audience string) (string, error)
	messages *pubsub.Client
	id       string
	secret   string
	livemode bool
	out      io.Writer
	now      func() time.Time
	// wait and attempts bound how long a usage message may take.
	wait     time.Duration
	attempts int
}

// insist tries everything until nothing fails, a bounded number of times with a pause between. What was done before is not done twice.
func (t trial) insist(ctx context.Context, audience string, tries int, pause time.Duration) error {
	for left := tries - 1; ; left-- {
		err := t.run(ctx, audience)
		if err == nil || left <= 0 {
			return err
		}
		fmt.Fprintf(t.out, "%d more tries: %v\n", left, err)
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(pause):
		}
	}
}

// run tries everything, and tells all that fails. audience is what tokens for debit must be for.
func (t trial) run(ctx context.Context, audience string) error {
	token, err := t.token(ctx, audience)
	if err != nil {
		return err
	}
	service, err := client.New(client.Options{URL: t.url("debit"), Tokens: oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token}), Attempts: attempts})
	if err != nil {
		return err
	}
	var failed []error
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"account is well", func(ctx context.Context) error { return t.healthy(ctx, "account") }},
		{"purchasewebhook is well", func(ctx context.Context) error { return t.healthy(ctx, "purchasewebhook") }},
		{"a signed event is taken", func(ctx context.Context) error { return t.webhook(ctx, t.secret, http.StatusOK) }},
		{"a forged event is refused", func(ctx context.Context) error { return t.webhook(ctx, "whsec_forged", http.StatusBadRequest) }},
		{"a debit without a token is refused", t.stranger},
		{"a debit is decided", func(ctx context.Context) error { return t.debit(ctx, service) }},
		{"a usage message is charged for", func(ctx context.Context) error { return t.usage(ctx, service) }},
	} {
		if err := step.do(ctx); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", step.what, err))
			continue
		}
		fmt.Fprintln(t.out, "ok:", step.what)
	}
	return errors.Join(failed...)
}

// answer is what a function answered.
type answer struct {
	status int
	body   struct {
		Status  any    `json:"status"`
		Outcome string `json:"outcome"`
	}
	text string
}

func (a answer) unexpected() error { return fmt.Errorf("answered %d %.300s", a.status, a.text) }

func (t trial) ask(ctx context.Context, method, url string, header http.Header, body []byte) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswerBytes))
	if err != nil {
		return answer{}, err
	}
	a := answer{status: res.StatusCode, text: string(data)}
	// Google's front end answers strangers in HTML.
	if json.Valid(data) {
		if err := json.Unmarshal(data, &a.body); err != nil {
			return a, fmt.Errorf("read the answer of %s: %w", url, err)
		}
	}
	return a, nil
}

func (t trial) healthy(ctx context.Context, function string) error {
	a, err := t.ask(ctx, http.MethodGet, t.url(function)+"/health", nil, nil)
	if err != nil {
		return err
	}
	if a.status != http.StatusOK || a.body.Status != "ok" {
		return a.unexpected()
	}
	return nil
}

// webhook sends an event of a kind that asks for nothing, signed with a secret.
func (t trial) webhook(ctx context.Context, secret string, status int) error {
	now := t.now()
	payload, err := json.Marshal(map[string]any{
		"id": "evt_acceptance" + strings.ReplaceAll(t.id, "-", ""), "object": "event", "api_version": stripe.APIVersion, "type": "customer.created", "created": now.Unix(),
		"livemode": t.livemode, "data": map[string]any{"object": map[string]any{"id": "cus_acceptance", "object": "customer"}},
	})
	if err != nil {
		return err
	}
	signed := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: payload, Secret: secret, Timestamp: now})
	a, err := t.ask(ctx, http.MethodPost, t.url("purchasewebhook"), http.Header{"Stripe-Signature": {signed.Header}}, signed.Payload)
	if err != nil {
		return err
	}
	if a.status != status || status == http.StatusOK && a.body.Outcome != "ignored" {
		return a.unexpected()
	}
	return nil
}

func (t trial) spending(event string) client.Debit {
	n := int64(credits)
	return client.Debit{EventID: "acceptance-" + t.id + "-" + event, Work: client.Work{OrgID: organisation, Feature: feature, Credits: &n}}
}

func (t trial) reversal(event string) client.Reversal {
	of := t.spending(event).EventID
	return client.Reversal{EventID: of + "-back", OrgID: organisation, DebitEventID: of, Reason: "a deployment was tried"}
}

// stranger is refused by Google's front end, or by the function where there is none.
func (t trial) stranger(ctx context.Context) error {
	body, err := json.Marshal(t.spending("stranger"))
	if err != nil {
		return err
	}
	a, err := t.ask(ctx, http.MethodPost, t.url("debit"), http.Header{"Content-Type": {"application/json"}}, body)
	if err != nil {
		return err
	}
	if a.status != http.StatusUnauthorized && a.status != http.StatusForbidden {
		return a.unexpected()
	}
	return nil
}

// debit has one decided, either way: the organisation need not have credits. What was spent is given back.
func (t trial) debit(ctx context.Context, service *client.Client) error {
	_, err := service.Debit(ctx, t.spending("debit"))
	switch client.CodeOf(err) {
	case client.InsufficientCredits, client.InDebt:
		return nil
	}
	if err != nil {
		return err
	}
	again, err := service.Debit(ctx, t.spending("debit"))
	if err != nil {
		return fmt.Errorf("repeated: %w", err)
	}
	if !again.Replayed {
		return errors.New("repeated, it was charged for again")
	}
	if _, err := service.Reverse(ctx, t.reversal("debit")); err != nil {
		return fmt.Errorf("given back: %w", err)
	}
	return nil
}

// usage reports work done, and gives its credits back: which is possible only once they were charged.
func (t trial) usage(ctx context.Context, service *client.Client) error {
	reporter := client.NewReporter(t.messages)
	defer reporter.Stop()
	if err := reporter.Report(ctx, t.spending("usage")); err != nil {
		return err
	}
	var last error
	for range t.attempts {
		_, last = service.Reverse(ctx, t.reversal("usage"))
		if last == nil || client.CodeOf(last) != client.NotFound {
			return last
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(t.wait):
		}
	}
	return fmt.Errorf("after %d attempts: %w", t.attempts, last)
}
