package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"cloud.google.com/go/firestore"
	"cloud.google.com/go/pubsub/v2"
	"google.golang.org/api/option"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/embedded/broker"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/embedded/inbox"
	"github.com/fluxori/ai-credits/shared/embedded/issuer"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/indexes"
	"github.com/fluxori/ai-credits/shared/wiring"
)

// Where things are on the simulated network, and who calls.
const (
	project       = "simulated"
	firestoreHost = "localhost:1001"
	pubsubHost    = "localhost:1002"
	stripeHost    = "localhost:1003"
	mailHost      = "localhost:1004"
	frontHost     = "localhost:1005"
	base          = "http://" + frontHost
	audience      = "ai-credits"

	aiServices = "ai-services@simulated.iam.gserviceaccount.com"
	pusher     = "push@simulated.iam.gserviceaccount.com"
	scheduling = "scheduler@simulated.iam.gserviceaccount.com"
)

// world is everything that one seed runs: the functions, and what stands in for all they talk to.
type world struct {
	rand   *rand.Rand // of the one goroutine that steers
	net    *network
	fleet  *fleet
	db     *firedb.Server
	hooks  *firedb.Hooks
	store  *firestore.Client // beside the network: the judge's
	broker *broker.Broker
	topics *pubsub.Client // the AI services'
	stand  *stripestand.Stand
	issuer *issuer.Issuer
	inbox  *inbox.Inbox
	wiring *wiring.List
	front  *http.Client
	faults *faults
	offset time.Duration // of the system's clock ahead of the machine's
	heard  *heard

	closing []func() error
	tokens  sync.Map
}

// now is the system's clock.
func (w *world) now() time.Time { return time.Now().Add(w.offset).UTC().Truncate(time.Microsecond) }

