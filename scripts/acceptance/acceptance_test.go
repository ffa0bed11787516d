package main

import (
	"bytes"
	"context"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "github.com/fluxori/ai-credits/functions/account"
	_ "github.com/fluxori/ai-credits/functions/debit"
	_ "github.com/fluxori/ai-credits/functions/purchasewebhook"
	_ "github.com/fluxori/ai-credits/functions/usage"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/cloudtest"
	"github.com/fluxori/ai-credits/shared/ledger"
)

const deployer = "deploy@test.iam.gserviceaccount.com"

// deployment starts the functions that a trial reaches, but for one, with an organisation that has some credits.
func deployment(t *testing.T, without string, credits int64) (*cloudtest.Cloud, *ledger.Ledger, trial) {
	t.Helper()
	c := cloudtest.New(t)
	c.Catalogue(t)
	l := c.Ledger(t, nil)
	c.Fund(t, l, organisation, credits)
	const key, page = "sk_test_acceptance", "https://fluxori.example/"
	stripe := map[string]string{"STRIPE_API_KEY": key, "CHECKOUT_RETURN_URL": page, "STRIPE_WEBHOOK_SECRETS": "whsec_next,whsec_acceptance"}
	for name, settings := range map[string]map[string]string{
		"account": {"STRIPE_API_KEY": key, "CHECKOUT_RETURN_URL": page, "PEOPLE_ISSUER": "https://people.example", "PEOPLE_AUDIENCE": "people"},
		"debit":   {"CALLERS": `{"callers":[{"email":"` + deployer + `","roles":["spend"],"orgs":["smoke"]}]}`},
		"usage":   nil, "purchasewebhook": stripe,
	} {
		if name != without {
			c.Start(t, name, settings)
		}
	}
	return c, l, trial{
		url: c.URL, token: func(_ context.Context, audience string) (string, error) { return c.Token(t, deployer, audience), nil },
		messages: c.Messages, id: "build-1", secret: "whsec_acceptance", out: io.Discard, now: time.Now, wait: time.Millisecond, attempts: 20_000,
	}
}

func TestADeploymentThatWorksIsAcceptedAndLeftAsItWas(t *testing.T) {
	t.Parallel()
	for name, credits := range map[string]int64{"with credits": 100, "without": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, l, try := deployment(t, "", credits)
			var told bytes.Buffer
			try.out = &told
			for range 2 { // a build that is run again has no second effect
				if err := try.run(t.Context(), c.Audience("debit")); err != nil {
					t.Fatal(err)
				}
			}
			if n := strings.Count(told.String(), "ok: "); n != 14 {
				t.Errorf("told %d of 14 steps:\n%s", n, &told)
			}
			w, err := l.View(t.Context(), organisation)
			if err != nil {
				t.Fatal(err)
			}
			if want := (credit.Figures{Available: credits}); w.Figures != want {
				t.Errorf("the organisation is left with %+v, not %+v", w.Figures, want)
			}
		})
	}
}

func TestADeploymentThatDoesNotWorkIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, without, want string
		change              func(*trial)
	}{
		{"no usage", "usage", "a usage message is charged for", func(t *trial) { t.attempts = 3 }},
		{"no account", "account", "account is well", func(*trial) {}},
		{"another webhook secret", "", "a signed event is taken", func(t *trial) { t.secret = "whsec_another" }},
		{"the other mode", "", "a signed event is taken", func(t *trial) { t.livemode = true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cloud, _, try := deployment(t, c.without, 0)
			c.change(&try)
			if err := try.run(t.Context(), cloud.Audience("debit")); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the trial says %v, not %q", err, c.want)
			}
		})
	}
}

// TestWhatFailsAtFirstIsTriedAgain is a deployment whose rights hold only after a while.
func TestWhatFailsAtFirstIsTriedAgain(t *testing.T) {
	t.Parallel()
	for tries, want := range map[int]bool{3: true, 2: false} {
		t.Run(strconv.Itoa(tries), func(t *testing.T) {
			t.Parallel()
			c, _, try := deployment(t, "", 0)
			asked := 0
			try.token = func(_ context.Context, audience string) (string, error) {
				if asked++; asked < 3 {
					return "not yet", nil
				}
				return c.Token(t, deployer, audience), nil
			}
			err := try.insist(t.Context(), c.Audience("debit"), tries, time.Millisecond)
			if (err == nil) != want || asked != tries {
				t.Errorf("after %d of %d tries: %v", asked, tries, err)
			}
		})
	}
}

func TestARunThatIsNotClearIsRefused(t *testing.T) {
	t.Parallel()
	with := func(secret string) func(string) string { return func(string) string { return secret } }
	for name, c := range map[string]struct {
		args   []string
		secret string
		want   string
	}{
		"no project": {[]string{"-id", "a"}, "whsec", "-project"},
		"no id":      {[]string{"-project", "credits-test"}, "whsec", "-id"},
		"no secret":  {[]string{"-project", "credits-test", "-id", "a"}, "", "STRIPE_WEBHOOK_SECRETS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := run(t.Context(), c.args, with(c.secret), io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("it says %v, not %q", err, c.want)
			}
		})
	}
}
