// Package cloudtest gives a test of a function the cloud that the function runs in: a Firestore, a Pub/Sub with the topics and push
// subscriptions of package wiring, an issuer of service accounts' tokens, a scheduler and a clock.
//
// The function is built and called as in production: from its settings, over HTTP, with signed tokens. Only back-off is shorter, and the
// clock stands still until it is moved. Everything ends with the test.
//
// It does not own what functions do, and holds no assertions about it.
package cloudtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"github.com/sethvargo/go-envconfig"
	"google.golang.org/api/option"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/cloud"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/broker"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/identity/identitytest"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/wiring"
)

// The service accounts of the cloud.
const (
	Pusher    = "push@test.iam.gserviceaccount.com"
	Scheduler = "scheduler@test.iam.gserviceaccount.com"
)

// patience bounds every wait of a test.
const patience = 30 * time.Second

// Cloud is one project.
type Cloud struct {
	*engine.Engine
	Broker   *broker.Broker
	Issuer   *identitytest.Issuer
	Messages *pubsub.Client
	// Log is where functions that are started report. It discards unless it is set.
	Log *slog.Logger

	wiring   *wiring.List
	settings map[string]string
	micros   atomic.Int64

	mu     sync.Mutex
	urls   map[string]string // of functions by name
	tokens map[[2]string]string
}

// New starts a project whose clock shows 1 March 2026, 8:00 UTC.
func New(t testing.TB) *Cloud {
	t.Helper()
	c := &Cloud{
		Engine: engine.New(t, engine.Embedded()), Issuer: identitytest.New(t), Log: slog.New(slog.DiscardHandler),
		urls: map[string]string{}, tokens: map[[2]string]string{},
	}
	c.micros.Store(time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC).UnixMicro())
	firestore, err := c.Server.Listen("127.0.0.1:0")
	must(t, err)
	c.Broker, err = broker.Open(broker.Options{TokenSource: func(_ context.Context, account, audience string) (string, error) {
		return c.Token(t, account, audience), nil
	}})
	must(t, err)
	t.Cleanup(func() { must(t, c.Broker.Close()) })
	messages, err := c.Broker.Listen(t.Context(), "127.0.0.1:0")
	must(t, err)
	conn, err := c.Broker.Conn()
	must(t, err)
	c.Messages, err = pubsub.NewClient(context.WithoutCancel(t.Context()), c.Project, option.WithGRPCConn(conn))
	must(t, err)
	t.Cleanup(func() { must(t, c.Messages.Close()) })
	c.wiring, err = wiring.Load()
	must(t, err)
	for _, topic := range c.wiring.Topics {
		must(t, c.Broker.Topic(t.Context(), c.topic(topic.Name)))
	}
	c.settings = map[string]string{
		"GOOGLE_CLOUD_PROJECT": c.Project, "FIRESTORE_EMULATOR_HOST": firestore.String(), "PUBSUB_EMULATOR_HOST": messages.String(),
		"SERVICE_ISSUER": c.Issuer.URL(), "PUSH_ACCOUNT": Pusher, "SCHEDULER_ACCOUNT": Scheduler,
	}
	return c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (c *Cloud) topic(name string) string { return "projects/" + c.Project + "/topics/" + name }

// Now is the system's clock.
func (c *Cloud) Now() time.Time { return time.UnixMicro(c.micros.Load()).UTC() }

// Advance moves the clock on.
func (c *Cloud) Advance(d time.Duration) { c.micros.Add(d.Microseconds()) }

// Config is how the project's services are reached.
func (c *Cloud) Config() cloud.Config {
	return cloud.Config{
		Project: c.Project, Database: "(default)", FirestoreEmulator: c.settings["FIRESTORE_EMULATOR_HOST"], PubSubEmulator: c.settings["PUBSUB_EMULATOR_HOST"],
	}
}

// Audience is what tokens for a function must be for.
func (c *Cloud) Audience(function string) string {
	return "https://europe-west4-" + c.Project + ".cloudfunctions.net/" + function
}

// Token is a service account's token.
func (c *Cloud) Token(t testing.TB, account, audience string) string {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	key := [2]string{account, audience}
	if c.tokens[key] == "" {
		c.tokens[key] = c.Issuer.Service(t, account, audience)
	}
	return c.tokens[key]
}

// Start builds a function with settings beside the project's own, serves it, and has Pub/Sub push to it what it is wired to.
func (c *Cloud) Start(t testing.TB, function string, settings map[string]string) {
	t.Helper()
	all := maps.Clone(c.settings)
	all["SERVICE_AUDIENCE"] = c.Audience(function)
	maps.Copy(all, settings)
	i := slices.IndexFunc(serve.Functions(), func(f serve.Function) bool { return f.Name() == function })
	if i < 0 {
		t.Fatalf("%s is not registered", function)
	}
	h, err := serve.Functions()[i].Build(context.WithoutCancel(t.Context()), serve.Env{
		Lookup: envconfig.MapLookuper(all), Log: c.Log, Now: c.Now,
	})
	must(t, err)
	server := httptest.NewServer(http.StripPrefix("/"+function, h))
	t.Cleanup(server.Close)
	c.mu.Lock()
	c.urls[function] = server.URL + "/" + function
	c.mu.Unlock()
	for _, s := range c.wiring.Subscriptions {
		if s.Function == function {
			c.subscribe(t, s, server.URL+"/"+function+s.Path)
		}
	}
}

