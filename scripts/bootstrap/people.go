package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// people is who signs people in, as the environment's values have it.
type people struct {
	// platform says that it is Identity Platform, for the API alone.
	platform       bool
	issuer, client string
	prefix         string // before the names of claims
	confidential   bool   // the client has a secret
}

// Secrets of the dashboard.
const (
	dashboardKeys = "dashboard-keys"
	clientSecret  = "people-client-secret"
)

var (
	noPeoplePattern = regexp.MustCompile(`(?m)^people\s*=\s*null\b`)
	peoplePattern   = regexp.MustCompile(`(?ms)^people\s*=\s*\{(.*?)^\}`)
)

// readPeople reads who signs people in from the text of an environment's values. ok is false if they do not say.
func readPeople(values string) (p people, ok bool) {
	if noPeoplePattern.MatchString(values) {
		return people{platform: true}, true
	}
	block := peoplePattern.FindStringSubmatch(values)
	if block == nil {
		return people{}, false
	}
	value := func(name string) string {
		m := regexp.MustCompile(`(?m)^\s*` + name + `\s*=\s*"?([^"\s]*)"?`).FindStringSubmatch(block[1])
		if m == nil {
			return ""
		}
		return m[1]
	}
	p = people{issuer: value("issuer"), client: value("client_id"), prefix: value("claim_prefix"), confidential: value("confidential") == "true"}
	return p, p.issuer != "" && p.client != ""
}

// dashboardURL is where people find the pages.
func (b *bootstrap) dashboardURL() string {
	return cmp.Or(b.dashboard, "https://"+region+"-"+b.project+".cloudfunctions.net/account/ui/")
}

// issuer makes sure that people can be signed in: the issuer answers for itself, by the code flow with PKCE.
func (b *bootstrap) issuer(ctx context.Context) error {
	if b.people.platform {
		return nil
	}
	says, err := b.discover(ctx)
	if err != nil {
		return missing{fmt.Sprintf("an answer from the issuer %s (%v)", b.people.issuer, err)}
	}
	var wrong []string
	must := func(ok bool, what string) {
		if !ok {
			wrong = append(wrong, what)
		}
	}
	must(says.Issuer == b.people.issuer, fmt.Sprintf("it calls itself %q, which is what people.issuer must be, to the letter", says.Issuer))
	must(says.Authorization != "", "it has no authorisation endpoint: nobody can be sent there to sign in")
	must(says.Token != "" && says.Keys != "", "it has no token endpoint, or no keys")
	must(slices.Contains(says.Challenges, "S256"), "it does not say that it takes PKCE with S256")
	if len(wrong) > 0 {
		return missing{"an issuer that can sign people in; of " + b.people.issuer + ": " + strings.Join(wrong, "; ")}
	}
	return nil
}

// discovery is what an issuer says of itself, as far as it is needed.
type discovery struct {
	Issuer        string   `json:"issuer"`
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Keys          string   `json:"jwks_uri"`
	Challenges    []string `json:"code_challenge_methods_supported"`
}

func (b *bootstrap) discover(ctx context.Context) (discovery, error) {
	var says discovery
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(b.people.issuer, "/")+"/.well-known/openid-configuration", http.NoBody)
	if err != nil {
		return says, err
	}
	res, err := b.http.Do(req)
	if err != nil {
		return says, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return says, fmt.Errorf("it answers %s", res.Status)
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswerBytes))
	if err != nil {
		return says, err
	}
	return says, json.Unmarshal(data, &says)
}

// dashboardSecrets adds the keys of the dashboard's cookies, which nobody need ever see, and its secret at the issuer.
func (b *bootstrap) dashboardSecrets(ctx context.Context) error {
	if b.people.platform {
		return nil
	}
	has, err := b.hasVersion(ctx, dashboardKeys)
	if err != nil {
		return err
	}
	if !has {
		key := make([]byte, 32)
		if _, err := rand.Read(key); err != nil {
			return err
		}
		if err := b.addVersion(ctx, dashboardKeys, base64.StdEncoding.EncodeToString(key)); err != nil {
			return err
		}
	}
	if !b.people.confidential {
		return nil
	}
	return b.secret(ctx, clientSecret, "PEOPLE_CLIENT_SECRET", "the secret of the client "+b.people.client+" at "+b.people.issuer)
}
