package identity_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/sethvargo/go-envconfig"

	"github.com/fluxori/ai-credits/shared/identity"
	"github.com/fluxori/ai-credits/shared/identity/identitytest"
	"github.com/fluxori/ai-credits/shared/problem"
)

var _ problem.Coded = (*identity.Error)(nil)

const (
	debitAudience   = "https://europe-west4-project.cloudfunctions.net/debit"
	accountAudience = "account-client"
	reports         = "reports@project.iam.gserviceaccount.com"
)

// with returns a request that carries each value as an Authorization header.
func with(t *testing.T, values ...string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
	for _, v := range values {
		r.Header.Add("Authorization", v)
	}
	return r
}

// code returns the code of err, "" for none.
func code(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	coded, ok := errors.AsType[*identity.Error](err)
	if !ok {
		t.Fatalf("error %v is no *identity.Error", err)
	}
	if _, known := problem.Status(coded.Code()); !known || coded.Public() == "" {
		t.Errorf("error %v has no code of the contract, or no public text", err)
	}
	return coded.Code()
}

// newServices returns the services that listed lists, with tokens of issuer, and people of another issuer.
func newServices(t *testing.T, issuer, people *identitytest.Issuer, listed string) *identity.Services {
	t.Helper()
	var callers identity.Callers
	if err := callers.UnmarshalText([]byte(listed)); err != nil {
		t.Fatal(err)
	}
	var persons *identity.People
	if people != nil {
		var err error
		if persons, err = identity.NewPeople(identity.Source{Issuer: people.URL(), Audience: accountAudience}, ""); err != nil {
			t.Fatal(err)
		}
	}
	services, err := identity.NewServices(identity.Source{Issuer: issuer.URL(), Audience: debitAudience}, callers, persons)
	if err != nil {
		t.Fatal(err)
	}
	return services
}

const listed = `{"callers": [
	{"email": "Reports@project.iam.gserviceaccount.com", "roles": ["spend"]},
	{"email": "bound@project.iam.gserviceaccount.com", "roles": ["spend", "operate"], "orgs": ["acme", "beta-2"]}]}`