func (c *Cloud) subscribe(t testing.TB, s wiring.Subscription, url string) {
	t.Helper()
	sub := broker.Subscription{
		Name: "projects/" + c.Project + "/subscriptions/" + s.Name, Topic: c.topic(s.Topic), URL: url,
		AckDeadline: time.Duration(s.AckDeadlineSeconds) * time.Second, Retry: &broker.Retry{Min: 2 * time.Millisecond, Max: 10 * time.Millisecond},
		ServiceAccount: Pusher, Audience: c.Audience(s.Function),
	}
	if d := s.DeadLetter; d != nil {
		sub.DeadLetterTopic, sub.MaxAttempts = c.topic(d.Topic), d.MaxDeliveryAttempts
	}
	must(t, c.Broker.Subscribe(t.Context(), sub))
}

// URL is where a function that was started answers, without a path.
func (c *Cloud) URL(function string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.urls[function]
}

// Publish publishes a message, and returns its id.
func (c *Cloud) Publish(t testing.TB, topic, data string, attributes map[string]string) string {
	t.Helper()
	p := c.Messages.Publisher(topic)
	defer p.Stop()
	id, err := p.Publish(t.Context(), &pubsub.Message{Data: []byte(data), Attributes: attributes}).Get(t.Context())
	must(t, err)
	return id
}

// Quiet waits until Pub/Sub has delivered everything.
func (c *Cloud) Quiet(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	must(t, c.Broker.Wait(ctx))
}

// Fire runs a scheduled job and returns the answer.
func (c *Cloud) Fire(t testing.TB, job string) (status int, answer map[string]any) {
	t.Helper()
	i := slices.IndexFunc(c.wiring.Jobs, func(j wiring.Job) bool { return j.Name == job })
	if i < 0 {
		t.Fatalf("there is no job %s", job)
	}
	j := c.wiring.Jobs[i]
	return c.Post(t, j.Function, j.Path, c.Token(t, Scheduler, c.Audience(j.Function)), nil)
}

// Post calls a function that was started, with a bearer token unless it is empty, and returns status and answer.
func (c *Cloud) Post(t testing.TB, function, path, token string, body io.Reader) (status int, answer map[string]any) {
	t.Helper()
	url := c.URL(function) + path
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, body)
	must(t, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	defer res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
			t.Fatalf("POST %s: %d: %v", url, res.StatusCode, err)
		}
	}
	return res.StatusCode, answer
}

// Record subscribes to a topic, and returns what gives the messages that came by then, once everything is delivered.
func (c *Cloud) Record(t testing.TB, topic string) (messages func() []events.Push) {
	t.Helper()
	var mu sync.Mutex
	var got []events.Push
	must(t, c.Broker.Subscribe(t.Context(), broker.Subscription{
		Name: "projects/" + c.Project + "/subscriptions/record-" + topic, Topic: c.topic(topic),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p, err := events.DecodePush(r.Body)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			got = append(got, p)
			mu.Unlock()
			w.WriteHeader(http.StatusNoContent)
		}),
	}))
	return func() []events.Push {
		t.Helper()
		c.Quiet(t)
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(got)
	}
}

// Publisher publishes to the project's topics, as functions do.
func (c *Cloud) Publisher(t testing.TB) *events.Publisher {
	t.Helper()
	p := events.NewPublisher(c.Messages)
	t.Cleanup(p.Stop)
	return p
}

// Ledger is a process of its own on the project's wallets. What follows its commits goes out through publish; nil leaves it to the outbox.
func (c *Cloud) Ledger(t testing.TB, publish ledger.Publisher) *ledger.Ledger {
	t.Helper()
	l, err := ledger.New(c.Raw, c.Database(), ledger.Options{Now: c.Now, Publish: publish, PublishTimeout: patience})
	must(t, err)
	return l
}

// Catalogue is the store of the catalogue, with the seed in force.
func (c *Cloud) Catalogue(t testing.TB) *catalogue.Store {
	t.Helper()
	s := catalogue.NewStore(c.Client, slog.New(slog.DiscardHandler), catalogue.StoreOptions{})
	seed, err := catalogue.Seed()
	must(t, err)
	must(t, s.Seed(t.Context(), seed))
	return s
}

// Fund opens an organisation's wallet with purchased credits; none, if credits is 0.
func (c *Cloud) Fund(t testing.TB, l *ledger.Ledger, org string, credits int64) {
	t.Helper()
	zone := "Africa/Johannesburg"
	_, err := l.Do(t.Context(), org, credit.Configure{Zone: &zone})
	must(t, err)
	if credits > 0 {
		c.Grant(t, l, org, "pi_"+org, credit.Terms{Source: credit.Purchase, Granted: credits})
	}
}

// Grant gives an organisation credits under a key of the system's own.
func (c *Cloud) Grant(t testing.TB, l *ledger.Ledger, org, key string, terms credit.Terms) {
	t.Helper()
	if _, err := l.Do(t.Context(), org, credit.NewGrant{Key: credit.SystemKey("grant", key), Terms: terms}); err != nil {
		t.Fatal(fmt.Errorf("grant %s: %w", key, err))
	}
}
