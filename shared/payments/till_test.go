package payments_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	raw "cloud.google.com/go/firestore/apiv1"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/payments/paymentstest"
)

// till is all that sells, credits and refunds, with a store and a stand-in for Stripe.
type till struct {
	engine   *engine.Engine
	store    string // where the store listens
	stand    *stripestand.Stand
	stripe   string
	prices   *catalogue.Store
	shop     *payments.Shop
	ledger   *ledger.Ledger
	receiver *payments.Receiver
	seconds  atomic.Int64
	orgs     atomic.Int64
}

func (m *till) now() time.Time          { return time.Unix(m.seconds.Load(), 0) }
func (m *till) advance(d time.Duration) { m.seconds.Add(int64(d.Seconds())) }

func must[T any](t *testing.T) func(v T, err error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newTill(t *testing.T) *till {
	t.Helper()
	m := &till{engine: engine.New(t, engine.Embedded())}
	m.seconds.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Unix())
	m.store = must[fmt.Stringer](t)(m.engine.Server.Listen("127.0.0.1:0")).String()
	m.stand, m.stripe = paymentstest.Stripe(t, m.now, func() *payments.Receiver { return m.receiver })
	log := slog.New(slog.DiscardHandler)
	m.prices = catalogue.NewStore(m.engine.Client, log, catalogue.StoreOptions{})
	if err := m.prices.Seed(t.Context(), must[*catalogue.Catalogue](t)(catalogue.Seed())); err != nil {
		t.Fatal(err)
	}
	gateway := must[*payments.Gateway](t)(payments.NewGateway(payments.GatewayOptions{Key: "sk_test_local", URL: m.stripe}))
	m.shop = must[*payments.Shop](t)(payments.NewShop(payments.ShopOptions{
		Documents: m.engine.Client, Prices: m.prices, Stripe: gateway, Now: m.now, Checkout: payments.CheckoutOptions{ReturnURL: "https://fluxori.example/return"},
	}))
	m.ledger = must[*ledger.Ledger](t)(ledger.New(m.engine.Raw, m.engine.Database(), ledger.Options{Now: m.now}))
	m.receiver = must[*payments.Receiver](t)(payments.NewReceiver(payments.ReceiverOptions{
		Documents: m.engine.Client, Ledger: m.ledger, Prices: m.prices, Stripe: gateway, Now: m.now, Log: log,
	}))
	return m
}

func (m *till) deliver(t *testing.T) {
	t.Helper()
	if err := m.stand.Deliver(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// sold is a purchase of 1,000 credits for R799, of an organisation of its own, that is paid and credited.
type sold struct{ org, reference, payment string }

func (m *till) sell(t *testing.T) sold {
	t.Helper()
	s := sold{org: fmt.Sprint("org-", m.orgs.Add(1))}
	zone := "Africa/Johannesburg"
	m.do(t, s.org, credit.Configure{Zone: &zone})
	started := must[payments.Started](t)(m.shop.StartPurchase(t.Context(), payments.Order{Org: s.org, Country: "ZA", Package: "credits-1000", Key: "k"}))
	s.reference = started.Reference
	if err := m.stand.PayCheckout(started.CheckoutURL[strings.LastIndex(started.CheckoutURL, "/")+1:]); err != nil {
		t.Fatal(err)
	}
	m.deliver(t)
	s.payment = must[payments.Purchase](t)(m.shop.Purchase(t.Context(), s.org, s.reference)).Payment
	return s
}

func (m *till) do(t *testing.T, org string, c credit.Command) {
	t.Helper()
	if _, err := m.ledger.Do(t.Context(), org, c); err != nil {
		t.Fatal(err)
	}
}

func (m *till) spend(t *testing.T, org string, credits int64) {
	t.Helper()
	m.do(t, org, credit.Debit{EventID: fmt.Sprint("spend-", credits), Credits: credits, Work: credit.Work{Feature: "custom-query"}})
}

// wantWallet compares an organisation's figures, and has its wallet audited.
func (m *till) wantWallet(t *testing.T, what, org string, want credit.Figures) {
	t.Helper()
	w := must[credit.Wallet](t)(m.ledger.View(t.Context(), org))
	if w.Figures != want {
		t.Errorf("%s: %+v, want %+v", what, w.Figures, want)
	}
	if err := m.ledger.Audit(t.Context(), org); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

// record is a payment as it is stored.
func (m *till) record(t *testing.T, s sold) map[string]any {
	t.Helper()
	return must[*firestore.DocumentSnapshot](t)(m.engine.Client.Collection("payments").Doc(s.payment).Get(t.Context())).Data()
}

// ask asks Stripe, and reads its answer into out.
func (m *till) ask(t *testing.T, method, path string, out any) {
	t.Helper()
	req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), method, m.stripe+path, nil))
	req.Header.Set("Authorization", "Bearer sk_test_local")
	res := must[*http.Response](t)(http.DefaultClient.Do(req))
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(out); err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(res.Status, err)
	}
}

