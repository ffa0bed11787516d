package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fluxori/ai-credits/shared/needs"
)

func TestAWalletIsLookedAtAdjustedFrozenAndThawed(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	admin := o.open("wallets", "Wallets")
	o.buy("wallets", admin, "credits-500", true)
	o.debit("wallets", "report-1", "market-trend-report")

	if code := o.run("wallets", "adjust", "wallets", "-add", "1000", "-reason", "Goodwill"); code != exitDone {
		t.Fatalf("%d %s", code, &o.err)
	}
	golden(t, "adjust", o.err.String()+"---\n"+o.out.String())
	if got := o.available("wallets"); got != 1450 {
		t.Errorf("%v are available, want 1450", got)
	}
	if code := o.run("", "adjust", "wallets", "-take", "450", "-reason", "Mistake", "-yes", "-json"); code != exitDone || !strings.Contains(o.out.String(), `"credits":-450`) {
		t.Errorf("%d %s%s", code, &o.out, &o.err)
	}
	if code := o.run("wallets", "freeze", "wallets", "-reason", "Suspected fraud"); code != exitDone {
		t.Fatalf("%d %s", code, &o.err)
	}
	golden(t, "balance", o.must("balance", "wallets"))
	golden(t, "org", o.must("org", "wallets"))
	refused := o.api(http.MethodPost, "/debit/check", o.tokenOf(`{"role":"service"}`), `{"org_id":"wallets","feature":"market-trend-report","user_id":"thandi"}`)
	if refused["allowed"] != false {
		t.Errorf("a frozen wallet allows %v", refused)
	}
	if code := o.run("wallets", "thaw", "wallets", "-reason", "Cleared"); code != exitDone {
		t.Fatalf("%d %s", code, &o.err)
	}
	golden(t, "entries", o.must("entries", "wallets"))
	golden(t, "entry", o.must("entry", "wallets", "report-1"))
	lines := o.lines("entries", "wallets", "-json", "-limit", "2")
	if len(lines) != 2 || lines[0]["kind"] != "thaw" || !strings.Contains(o.err.String(), "There are more") {
		t.Errorf("%v %s", lines, &o.err)
	}
	then := lines[1]["at"].(string)
	if was := o.object("balance", "wallets", "-at", then); was["available"] != 1000.0 {
		t.Errorf("at %s there were %v", then, was)
	}
	if e := o.object("entry", "wallets", "report-1"); e["kind"] != "debit" || e["credits"] != 50.0 {
		t.Errorf("%v", e)
	}
}

