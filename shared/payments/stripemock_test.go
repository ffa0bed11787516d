package payments

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stripe/stripe-go/v76"

	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/needs"
)

// asked keeps which requests were sent to stripe-mock, and what it said against them.
type asked struct {
	mu       sync.Mutex
	requests []string
}

// through passes requests on to stripe-mock. One that its description of the API does not allow fails the test.
func (a *asked) through(t *testing.T, mock string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		req, err := http.NewRequestWithContext(r.Context(), r.Method, mock+r.URL.RequestURI(), bytes.NewReader(sent))
		if err != nil {
			t.Error(err)
			return
		}
		req.Header = r.Header
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Error(err)
		}
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s %s %s: %d %s", r.Method, r.URL, sent, res.StatusCode, body)
		}
		a.mu.Lock()
		a.requests = append(a.requests, r.Method+" "+r.URL.Path)
		a.mu.Unlock()
		w.WriteHeader(res.StatusCode)
		_, _ = w.Write(noPhase.ReplaceAll(body, []byte(`"current_phase":{"start_date":1700000000,"end_date":1702592000}`)))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// mocked are the methods that send requests, by the type they are of, each with all requests that it can send.
func mocked(t *testing.T, g *Gateway) map[string]func() error {
	t.Helper()
	ctx := t.Context()
	span := Period{Start: time.Unix(1_700_000_000, 0), End: time.Unix(1_700_086_400, 0)}
	purchase := Purchase{
		Reference: "CR-7F3K-9QX2", Org: "acme", Offer: Offer{Credits: 1000, Amount: 79900, Currency: "ZAR", AutomaticTax: true, Discounts: true},
		TopUp: "topup:acme:1", Customer: "cus_1", Card: "pm_1", CreatedAt: span.Start,
	}
	taxed := purchase
	taxed.Tax.Calculation = "taxcalc_1"
	change := planChange{
		gateway: g, key: "plan:acme:k", price: planPrice{ID: "price_1"},
		s: Subscription{
			ID: "sub_1", Status: Active, Items: []Item{{ID: "si_1", Price: "price_2", Quantity: 1}}, Period: span, Schedule: "sub_sched_1", CancelAtPeriodEnd: true,
		},
	}
	return map[string]func() error{
		"Gateway.openCheckout": func() error {
			id, _, err := g.openCheckout(ctx, purchase, customerRecord{Customer: "cus_1"}, CheckoutOptions{ReturnURL: "https://fluxori.example/return"})
			return errors.Join(err, unless(strings.HasPrefix(id, "cs_"), "the session %q", id))
		},
		"Gateway.customerOrg":  func() error { _, err := g.customerOrg(ctx, "cus_1"); return err },
		"Gateway.lines":        func() error { _, _, err := g.lines(ctx, "in_1"); return err },
		"Gateway.findCustomer": func() error { _, err := g.findCustomer(ctx, "acme", ""); return err },
		"Gateway.createCustomer": func() error {
			_, err := g.createCustomer(ctx, Buyer{Org: "acme", Name: "Acme", Email: "owner@acme.example"}, 0)
			return err
		},
		"Gateway.openPortal": func() error { _, err := g.openPortal(ctx, "cus_1", "https://fluxori.example/return"); return err },
		"Gateway.account":    func() error { _, _, err := g.account(ctx, "pi_1"); return err },
		"Gateway.refund": func() error {
			return g.refund(ctx, Payment{ID: "pi_1", Org: "acme", Reference: purchase.Reference}, OwnRefund{N: 1, Amount: 100})
		},
		"Gateway.charge":    func() error { _, err := g.charge(ctx, purchase); return err },
		"Gateway.taxOn":     func() error { _, err := g.taxOn(ctx, "cus_1", purchase.Offer); return err },
		"Gateway.recordTax": func() error { return g.recordTax(ctx, taxed) },
		"Gateway.upcoming":  func() error { _, err := g.upcoming(ctx, change.s, "price_2", span.Start); return err },
		"Gateway.cardOf":    func() error { _, err := g.cardOf(ctx, "cus_1"); return err },
		"Gateway.page": func() error {
			for _, src := range append([]source{eventSource}, swept...) {
				if err := mockedPage(ctx, g, src, span); err != nil {
					return err
				}
			}
			_, _, err := g.became(ctx, purchase)
			_, _, failed := g.Taken(ctx, span, "")
			_, refunds := g.RefundedSince(ctx, "ch_1", span.Start, span.End)
			return errors.Join(err, failed, refunds)
		},
		"Gateway.object": func() error {
			s, err := g.subscription(ctx, "sub_1")
			err = errors.Join(err, unless(s.Period.Start.Unix() != 0, "the subscription %+v", s))
			for _, src := range objectSources {
				_, found, failed := g.object(ctx, src.path, "ob_1", expands(src)...)
				err = errors.Join(err, failed, unless(found, "no %s", src.name))
			}
			_, failed := g.billed(ctx, "in_1")
			return errors.Join(err, failed)
		},
		"planChange.release": func() error { return change.release(ctx) },
		"planChange.keep":    func() error { return change.keep(ctx) },
		"planChange.charge":  func() error { return change.upgrade(ctx) },
		"planChange.reschedule": func() error {
			return change.reschedule(ctx, &stripe.SubscriptionSchedule{
				ID:           "sub_sched_1",
				CurrentPhase: &stripe.SubscriptionScheduleCurrentPhase{StartDate: span.Start.Unix()},
				Phases:       []*stripe.SubscriptionSchedulePhase{{StartDate: span.Start.Unix(), TrialEnd: span.End.Unix(), Coupon: &stripe.Coupon{ID: "half"}}},
			})
		},
		"planChange.downgrade": func() error {
			first := change
			first.s.Schedule = ""
			return errors.Join(first.downgrade(ctx), change.downgrade(ctx))
		},
	}
}

