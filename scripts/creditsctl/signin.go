package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
)

// claim is what the API wants of a token beside that it is good.
type claim string

// The claims of staff.
const (
	support  claim = "support"
	platform claim = "platform"
)

// localURL is where scripts/local serves.
const localURL = "http://localhost:8080"

// tokenMax bounds what a command may print as a token, in bytes.
const tokenMax = 16 << 10

// account is the API of the function account, as the person who runs the tool.
type account struct {
	*tool
	claim                   claim
	to, given, tokenCommand string
	base                    string // where the function is, once it is asked
	token                   string
}

// account adds the flags of what goes through the API.
func (t *tool) account(flags *flag.FlagSet, who claim) *account {
	a := &account{tool: t, claim: who}
	flags.StringVar(&a.to, "to", cmp.Or(t.setting("CREDITSCTL_TO"), localURL), "the system: https://europe-west4-PROJECT.cloudfunctions.net, or one on this machine; CREDITSCTL_TO")
	flags.StringVar(&a.tokenCommand, "token-command", t.setting("CREDITSCTL_TOKEN_COMMAND"), "a command that prints an ID token; CREDITSCTL_TOKEN_COMMAND")
	flags.StringVar(&a.given, "token", "", "an ID token; CREDITSCTL_TOKEN, which others on the machine do not see, is better")
	return a
}

// beside is the same API, with what is shown to people beside what programs read.
func (a *account) beside() *account {
	out, t := *a, *a.tool
	t.out = t.err
	out.tool = &t
	return &out
}

// setting is what the environment says, or nothing.
func (t *tool) setting(name string) string {
	if value, ok := t.lookup(name); ok {
		return value
	}
	return ""
}

// signIn finds out where the API is and whom to be there. A system on this machine gives tokens to everybody.
func (a *account) signIn(ctx context.Context) error {
	if a.token != "" {
		return nil
	}
	u, err := url.Parse(a.to)
	if err != nil || u.Host == "" || u.RawQuery != "" || (u.Scheme != "https" && u.Scheme != "http") {
		return fmt.Errorf("%w: -to %q is no address such as %s", errUsage, a.to, localURL)
	}
	ip := net.ParseIP(u.Hostname())
	here := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme == "http" && !here {
		return fmt.Errorf("%w: -to %q would send the token for all to read; use https", errUsage, a.to)
	}
	a.base = strings.TrimSuffix(a.to, "/") + "/account"
	environment := a.setting("CREDITSCTL_TOKEN")
	switch {
	case a.given != "":
		a.token = a.given
	case a.tokenCommand != "":
		a.token, err = printed(ctx, a.tokenCommand)
	case environment != "":
		a.token = environment
	case here:
		a.token, err = a.localToken(ctx)
	default:
		return fmt.Errorf("%w: no token; set CREDITSCTL_TOKEN, or CREDITSCTL_TOKEN_COMMAND to a command that prints one", errUsage)
	}
	if err == nil && (a.token == "" || strings.ContainsAny(a.token, " \t\r\n")) {
		return errors.New("what was given as a token is none")
	}
	return err
}

// printed is what a shell command prints.
func printed(ctx context.Context, command string) (string, error) {
	cmd := exec.CommandContext(ctx, "sh", "-c", command) //nolint:gosec // whoever runs the tool says which
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("the command for a token: %w: %.300s", err, clean(errs.String()))
	}
	if out.Len() > tokenMax {
		return "", errors.New("the command for a token printed something too long")
	}
	return strings.TrimSpace(out.String()), nil
}

// localToken asks a system on this machine for the claim that the verb needs.
func (a *account) localToken(ctx context.Context) (string, error) {
	body, err := json.Marshal(map[string]any{"role": a.claim, "user_id": "creditsctl"})
	if err != nil {
		return "", err
	}
	answer, err := a.exchange(ctx, request{method: http.MethodPost, url: strings.TrimSuffix(a.to, "/") + "/_local/token", body: body})
	if err != nil {
		return "", fmt.Errorf("no token from the system on this machine (is it running? go run ./scripts/local): %w", err)
	}
	var got struct{ Token string }
	if err := json.Unmarshal(answer, &got); err != nil {
		return "", fmt.Errorf("the token of the system on this machine: %w", err)
	}
	return got.Token, nil
}