// refunds are a payment's at Stripe.
func (m *till) refunds(t *testing.T, s sold) (amounts []int64) {
	t.Helper()
	var list struct{ Data []struct{ Amount int64 } }
	m.ask(t, http.MethodGet, "/v1/refunds?payment_intent="+s.payment, &list)
	for _, r := range list.Data {
		amounts = append(amounts, r.Amount)
	}
	return amounts
}

// renamed gives a customer another name, and returns the event of it.
func (m *till) renamed(t *testing.T, customer string) string {
	t.Helper()
	m.ask(t, http.MethodPost, "/v1/customers/"+customer+"?name=Acme", &struct{}{})
	var list struct{ Data []struct{ ID string } }
	m.ask(t, http.MethodGet, "/v1/events?limit=1&type=customer.updated", &list)
	return list.Data[0].ID
}

// card is a customer's.
func (m *till) card(t *testing.T, customer string) string {
	t.Helper()
	var c struct {
		Settings struct {
			Card string `json:"default_payment_method"`
		} `json:"invoice_settings"`
	}
	m.ask(t, http.MethodGet, "/v1/customers/"+customer, &c)
	return c.Settings.Card
}

// process is a process that refunds, with connections of its own. It dies at one of the calls that it makes to the outside, counted from 1.
type process struct {
	*payments.Refunder
	ctx    context.Context //nolint:containedctx // it is cancelled when the process dies
	cancel context.CancelFunc

	mu    sync.Mutex
	dieAt int // 0 for never
	after bool
	dead  bool
	calls []string
	// refuse, if set, answers for Stripe when a refund is asked for.
	refuse func(w http.ResponseWriter)
	// diesOf names a call that the process dies after; losesAnswers has what Stripe answers to a request for a refund lost, and the process live.
	diesOf       string
	losesAnswers bool
}

// call does something outside, unless the process is dead or dies of it. ok is false when the process learns nothing of it.
func (p *process) call(name string, do func()) (ok bool) {
	p.mu.Lock()
	p.calls = append(p.calls, name)
	after := p.after || name == p.diesOf
	dies := len(p.calls) == p.dieAt || name == p.diesOf
	if p.dead || dies && !after {
		p.die()
		p.mu.Unlock()
		return false
	}
	p.mu.Unlock()
	do()
	if dies {
		p.mu.Lock()
		p.die()
		p.mu.Unlock()
		return false
	}
	return true
}

func (p *process) die() {
	p.dead = true
	p.cancel()
}

// point names where the process died; empty when it did not.
func (p *process) point() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.dead {
		return ""
	}
	return fmt.Sprintf("%s call %d, %s", map[bool]string{true: "after", false: "before"}[p.after], p.dieAt, p.calls[p.dieAt-1])
}

var errDead = status.Error(codes.PermissionDenied, "the process is dead")

func (m *till) process(t *testing.T, dieAt int, after bool) *process {
	t.Helper()
	p := &process{dieAt: dieAt, after: after}
	p.ctx, p.cancel = context.WithCancel(t.Context())
	t.Cleanup(p.cancel)
	conn := must[*grpc.ClientConn](t)(grpc.NewClient(m.store, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) (err error) {
			if !p.call(named(method, req), func() { err = call(ctx, method, req, reply, cc, opts...) }) {
				return errDead
			}
			return err
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (s grpc.ClientStream, err error) {
			if !p.call(named(method, nil), func() { s, err = open(ctx, desc, cc, method, opts...) }) { // only reads are streams
				return nil, errDead
			}
			return s, err
		})))
	t.Cleanup(func() { conn.Close() })
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.refuse != nil && r.Method == http.MethodPost && r.URL.Path == "/v1/refunds" {
			p.refuse(w)
			return
		}
		answer := httptest.NewRecorder()
		if !p.call(r.Method+" "+r.URL.Path, func() { m.stand.Handler().ServeHTTP(answer, r) }) {
			w.WriteHeader(http.StatusBadRequest) // which the client does not repeat
			fmt.Fprint(w, `{"error":{"type":"api_error","message":"dead"}}`)
			return
		}
		if p.losesAnswers && r.Method == http.MethodPost && r.URL.Path == "/v1/refunds" {
			panic(http.ErrAbortHandler) // which closes the connection
		}
		w.WriteHeader(answer.Code)
		if _, err := w.Write(answer.Body.Bytes()); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	documents := must[*firestore.Client](t)(firestore.NewClient(t.Context(), m.engine.Project, option.WithGRPCConn(conn)))
	wallets := must[*raw.Client](t)(raw.NewClient(t.Context(), option.WithGRPCConn(conn)))
	p.Refunder = must[*payments.Refunder](t)(payments.NewRefunder(payments.RefunderOptions{
		Documents: documents, Ledger: must[*ledger.Ledger](t)(ledger.New(wallets, m.engine.Database(), ledger.Options{Now: m.now})),
		Stripe: must[*payments.Gateway](t)(payments.NewGateway(payments.GatewayOptions{Key: "sk_test_local", URL: server.URL})),
		Now:    m.now, Log: slog.New(slog.DiscardHandler),
	}))
	return p
}