// open starts a world. Its clock begins somewhere in 2026.
func open(ctx context.Context, seed uint64, log *slog.Logger) (_ *world, err error) {
	r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a simulation repeats
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(r.Int64N(int64(330 * 24 * time.Hour)))).Truncate(time.Second)
	w := &world{rand: r, net: newNetwork(), offset: time.Until(begin), heard: newHeard()}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	w.faults = newFaults(w, rand.New(rand.NewPCG(seed, 2))) //nolint:gosec // likewise
	w.fleet = &fleet{
		net: w.net, log: log, now: w.now, settings: w.settings, rand: rand.New(rand.NewPCG(seed, 3)), //nolint:gosec // likewise
		running: map[string][]*instance{}, fuses: map[string]int{}, lost: w.faults.answerLost,
	}
	w.closing = append(w.closing, func() error { w.fleet.killAll(); return nil })
	w.net.written = w.fleet.burn
	for _, step := range []func(context.Context, uint64) error{w.openStore, w.openIssuer, w.openBroker, w.openMail, w.openStripe, w.openFront} {
		if err := step(ctx, seed); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// close ends everything, the last first.
func (w *world) close() error {
	var errs []error
	for i := len(w.closing) - 1; i >= 0; i-- {
		errs = append(errs, w.closing[i]())
	}
	w.net.close()
	return errors.Join(errs...)
}

func (w *world) openStore(ctx context.Context, seed uint64) error {
	set, err := indexes.Load()
	if err != nil {
		return err
	}
	w.hooks = &firedb.Hooks{Rand: rand.New(rand.NewPCG(seed, 4))} //nolint:gosec // likewise
	if w.db, err = firedb.Open(firedb.Options{Indexes: set, Hooks: w.hooks}); err != nil {
		return err
	}
	w.closing = append(w.closing, w.db.Close)
	w.db.Serve(w.net.listen(firestoreHost))
	conn, err := w.db.Conn()
	if err != nil {
		return err
	}
	if w.store, err = firestore.NewClient(ctx, project, option.WithGRPCConn(conn), option.WithoutAuthentication()); err != nil {
		return err
	}
	w.closing = append(w.closing, w.store.Close)
	seedling, err := catalogue.Seed()
	if err != nil {
		return err
	}
	return catalogue.NewStore(w.store, slog.New(slog.DiscardHandler), catalogue.StoreOptions{}).Seed(ctx, seedling)
}

func (w *world) openIssuer(context.Context, uint64) error {
	var err error
	w.issuer, err = issuer.New(issuer.Options{URL: base + "/issuer", Clients: []issuer.Client{{ID: audience, RedirectURIs: []string{base + "/none"}}}})
	return err
}

func (w *world) openBroker(ctx context.Context, seed uint64) error {
	var err error
	if w.broker, err = broker.Open(broker.Options{TokenSource: w.serviceToken}); err != nil {
		return err
	}
	w.closing = append(w.closing, w.broker.Close)
	w.broker.Serve(w.net.listen(pubsubHost))
	if w.wiring, err = wiring.Load(); err != nil {
		return err
	}
	for _, t := range w.wiring.Topics {
		if err := w.broker.Topic(ctx, topicName(t.Name)); err != nil {
			return err
		}
		if err := w.broker.Subscribe(ctx, broker.Subscription{
			Name: subscriptionName("heard-" + t.Name), Topic: topicName(t.Name), Handler: w.heard.on(t.Name),
		}); err != nil {
			return err
		}
	}
	for _, s := range w.wiring.Subscriptions {
		if err := w.broker.Subscribe(ctx, w.subscription(s)); err != nil {
			return err
		}
	}
	conn, err := w.broker.Conn()
	if err != nil {
		return err
	}
	if w.topics, err = pubsub.NewClient(ctx, project, option.WithGRPCConn(conn)); err != nil {
		return err
	}
	w.closing = append(w.closing, w.topics.Close)
	return nil
}

func topicName(name string) string        { return "projects/" + project + "/topics/" + name }
func subscriptionName(name string) string { return "projects/" + project + "/subscriptions/" + name }

// subscription is one of the wiring's, with its own back-off and patience: virtual time passes for nothing.
func (w *world) subscription(s wiring.Subscription) broker.Subscription {
	out := broker.Subscription{
		Name: subscriptionName(s.Name), Topic: topicName(s.Topic), URL: base + "/" + s.Function + s.Path, Handler: w.fleet,
		AckDeadline:    time.Duration(s.AckDeadlineSeconds) * time.Second,
		Retry:          &broker.Retry{Min: time.Duration(s.MinBackoffSeconds) * time.Second, Max: time.Duration(s.MaxBackoffSeconds) * time.Second},
		ServiceAccount: pusher, Audience: base + "/" + s.Function,
	}
	if d := s.DeadLetter; d != nil {
		out.DeadLetterTopic, out.MaxAttempts = topicName(d.Topic), d.MaxDeliveryAttempts
	}
	return out
}

func (w *world) openMail(context.Context, uint64) error {
	w.inbox = inbox.New(inbox.Options{})
	l := w.net.listen(mailHost)
	go func() { _ = w.inbox.Serve(l) }()
	w.closing = append(w.closing, w.inbox.Close)
	return nil
}

func (w *world) openStripe(ctx context.Context, seed uint64) error {
	var err error
	w.stand, err = stripestand.New(stripestand.Options{Now: w.now, BaseURL: "http://" + stripeHost, Seed: seed, Key: "sk_test_simulated"})
	if err != nil {
		return err
	}
	if err := errors.Join(
		w.stand.AddProduct(stripestand.Product{ID: "prod_starter", Name: "Starter"}),
		w.stand.AddPrice(stripestand.Price{ID: planPrice, Product: "prod_starter", Currency: "zar", UnitAmount: planAmount, Interval: "month"}),
	); err != nil {
		return err
	}
	w.stand.Start(context.WithoutCancel(ctx))
	w.closing = append(w.closing, w.stand.Close)
	w.serve(stripeHost, w.faults.stripe(w.stand.Handler()))
	return w.stand.AddEndpoint(stripestand.Endpoint{Handler: w.fleet, Path: "/purchasewebhook"})
}

func (w *world) openFront(context.Context, uint64) error {
	mux := http.NewServeMux()
	mux.Handle("/issuer/", http.StripPrefix("/issuer", w.issuer.Handler()))
	mux.Handle("/", w.fleet)
	w.serve(frontHost, mux)
	w.front = w.net.client("callers")
	w.closing = append(w.closing, func() error { w.net.set("callers", true); return nil })
	return nil
}

// serve answers HTTP on an address.
func (w *world) serve(address string, h http.Handler) {
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
	l := w.net.listen(address)
	go func() { _ = server.Serve(l) }()
	w.closing = append(w.closing, server.Close)
}

// settings are a function's environment.
func (w *world) settings(function string) map[string]string {
	callers, err := json.Marshal(map[string]any{"callers": []map[string]any{{"email": aiServices, "roles": []string{"spend", "operate"}}}})
	if err != nil {
		panic(err) // constant
	}
	return map[string]string{
		"GOOGLE_CLOUD_PROJECT": project, "FIRESTORE_EMULATOR_HOST": firestoreHost, "PUBSUB_EMULATOR_HOST": pubsubHost,
		"CALLERS": string(callers), "SERVICE_ISSUER": base + "/issuer", "SERVICE_AUDIENCE": base + "/" + function,
		"PUSH_ACCOUNT": pusher, "SCHEDULER_ACCOUNT": scheduling, "PEOPLE_ISSUER": base + "/issuer", "PEOPLE_AUDIENCE": audience,
		"PUBLIC_URL": base, "DASHBOARD_URL": base + "/account/ui/", "MAIL_FROM": "Fluxori AI Credits <credits@fluxori.example>",
		"SMTP_HOST": "localhost", "SMTP_PORT": "1004", "SMTP_SECURITY": "none",
		"STRIPE_API_KEY": "sk_test_simulated", "STRIPE_API_URL": "http://" + stripeHost, "STRIPE_WEBHOOK_SECRETS": stripestand.WebhookSecret,
		"CHECKOUT_RETURN_URL": base + "/account/ui/purchases/return",
	}
}

// serviceToken is a service account's token, made anew each half an hour.
func (w *world) serviceToken(_ context.Context, email, audience string) (string, error) {
	return w.token(email+" "+audience, func() (string, error) { return w.issuer.ServiceToken(email, audience) })
}

// personToken is a person's token.
func (w *world) personToken(p issuer.Person) (string, error) {
	return w.token(p.Subject, func() (string, error) { return w.issuer.PersonToken(p, audience) })
}

// minted is a token that was made before.
type minted struct {
	raw string
	at  time.Time
}

func (w *world) token(key string, mint func() (string, error)) (string, error) {
	if known, ok := w.tokens.Load(key); ok {
		if m, ok := known.(minted); ok && time.Since(m.at) < 30*time.Minute {
			return m.raw, nil
		}
	}
	raw, err := mint()
	if err == nil {
		w.tokens.Store(key, minted{raw, time.Now()})
	}
	return raw, err
}

// heard is what was published, by topic.
type heard struct {
	mu       sync.Mutex
	messages map[string][]json.RawMessage
}

func newHeard() *heard { return &heard{messages: map[string][]json.RawMessage{}} }

// on records a topic's messages.
func (h *heard) on(topic string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var push struct {
			Message struct {
				Data []byte `json:"data"`
			} `json:"message"`
		}
		data, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(data, &push)
		}
		if err != nil {
			panic(fmt.Sprintf("the broker's own push: %v", err))
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.messages[topic] = append(h.messages[topic], push.Message.Data)
		w.WriteHeader(http.StatusNoContent)
	})
}

// of is what was published to a topic, once for each delivery.
func (h *heard) of(topic string) []json.RawMessage {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.messages[topic][:len(h.messages[topic]):len(h.messages[topic])]
}