func TestWhatWasRefusedIsTold(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	o.open("refused", "Refused")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, o.system+"/debit",
		strings.NewReader(`{"event_id":"e","org_id":"refused","feature":"bulk-pricing","user_id":"sipho"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+o.tokenOf(`{"role":"service"}`))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	o.eventually("the refusal", func() bool { return len(o.lines("refusals", "refused", "-json")) == 1 })
	golden(t, "refusals", o.must("refusals", "refused", "-user", "sipho"))
	if got := o.lines("refusals", "refused", "-user", "thandi", "-json"); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

// TestNothingMovesUnlessItIsConfirmed tries each verb that asks, with every wrong answer and with nobody there.
func TestNothingMovesUnlessItIsConfirmed(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	reference := o.buy("asked", o.open("asked", "Asked"), "credits-500", true)
	before := o.must("entries", "asked", "-json")
	for _, args := range [][]string{
		{"adjust", "asked", "-add", "50", "-reason", "r"},
		{"freeze", "asked", "-reason", "r"},
		{"thaw", "asked", "-reason", "r"},
		{"refund", reference},
		{"recover", reference},
		{"erase", "asked", "owner-of-asked"},
	} {
		for _, answer := range []string{"", "yes", "y", "Asked", "askedd", "other"} {
			if code := o.run(answer, args...); code != exitFailed || !strings.Contains(o.err.String(), "not confirmed: nothing was changed") {
				t.Errorf("%q answered with %q ended with %d: %s", args, answer, code, &o.err)
			}
		}
		if !strings.Contains(o.err.String(), "Asked (asked)") || !strings.Contains(o.err.String(), "Type asked to go on") {
			t.Errorf("%q does not say what it is about: %s", args, &o.err)
		}
		o.terminal = false
		if code := o.run("asked", args...); code != exitFailed || !strings.Contains(o.err.String(), "give -yes") || strings.Contains(o.err.String(), "Type asked") {
			t.Errorf("%q with nobody there ended with %d: %s", args, code, &o.err)
		}
		o.terminal = true
		if strings.Contains(o.err.String(), "The key is") {
			t.Errorf("%q chose a key without leave: %s", args, &o.err)
		}
	}
	if after := o.must("entries", "asked", "-json"); after != before {
		t.Errorf("the ledger has changed from\n%s\nto\n%s", before, after)
	}
}

// severed forwards to the system, and breaks the connection instead of answering as often as it is told to.
type severed struct {
	url  string
	left atomic.Int64
	sent atomic.Int64
}

func sever(t *testing.T, system string) *severed {
	t.Helper()
	target, err := url.Parse(system)
	if err != nil {
		t.Fatal(err)
	}
	s := &severed{}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(res *http.Response) error {
		if res.Request.Method != http.MethodPost || res.Request.URL.Path == "/_local/token" {
			return nil
		}
		s.sent.Add(1)
		if s.left.Add(-1) >= 0 {
			panic(http.ErrAbortHandler) // it has happened, and nobody is told
		}
		return nil
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func TestALostAnswerIsLearnedUnderTheSameKey(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	o.open("severed", "Severed")
	s := sever(t, o.system)
	o.url = s.url
	args := []string{"adjust", "severed", "-add", "70", "-reason", "Goodwill"}

	s.left.Store(2) // fewer than it tries; of one attempt net/http makes two, where a key allows that
	if code := o.run("severed", args...); code != exitDone || s.sent.Load() != 3 || !strings.Contains(o.err.String(), "attempt 1 of 4") {
		t.Fatalf("%d after %d attempts: %s", code, s.sent.Load(), &o.err)
	}
	if got := o.available("severed"); got != 70 {
		t.Fatalf("%v are available, want 70", got)
	}

	s.left.Store(1000)
	if code := o.run("severed", args...); code != exitFailed || !strings.Contains(o.err.String(), "the outcome is not known") {
		t.Fatalf("%d %s", code, &o.err)
	}
	s.left.Store(0)
	_, rest, _ := strings.Cut(o.err.String(), "run the same again with -key ")
	key, _, _ := strings.Cut(rest, ":")
	if !strings.Contains(o.err.String(), "The key is "+key+";") {
		t.Fatalf("the key %q was not printed before: %s", key, &o.err)
	}
	if code := o.run("severed", append(args, "-key", key)...); code != exitDone || !strings.Contains(o.out.String(), "Done before, under this key:") {
		t.Fatalf("%d %s%s", code, &o.out, &o.err)
	}
	if code := o.run("", append(args, "-key", key, "-json", "-yes")...); code != exitDone || !strings.Contains(o.out.String(), `"replayed":true`) {
		t.Errorf("%d %s%s", code, &o.out, &o.err)
	}
	if got := o.available("severed"); got != 140 {
		t.Errorf("%v are available, want 140: each of two adjustments once", got)
	}
	if code := o.run("severed", "adjust", "severed", "-add", "71", "-reason", "Goodwill", "-key", key); code != exitFailed || !strings.Contains(o.err.String(), "idempotency_conflict (409)") {
		t.Errorf("%d %s", code, &o.err)
	}
}

func TestRefusalsSayWhyAndWhichRequest(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	o.open("plain", "Plain")
	tests := []struct {
		name, token, want string
		args              []string
		code              int
	}{
		{"no such organisation", "", "unknown_org (404)", []string{"balance", "nowhere"}, exitFailed},
		{"no such purchase", "", "not_found (404)", []string{"purchase", "CR-0000-0000"}, exitFailed},
		{"no such entry", "", "not_found (404)", []string{"entry", "plain", "none"}, exitFailed},
		{"more than there is", "", "insufficient_credits (402)", []string{"adjust", "plain", "-take", "5", "-reason", "r", "-yes"}, exitFailed},
		{"another role", `{"role":"platform"}`, "needs the claim support", []string{"adjust", "plain", "-add", "5", "-reason", "r", "-yes"}, exitFailed},
		{"a member", `{"role":"member","org_id":"plain","user_id":"sipho"}`, "forbidden (403)", []string{"promotions", "get", "X"}, exitFailed},
		{"no good token", "nonsense", "unauthenticated (401)", []string{"balance", "plain"}, exitFailed},
		{"a moment that is none", "", "invalid_request (400)", []string{"balance", "plain", "-at", "yesterday"}, exitFailed},
		{"no reason", "", "-reason is missing", []string{"freeze", "plain"}, exitUsage},
		{"neither add nor take", "", "-add or to -take", []string{"adjust", "plain", "-reason", "r"}, exitUsage},
		{"both", "", "-add or to -take", []string{"adjust", "plain", "-reason", "r", "-add", "1", "-take", "1"}, exitUsage},
		{"no such flag", "", "flag provided but not defined", []string{"balance", "plain", "-force"}, exitUsage},
		{"an operand too many", "", "takes 1 operands, not 2", []string{"balance", "plain", "other"}, exitUsage},
		{"a page of none", "", "a number from 1 to 10000", []string{"entries", "plain", "-limit", "0"}, exitUsage},
		{"a place that is none", "", "is no address", []string{"balance", "plain", "-to", "localhost:8080"}, exitUsage},
		{"a token for all to read", "", "use https", []string{"balance", "plain", "-to", "http://credits.example"}, exitUsage},
		{"no token for a real project", "", "no token; set CREDITSCTL_TOKEN", []string{"balance", "plain", "-to", "https://credits.example"}, exitUsage},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := operatorOf(t, o.system)
			args := tt.args
			switch {
			case strings.HasPrefix(tt.token, "{"):
				args = append(args, "-token", o.tokenOf(tt.token))
			case tt.token != "":
				args = append(args, "-token", tt.token)
			}
			if code := o.run("", args...); code != tt.code || !strings.Contains(o.err.String(), tt.want) || o.out.Len() > 0 && tt.code == exitUsage {
				t.Errorf("ended with %d and printed %s%s", code, &o.out, &o.err)
			}
			if strings.Contains(tt.want, " (4") && !strings.Contains(o.err.String(), "[request ") {
				t.Errorf("which request it was is not told: %s", &o.err)
			}
		})
	}
}

func TestATokenIsPrintedByACommandOrStandsInTheEnvironment(t *testing.T) {
	t.Parallel()
	needs.Program(t, "sh")
	o := newOperator(t)
	o.open("tokens", "Tokens")
	token := o.tokenOf(`{"role":"support"}`)
	o.must("balance", "tokens", "-token-command", fmt.Sprintf("printf '%%s\\n' %s", token))
	if code := o.run("", "balance", "tokens", "-token-command", "echo sign in first >&2; false"); code != exitFailed || !strings.Contains(o.err.String(), "sign in first") {
		t.Errorf("%d %s", code, &o.err)
	}
	if code := o.run("", "balance", "tokens", "-token-command", "echo two words"); code != exitFailed || !strings.Contains(o.err.String(), "as a token is none") {
		t.Errorf("%d %s", code, &o.err)
	}
	o.lookup = func(name string) (string, bool) {
		return map[string]string{"CREDITSCTL_TO": o.system, "CREDITSCTL_TOKEN": token}[name], true
	}
	o.must("balance", "tokens")
	if code := o.run("", "reconciliation"); code != exitFailed || !strings.Contains(o.err.String(), "forbidden (403)") {
		t.Errorf("the token is not the one of the environment: %d %s", code, &o.err)
	}
}