// segment encodes one part of a token.
func segment(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// publicKey fetches the issuer's public key as an attacker would.
func publicKey(t *testing.T, issuer *identitytest.Issuer) jose.JSONWebKey {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, issuer.URL()+"/keys", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(body, &set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("keys %s: %v", body, err)
	}
	return set.Keys[0]
}

// confused signs claims with HS256, taking the issuer's public key for a shared secret.
func confused(t *testing.T, issuer *identitytest.Issuer, claims string) string {
	t.Helper()
	key := publicKey(t, issuer)
	der, err := x509.MarshalPKIXPublicKey(key.Key)
	if err != nil {
		t.Fatal(err)
	}
	secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	options := (&jose.SignerOptions{}).WithHeader("kid", key.KeyID)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: secret}, options)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign([]byte(claims))
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestServicesLetInOnlyGoodTokensOfListedCallers(t *testing.T) {
	t.Parallel()
	issuer, stranger, people := identitytest.New(t), identitytest.New(t), identitytest.New(t)
	services := newServices(t, issuer, people, listed)

	good := issuer.Service(t, reports, debitAudience)
	parts := strings.Split(good, ".")
	claims := fmt.Sprintf(`{"iss":%q,"aud":%q,"sub":"1","email":%q,"email_verified":true,"exp":%d}`,
		issuer.URL(), debitAudience, reports, time.Now().Add(time.Hour).Unix())
	signed := func(change map[string]any) string {
		all := map[string]any{"sub": "1", "aud": debitAudience, "email": reports, "email_verified": true}
		for name, v := range change {
			all[name] = v
		}
		return "Bearer " + issuer.Token(t, all)
	}
	asStranger := "Bearer " + stranger.Token(t, map[string]any{
		"iss": issuer.URL(), "aud": debitAudience, "sub": "1", "email": reports, "email_verified": true,
	})
	person := "Bearer " + people.Token(t, map[string]any{"sub": "p", "aud": accountAudience, "email": "p@example.com", "email_verified": true})

	for name, c := range map[string]struct {
		header []string
		want   string
	}{
		"listed":                      {[]string{"Bearer " + good}, ""},
		"scheme in lower case":        {[]string{"bearer " + good}, ""},
		"several audiences":           {[]string{signed(map[string]any{"aud": []string{"other", debitAudience}})}, ""},
		"e-mail in capitals":          {[]string{signed(map[string]any{"email": strings.ToUpper(reports)})}, ""},
		"no header":                   {nil, "unauthenticated"},
		"empty header":                {[]string{""}, "unauthenticated"},
		"no token":                    {[]string{"Bearer "}, "unauthenticated"},
		"other scheme":                {[]string{"Basic " + good}, "unauthenticated"},
		"two headers":                 {[]string{"Bearer " + good, "Bearer " + good}, "unauthenticated"},
		"garbage":                     {[]string{"Bearer a.b.c"}, "unauthenticated"},
		"no token at all":             {[]string{"Bearer hello"}, "unauthenticated"},
		"too long":                    {[]string{"Bearer " + good + strings.Repeat("A", 9000)}, "unauthenticated"},
		"two tokens":                  {[]string{"Bearer " + good + " " + good}, "unauthenticated"},
		"JSON form":                   {[]string{`Bearer {"payload":"a.b.","signatures":[]}`}, "unauthenticated"},
		"expired":                     {[]string{signed(map[string]any{"exp": time.Now().Add(-time.Minute).Unix()})}, "unauthenticated"},
		"no expiry":                   {[]string{signed(map[string]any{"exp": nil})}, "unauthenticated"},
		"not yet":                     {[]string{signed(map[string]any{"nbf": time.Now().Add(time.Hour).Unix()})}, "unauthenticated"},
		"wrong audience":              {[]string{signed(map[string]any{"aud": "https://elsewhere"})}, "unauthenticated"},
		"no audience":                 {[]string{signed(map[string]any{"aud": nil})}, "unauthenticated"},
		"audience by prefix":          {[]string{signed(map[string]any{"aud": debitAudience + "/x"})}, "unauthenticated"},
		"wrong issuer":                {[]string{signed(map[string]any{"iss": stranger.URL()})}, "unauthenticated"},
		"no issuer":                   {[]string{signed(map[string]any{"iss": nil})}, "unauthenticated"},
		"stranger's signature":        {[]string{asStranger}, "unauthenticated"},
		"stranger's token":            {[]string{"Bearer " + stranger.Service(t, reports, debitAudience)}, "unauthenticated"},
		"no signature":                {[]string{"Bearer " + parts[0] + "." + parts[1] + "."}, "unauthenticated"},
		"other claims, old signature": {[]string{"Bearer " + parts[0] + "." + segment(claims) + "." + parts[2]}, "unauthenticated"},
		"alg none":                    {[]string{"Bearer " + segment(`{"alg":"none","typ":"JWT"}`) + "." + segment(claims) + "."}, "unauthenticated"},
		"alg none, some signature":    {[]string{"Bearer " + segment(`{"alg":"none"}`) + "." + segment(claims) + "." + parts[2]}, "unauthenticated"},
		"public key as secret":        {[]string{"Bearer " + confused(t, issuer, claims)}, "unauthenticated"},
		"key in the token":            {[]string{"Bearer " + segment(`{"alg":"RS256","jku":"`+stranger.URL()+`/keys","kid":"key-9"}`) + "." + segment(claims) + "." + parts[2]}, "unauthenticated"},
		"not listed":                  {[]string{"Bearer " + issuer.Service(t, "stray@project.iam.gserviceaccount.com", debitAudience)}, "forbidden"},
		"e-mail not verified":         {[]string{signed(map[string]any{"email_verified": false})}, "forbidden"},
		"e-mail verified by text":     {[]string{signed(map[string]any{"email_verified": "true"})}, "forbidden"},
		"no e-mail":                   {[]string{signed(map[string]any{"email": nil})}, "forbidden"},
		"e-mail of another form":      {[]string{signed(map[string]any{"email": []string{reports}})}, "unauthenticated"},
		"a person":                    {[]string{person}, "forbidden"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Twice: a refusal must not become a welcome through the cache.
			for range 2 {
				service, err := services.Authenticate(with(t, c.header...))
				if got := code(t, err); got != c.want {
					t.Fatalf("code %q (%v), want %q", got, err, c.want)
				}
				if want := map[bool]string{true: reports}[c.want == ""]; service.Actor != want {
					t.Errorf("actor %q, want %q", service.Actor, want)
				}
			}
		})
	}
}

