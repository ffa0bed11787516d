package stripestand_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"
	"go.etcd.io/bbolt"

	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
)

// keptIn is the file in which the process that is to be killed keeps its state; empty in any other process.
const keptIn = "STRIPESTAND_TEST_KEPT_IN"

// TestMain makes this process, if its environment says so, a stand-in that serves until it is killed.
func TestMain(m *testing.M) {
	path := os.Getenv(keptIn)
	if path == "" {
		os.Exit(m.Run())
	}
	server := httptest.NewUnstartedServer(nil)
	stand, err := stripestand.New(stripestand.Options{
		Now: time.Now, BaseURL: "http://" + server.Listener.Addr().String(), Path: path,
		Endpoints: []stripestand.Endpoint{{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	stand.Start(context.Background())
	server.Config.Handler = stand.Handler()
	server.Start()
	fmt.Println(server.URL)
	select {}
}

// TestAKilledProcessLosesNothingThatItAnswered kills a stand-in while many ask it to make customers, again and again on the same file.
func TestAKilledProcessLosesNothingThatItAnswered(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "stripe.db")
	answered := map[string]string{} // the id of each customer, and its address
	for round := range 8 {
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), keptIn+"="+path)
		child.Stderr = os.Stderr
		out := must[io.ReadCloser](t)(child.StdoutPipe())
		check(t, child.Start())
		url := strings.TrimSpace(must[string](t)(bufio.NewReader(out).ReadString('\n')))
		api := newClient(url)
		var mu sync.Mutex
		var all sync.WaitGroup
		enough := make(chan struct{})
		made := 0
		for worker := range 4 {
			all.Go(func() {
				for n := 0; ; n++ {
					email := fmt.Sprintf("w%d-%d-%d@acme.example", round, worker, n)
					c, err := api.Customers.New(&stripe.CustomerParams{Email: stripe.String(email)})
					if err != nil {
						return // it is dead
					}
					mu.Lock()
					answered[c.ID] = email
					if made++; made == 50+10*round {
						close(enough)
					}
					mu.Unlock()
				}
			})
		}
		<-enough
		check(t, child.Process.Kill())
		_ = child.Wait()
		all.Wait()
		w := newWorld(t, func(o *stripestand.Options) { o.Path = path })
		for id, email := range answered {
			c, err := w.stripe.Customers.Get(id, nil)
			if err != nil || c.Email != email {
				t.Errorf("round %d: %s of %s: %v", round, id, email, err)
			}
		}
		check(t, w.Close())
	}
	t.Logf("%d customers were made", len(answered))
}

// TestEveryChangeIsInTheFileWhenItIsAnswered leads one life twice, with a process that opens a copy of the other's file after each step.
func TestEveryChangeIsInTheFileWhenItIsAnswered(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "stripe.db")
	w := newWorld(t, func(o *stripestand.Options) { o.Path, o.MaxEvents = path, 12 })
	copies := 0
	same := func(what string) {
		t.Helper()
		copies++
		of := filepath.Join(dir, fmt.Sprint("copy", copies))
		before := w.everything(t)
		check(t, os.WriteFile(of, must[[]byte](t)(os.ReadFile(path)), 0o600))
		stand, err := stripestand.New(stripestand.Options{Now: w.clock.now, BaseURL: w.server.URL, Path: of, Seed: 7, MaxEvents: 12})
		check(t, err)
		again := httptest.NewServer(stand.Handler())
		defer again.Close()
		if (&world{server: again}).everything(t) != before {
			t.Errorf("%s: the file has something else", what)
		}
		check(t, stand.AddEndpoint(stripestand.Endpoint{Handler: w.sink}))
		equal(t, what+", webhooks", stand.Webhooks(), w.Webhooks())
		check(t, stand.Close())
	}
	check(t, w.WebhookMode(stripestand.ModeHold))
	_, _ = w.subscribed(t, "price_starter", stripestand.CardVisa)
	same("subscribed")
	session := w.checkout(t)
	check(t, w.DeclineCheckout(session.ID))
	same("declined")
	check(t, w.PayCheckout(session.ID))
	same("paid")
	paid := must[*stripe.CheckoutSession](t)(w.stripe.CheckoutSessions.Get(session.ID, nil))
	refund := must[string](t)(w.RefundPayment(paid.PaymentIntent.ID, 100))
	same("refunded")
	check(t, w.SettleRefund(refund, false))
	same("failed")
	dispute := must[string](t)(w.OpenDispute(paid.PaymentIntent.ID, stripestand.Dispute{}))
	same("disputed")
	check(t, w.CloseDispute(dispute, true))
	same("won")
	w.clock.set(start.AddDate(0, 1, 1))
	same("renewed by a look")
	check(t, w.Run(t.Context(), start.AddDate(0, 2, 1)))
	same("renewed")
	check(t, w.WebhookMode(stripestand.ModeDeliver))
	check(t, w.Deliver(t.Context()))
	same("delivered")
}

// everything is what the API lists.
func (w *world) everything(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, path := range []string{
		"customers", "checkout/sessions", "payment_intents", "charges", "refunds", "disputes", "subscriptions", "invoices", "events",
	} {
		req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, w.server.URL+"/v1/"+path+"?limit=100", nil))
		req.Header.Set("Authorization", "Bearer sk_test_local")
		res := must[*http.Response](t)(http.DefaultClient.Do(req))
		body := must[[]byte](t)(io.ReadAll(res.Body))
		check(t, res.Body.Close())
		equal(t, path, res.StatusCode, http.StatusOK)
		all.Write(body)
	}
	return all.String()
}

func TestAFileOfAnotherVersionIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "stripe.db")
	w := newWorld(t, func(o *stripestand.Options) { o.Path = path })
	check(t, w.Close())
	db := must[*bbolt.DB](t)(bbolt.Open(path, 0o600, nil))
	check(t, db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("head")).Put([]byte("state"), []byte(`{"version":99}`))
	}))
	check(t, db.Close())
	if _, err := stripestand.New(stripestand.Options{Now: w.clock.now, BaseURL: w.server.URL, Path: path}); err == nil {
		t.Error("a file of version 99 was taken")
	}
}