func unless(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// mockedPage lists objects of a source, and reads what one of them tells.
func mockedPage(ctx context.Context, g *Gateway, src source, span Period) error {
	l := listing{path: src.path, span: span, where: src.where}
	if src.expand != "" {
		l.expand = "data." + src.expand
	}
	groups := [][][2]string{src.where}
	if src.name == eventSource.name {
		groups = nil
		for _, types := range walked {
			groups = append(groups, ofTypes(types))
		}
	}
	for _, l.where = range groups {
		objects, _, err := g.page(ctx, l, "")
		if err != nil || len(objects) != 1 {
			return fmt.Errorf("%s: %d, %w", src.name, len(objects), err)
		}
		if _, _, err := g.page(ctx, l, objects[0].ID); err != nil {
			return err
		}
		object, found, err := g.object(ctx, src.path, objects[0].ID, expands(src)...)
		if err != nil || !found {
			return fmt.Errorf("%s: %t, %w", src.name, found, err)
		}
		if src.name == eventSource.name {
			continue // the sample is about a plan
		}
		if _, _, err := src.notice(ctx, g, object); err != nil {
			return err
		}
	}
	return nil
}

// TestEveryRequestIsOneThatStripeTakes sends each kind of request that this package makes to stripe-mock. A method that is new to the source and
// sends requests fails it until it is among those that are mocked.
func TestEveryRequestIsOneThatStripeTakes(t *testing.T) {
	t.Parallel()
	var a asked
	g, err := NewGateway(GatewayOptions{Key: "sk_test_123", URL: a.through(t, needs.StripeMock(t))})
	if err != nil {
		t.Fatal(err)
	}
	known := mocked(t, g)
	if diff := cmp.Diff(sending(t), slices.Sorted(maps.Keys(known))); diff != "" {
		t.Errorf("methods that send requests (-), and those that are mocked here (+):\n%s", diff)
	}
	for name, send := range known {
		before := a.count()
		if err := send(); err != nil || a.count() == before {
			t.Errorf("%s sent %d requests: %v", name, a.count()-before, err)
		}
	}
	want := []string{
		"GET /v1/charges", "GET /v1/charges/{id}", "GET /v1/checkout/sessions", "GET /v1/checkout/sessions/{id}", "GET /v1/customers/search",
		"GET /v1/customers/{id}", "GET /v1/disputes", "GET /v1/disputes/{id}", "GET /v1/events", "GET /v1/events/{id}", "GET /v1/invoices",
		"GET /v1/invoices/upcoming", "GET /v1/invoices/{id}", "GET /v1/invoices/{id}/lines", "GET /v1/payment_intents", "GET /v1/payment_intents/{id}", "GET /v1/payment_methods",
		"GET /v1/refunds", "GET /v1/refunds/{id}", "GET /v1/subscription_schedules/{id}", "GET /v1/subscriptions/{id}",
		"POST /v1/billing_portal/sessions", "POST /v1/checkout/sessions", "POST /v1/customers", "POST /v1/customers/{id}", "POST /v1/payment_intents",
		"POST /v1/refunds", "POST /v1/subscription_schedules", "POST /v1/subscription_schedules/{id}", "POST /v1/subscription_schedules/{id}/release",
		"POST /v1/subscriptions/{id}", "POST /v1/tax/calculations", "POST /v1/tax/transactions/create_from_calculation",
	}
	if diff := cmp.Diff(want, a.kinds()); diff != "" {
		t.Errorf("other kinds of requests were sent than this test knows of:\n%s", diff)
	}
}

func (a *asked) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.requests)
}

