package stripestand_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
)

// answer takes an answer of Handler and keeps its status.
type answer struct {
	header http.Header
	status int
	body   strings.Builder
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }

// newBench makes a stand-in whose webhooks are taken at once.
func newBench(b *testing.B, path string) (*stripestand.Stand, *clock) {
	b.Helper()
	c := &clock{at: start}
	s, err := stripestand.New(stripestand.Options{
		Now: c.now, BaseURL: "http://localhost", MaxObjects: 1 << 30, Path: path,
		Endpoints: []stripestand.Endpoint{{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	for _, err := range []error{
		s.AddProduct(stripestand.Product{ID: "prod", Name: "Starter"}),
		s.AddPrice(stripestand.Price{ID: "pack", Product: "prod", Currency: "zar", UnitAmount: 15000}),
		s.AddPrice(stripestand.Price{ID: "plan", Product: "prod", Currency: "zar", UnitAmount: 30000, Interval: "month"}),
	} {
		if err != nil {
			b.Fatal(err)
		}
	}
	return s, c
}

// BenchmarkPurchase creates a checkout session, pays it and delivers its four
// webhooks.
func BenchmarkPurchase(b *testing.B) {
	s, _ := newBench(b, "")
	for b.Loop() {
		purchase(b, s)
	}
}

func purchase(b *testing.B, s *stripestand.Stand) {
	b.Helper()
	const form = "mode=payment&success_url=http://x&line_items[0][price]=pack&line_items[0][quantity]=1&metadata[org_id]=acme"
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "/v1/checkout/sessions", strings.NewReader(form))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer sk")
	a := &answer{header: http.Header{}}
	s.Handler().ServeHTTP(a, r)
	if a.status != http.StatusOK {
		b.Fatal(a.body.String())
	}
	_, rest, _ := strings.Cut(a.body.String(), `"id":"cs_`)
	id, _, _ := strings.Cut(rest, `"`)
	if err := s.PayCheckout("cs_" + id); err != nil {
		b.Fatal(err)
	}
	if err := s.Deliver(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkRenewal200 turns the periods of 200 subscriptions at once, pays their
// invoices and delivers the eight webhooks of each.
func BenchmarkRenewal200(b *testing.B) {
	s, c := newBench(b, "")
	subscribeMany(b, s, 200)
	for b.Loop() {
		due, ok := s.Due()
		if !ok {
			b.Fatal("nothing comes due")
		}
		c.set(due.Add(time.Hour))
		if err := s.Run(b.Context(), c.now()); err != nil {
			b.Fatal(err)
		}
		if err := s.Deliver(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkKept is a purchase that is paid, its webhooks delivered, with the state of a thousand subscriptions and
// the 5,000 newest events beside; without a file, and with one.
func BenchmarkKept(b *testing.B) {
	for name, path := range map[string]string{"memory": "", "file": filepath.Join(b.TempDir(), "stripe.db")} {
		b.Run(name, func(b *testing.B) {
			s, _ := newBench(b, path)
			subscribeMany(b, s, 1000)
			for b.Loop() {
				purchase(b, s)
			}
		})
	}
}

// subscribeMany has n customers subscribe, each with a card that works, and delivers the webhooks.
func subscribeMany(b *testing.B, s *stripestand.Stand, n int) {
	b.Helper()
	for range n {
		customer, err := s.CreateCustomer(stripestand.NewCustomer{Email: "a@b.example", Card: stripestand.CardVisa})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.CreateSubscription(stripestand.Subscription{Customer: customer, Price: "plan"}); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Deliver(b.Context()); err != nil {
		b.Fatal(err)
	}
}