func TestPeopleAreUnauthenticatedWhereTheirIssuerIsNotKnown(t *testing.T) {
	t.Parallel()
	issuer, people := identitytest.New(t), identitytest.New(t)
	services := newServices(t, issuer, nil, listed)
	_, err := services.Authenticate(with(t, "Bearer "+people.Token(t, map[string]any{"sub": "p", "aud": accountAudience})))
	if got := code(t, err); got != "unauthenticated" {
		t.Errorf("code %q, want unauthenticated", got)
	}
}

func TestAuthoriseChecksRoleAndOrganisation(t *testing.T) {
	t.Parallel()
	issuer := identitytest.New(t)
	services := newServices(t, issuer, nil, listed)
	for _, c := range []struct {
		email string
		role  identity.Role
		org   string
		want  string
	}{
		{reports, identity.Spend, "acme", ""},
		{reports, identity.Spend, "anyone", ""},
		{reports, identity.Spend, "", ""},
		{reports, identity.Operate, "acme", "forbidden"},
		{"bound@project.iam.gserviceaccount.com", identity.Spend, "acme", ""},
		{"bound@project.iam.gserviceaccount.com", identity.Operate, "beta-2", ""},
		{"bound@project.iam.gserviceaccount.com", identity.Spend, "anyone", "forbidden"},
		{"bound@project.iam.gserviceaccount.com", identity.Operate, "", "forbidden"},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			t.Parallel()
			service, err := services.Authenticate(with(t, "Bearer "+issuer.Service(t, c.email, debitAudience)))
			if err != nil {
				t.Fatal(err)
			}
			if got := code(t, service.Authorise(c.role, c.org)); got != c.want {
				t.Errorf("code %q, want %q", got, c.want)
			}
		})
	}
}

func TestCallersAreCheckedWholeAndAllFaultsTold(t *testing.T) {
	t.Parallel()
	var callers identity.Callers
	err := callers.UnmarshalText([]byte(`{"callers": [
		{"email": "nobody", "roles": []},
		{"email": "a@b", "roles": ["spend", "rule"], "orgs": ["Acme!"]},
		{"email": "A@b", "roles": ["spend"]}]}`))
	for _, want := range []string{`"nobody" is no e-mail`, `has no role`, `role "rule"`, `"Acme!" is no organisation`, "listed twice"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want it to say %q", err, want)
		}
	}
	for name, text := range map[string]string{
		"not JSON": `reports@project`, "unknown field": `{"callers":[{"email":"a@b","roles":["spend"],"role":"spend"}]}`, "twice": `{"callers":[],"callers":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var callers identity.Callers
			if err := callers.UnmarshalText([]byte(text)); err == nil {
				t.Errorf("accepted %s", text)
			}
		})
	}
}

func TestCallersComeFromOneSetting(t *testing.T) {
	t.Parallel()
	var config struct {
		Callers identity.Callers `env:"CALLERS,required"`
	}
	settings := envconfig.MapLookuper(map[string]string{"CALLERS": listed})
	if err := envconfig.ProcessWith(t.Context(), &envconfig.Config{Target: &config, Lookuper: settings}); err != nil {
		t.Fatal(err)
	}
	if len(config.Callers) != 2 || config.Callers[1].Orgs[1] != "beta-2" {
		t.Errorf("callers %+v", config.Callers)
	}
}

func TestASourceThatCannotBeTrustedIsRefused(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]identity.Source{
		"no issuer":      {Audience: "a"},
		"no audience":    {Issuer: "https://accounts.google.com"},
		"plain http":     {Issuer: "http://issuer.example.com", Audience: "a"},
		"no host":        {Issuer: "https://", Audience: "a"},
		"with a query":   {Issuer: "https://issuer.example.com?x=1", Audience: "a"},
		"with a user":    {Issuer: "https://me@issuer.example.com", Audience: "a"},
		"other scheme":   {Issuer: "file:///etc/keys", Audience: "a"},
		"no URL":         {Issuer: "https://%zz", Audience: "a"},
		"negative cache": {Issuer: "https://accounts.google.com", Audience: "a", CacheMax: -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := identity.NewPeople(source, ""); err == nil {
				t.Errorf("NewPeople accepted %+v", source)
			}
			if _, err := identity.NewServices(source, nil, nil); err == nil {
				t.Errorf("NewServices accepted %+v", source)
			}
		})
	}
}
