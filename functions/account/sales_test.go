package account

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/fluxori/ai-credits/shared/catalogue"
)

// republish makes a version that differs from the seed the current one. The function has not looked at the catalogue yet.
func (s *system) republish(t testing.TB, change func(*catalogue.Document)) {
	t.Helper()
	seed, err := catalogue.Seed()
	if err != nil {
		t.Fatal(err)
	}
	document := seed.Document()
	document.Version = 2
	change(&document)
	next, err := catalogue.New(document)
	if err != nil {
		t.Fatal(err)
	}
	if err := catalogue.NewStore(s.Client, slog.New(slog.DiscardHandler), catalogue.StoreOptions{}).Publish(t.Context(), next, "operator"); err != nil {
		t.Fatal(err)
	}
}

// priced is what a number of credits costs, credit by credit, in tenths of a cent of what the seed says, rounded up once.
func priced(credits int64, perTen ...int64) int64 {
	var tenths int64
	for n := int64(1); n <= credits; n++ {
		switch {
		case n <= 500:
			tenths += perTen[0]
		case n <= 1000:
			tenths += perTen[1]
		case n <= 5000:
			tenths += perTen[2]
		default:
			tenths += perTen[3]
		}
	}
	return (tenths + 9) / 10
}

func TestACustomAmountCostsExactlyItsStepsOrIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		country, currency string
		perTen            []int64
	}{
		{"ZA", "ZAR", []int64{1000, 900, 800, 700}}, {"US", "USD", []int64{60, 54, 48, 42}}, {"DE", "EUR", []int64{55, 50, 44, 39}},
	} {
		t.Run(c.currency, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			s.register(t, "acme")
			s.must(t, s.platform(t), http.MethodPut, "/orgs/acme", strings.Replace(acmeProfile, "ZA", c.country, 1))
			token := s.token(t, "acme-admin")
			for _, credits := range []int64{50, 51, 55, 499, 500, 501, 510, 999, 1000, 1001, 4999, 5000, 5001, 5003, 49999, 50000} {
				got := s.must(t, token, http.MethodPost, "/orgs/acme/purchases", fmt.Sprintf(`{"credits":%d}`, credits), "Idempotency-Key", fmt.Sprint(credits)).body
				if want := priced(credits, c.perTen...); number(got["amount"]) != want || got["currency"] != c.currency || number(got["credits"]) != credits {
					t.Errorf("%d credits: %v, want %d %s", credits, got, want, c.currency)
				}
			}
			for _, credits := range []int64{1, 49, 50001, 1 << 40} {
				got := s.call(t, token, http.MethodPost, "/orgs/acme/purchases", fmt.Sprintf(`{"credits":%d}`, credits), "Idempotency-Key", fmt.Sprint(credits))
				if got.status != http.StatusUnprocessableEntity || got.code() != "credits_out_of_range" || number(got.body["min"]) != 50 || number(got.body["max"]) != 50000 {
					t.Errorf("%d credits: %d %s", credits, got.status, got.raw)
				}
			}
		})
	}
}

func TestDearerDollarsLeaveRandAlone(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.republish(t, func(d *catalogue.Document) {
		d.Checkout.AutomaticTax = true
		usd := d.CustomCredits["USD"]
		usd.Steps = []catalogue.Step{{From: 1, Amount: 999, Credits: 10}}
		d.CustomCredits["USD"] = usd
		for i := range d.Packages {
			d.Packages[i].Prices["USD"] *= 2
		}
	})
	s.register(t, "acme")
	s.register(t, "globex")
	s.must(t, s.platform(t), http.MethodPut, "/orgs/globex", strings.Replace(acmeProfile, "ZA", "US", 1))
	told, _ := s.must(t, s.token(t, "acme-member"), http.MethodGet, "/catalogue?country=ZA", "").body["checkout"].(map[string]any)
	if told["automatic_tax"] != true || told["promotion_codes"] != false {
		t.Errorf("the checkout is told as %v", told)
	}
	buy := func(org, body string) map[string]any {
		return s.must(t, s.token(t, org+"-admin"), http.MethodPost, "/orgs/"+org+"/purchases", body, "Idempotency-Key", body).body
	}
	for _, c := range []struct {
		org, body, currency string
		amount              int64
	}{
		{"acme", `{"package":"credits-500"}`, "ZAR", 44900}, {"acme", `{"credits":600}`, "ZAR", 59000},
		{"globex", `{"package":"credits-500"}`, "USD", 5398}, {"globex", `{"credits":600}`, "USD", 59940},
	} {
		if got := buy(c.org, c.body); number(got["amount"]) != c.amount || got["currency"] != c.currency {
			t.Errorf("%s %s: %v, want %d %s", c.org, c.body, got, c.amount, c.currency)
		}
	}
}

// TestOrganisationsInSouthAfricaNeverSeeDollars looks at everything that tells prices.
func TestOrganisationsInSouthAfricaNeverSeeDollars(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	token := s.token(t, "acme-admin")
	bought := s.must(t, token, http.MethodPost, "/orgs/acme/purchases", `{"credits":100}`, "Idempotency-Key", "k")
	for _, path := range []string{"/catalogue?country=ZA", "/orgs/acme", "/orgs/acme/purchases/" + fmt.Sprint(bought.body["reference"])} {
		got := s.must(t, token, http.MethodGet, path, "")
		if got.body["currency"] != "ZAR" || strings.Contains(got.raw, "USD") || strings.Contains(got.raw, "EUR") {
			t.Errorf("%s: %s", path, got.raw)
		}
	}
	if strings.Contains(bought.raw, "USD") || bought.body["currency"] != "ZAR" {
		t.Errorf("the purchase: %s", bought.raw)
	}
}

func TestThePortalIsTheOrganisationsOwn(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.register(t, "acme")
	s.register(t, "globex")
	urls := map[string]bool{}
	for _, org := range []string{"acme", "acme", "globex"} {
		got := s.must(t, s.token(t, org+"-admin"), http.MethodPost, "/orgs/"+org+"/billing-portal", "")
		url := fmt.Sprint(got.body["url"])
		if got.status != http.StatusCreated || !strings.HasPrefix(url, s.stripe+"/portal/") {
			t.Errorf("%d %s", got.status, got.raw)
		}
		urls[url] = true
	}
	customers, err := s.Client.Collection("stripeCustomers").Documents(t.Context()).GetAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(urls) != 3 || len(customers) != 2 {
		t.Errorf("%d addresses, %d customers; want one for each visit and organisation", len(urls), len(customers))
	}
}