// kinds are the requests without the ids in their paths.
func (a *asked) kinds() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []string
	for _, r := range a.requests {
		out = append(out, objectID.ReplaceAllString(r, "/{id}"))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// sending finds, in the package's source, the methods that send requests to Stripe: those that use its backend, or a client upon it. Each bounds
// its calls by callTimeout.
func sending(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv == nil || !mentions(f, "backend", "subscriptions", "schedules") {
				continue
			}
			name := receiver(f) + "." + f.Name.Name
			if name == "planChange.subscriptions" || name == "planChange.schedules" {
				continue // the clients themselves
			}
			if !mentions(f, "callTimeout") {
				t.Errorf("%s sends requests without a bound on their time", name)
			}
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// mentions reports whether a function selects or names one of some names.
func mentions(f *ast.FuncDecl, names ...string) (yes bool) {
	ast.Inspect(f.Body, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		yes = yes || ok && slices.Contains(names, id.Name)
		return !yes
	})
	return yes
}

// receiver is the name of a method's type.
func receiver(f *ast.FuncDecl) string {
	kind := f.Recv.List[0].Type
	if star, ok := kind.(*ast.StarExpr); ok {
		kind = star.X
	}
	if id, ok := kind.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

// noPhase is what stripe-mock's sample of a schedule has: it is over. Ours run.
var noPhase = regexp.MustCompile(`"current_phase":\s*null`)

// objectID is an id of Stripe's in a path.
var objectID = regexp.MustCompile(`/[a-z]{2,3}_[A-Za-z0-9_]+`)

func TestWhatIsWalkedIsWhatMatters(t *testing.T) {
	t.Parallel()
	for _, group := range walked {
		if len(group) > 20 {
			t.Errorf("%d types; Stripe takes 20", len(group))
		}
	}
	all := slices.Concat(walked...)
	for _, kind := range all {
		if n := (Notice{Type: kind}); !n.matters() {
			t.Errorf("%s is walked, and does not matter", kind)
		}
	}
	for _, kind := range []string{
		sessionCompleted, sessionAsyncSucceeded, sessionAsyncFailed, sessionExpired, invoicePaid, chargeRefunded, chargeRefundUpdated, refundCreated,
		refundUpdated, disputeCreated, disputeUpdated, disputeClosed, disputeWithdrawn, disputeReinstated,
	} {
		if !slices.Contains(all, kind) {
			t.Errorf("%s matters, and is not walked", kind)
		}
	}
	r := &Receiver{opts: ReceiverOptions{Log: slog.New(slog.DiscardHandler)}, store: store{engine.New(t).Client}}
	if got, err := r.Receive(t.Context(), Notice{ID: "evt_1", Type: "customer.created"}); got != Ignored || err != nil {
		t.Errorf("another type: %s, %v", got, err)
	}
}
