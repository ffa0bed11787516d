package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/fluxori/ai-credits/shared/embedded/broker"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
	"github.com/fluxori/ai-credits/shared/embedded/issuer"
	"github.com/fluxori/ai-credits/shared/indexes"
	"github.com/fluxori/ai-credits/shared/limits"
	"github.com/fluxori/ai-credits/shared/wiring"
)

const (
	project = "loadtest"
	// audience is what tokens for the functions are for.
	audience       = "https://loadtest.invalid"
	serviceAccount = "ai-services@loadtest.iam.gserviceaccount.com"
	// servicesMax is how many services call over HTTP, each held to its part of an instance (package throttle).
	servicesMax = 8
	pushAccount = "push@loadtest.iam.gserviceaccount.com"
	// backlogMax bounds the messages that wait in Pub/Sub.
	backlogMax = 1_000_000
	// engineGCPercent spends memory rather than the processors that the function's processes share with the engine: in the cloud Firestore
	// has its own.
	engineGCPercent   = 800
	engineMemoryBytes = 8 << 30
)

// enginePart is what the engine is told first.
type enginePart struct {
	Endpoint string // of another Firestore, to be put behind the hooks; empty for the embedded one
	Profile  string
}

// engineReady is its answer.
type engineReady struct {
	Firestore, PubSub, Issuer string
	Tokens                    []string // of the services that call
}

// order is what the engine is told later.
type order struct {
	// Delay, if set, is added to RPCs from now on; Reset begins to count anew; Subscribe names the functions that usage is pushed to;
	// Quiet waits until everything is pushed.
	Delay     *delays
	Reset     bool
	Subscribe []string
	Quiet     time.Duration
}

// engineAnswer follows each order.
type engineAnswer struct {
	Used  used
	Error string
}

// engine is Firestore, Pub/Sub and an issuer of tokens.
type engine struct {
	hooks  *firedb.Hooks
	tokens *issuer.Issuer
	broker *broker.Broker
	ready  engineReady
	close  []func() error
}

func playEngine(ctx context.Context, in io.Reader, out io.Writer) (err error) {
	lines := bufio.NewReaderSize(in, lineMaxBytes)
	var part enginePart
	if err := hear(lines, &part); err != nil {
		return fmt.Errorf("the engine's part: %w", err)
	}
	stop, err := profileTo(part.Profile, roleEngine)
	if err != nil {
		return err
	}
	debug.SetGCPercent(engineGCPercent)
	debug.SetMemoryLimit(engineMemoryBytes)
	e := &engine{hooks: &firedb.Hooks{}}
	defer func() {
		err = errors.Join(err, stop())
		for i := len(e.close) - 1; i >= 0; i-- {
			err = errors.Join(err, e.close[i]())
		}
	}()
	if err := errors.Join(e.openFirestore(part.Endpoint), e.openIssuer(ctx), e.openBroker(ctx)); err != nil {
		return err
	}
	if err := say(out, e.ready); err != nil {
		return err
	}
	for {
		var o order
		if err := hear(lines, &o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		a := engineAnswer{}
		if err := e.obey(ctx, o); err != nil {
			a.Error = err.Error()
		}
		c := e.hooks.Counts()
		for _, n := range c.RPCs {
			a.Used.RPCs += n
		}
		a.Used.Reads, a.Used.Writes, a.Used.Deletes = c.Reads, c.Writes, c.Deletes
		if err := say(out, a); err != nil {
			return err
		}
	}
}

func (e *engine) obey(ctx context.Context, o order) error {
	if d := o.Delay; d != nil {
		e.hooks.Set(
			firedb.Rule{Method: "BeginTransaction", Fault: firedb.Fault{Delay: d.Begin}},
			firedb.Rule{Method: "Rollback", Fault: firedb.Fault{Delay: d.Begin}},
			firedb.Rule{Method: "Commit", Fault: firedb.Fault{Delay: d.Commit}},
			firedb.Rule{Fault: firedb.Fault{Delay: d.Read}},
		)
	}
	if o.Reset {
		runtime.GC() // what the phase before left is not this one's cost
		e.hooks.Reset()
	}
	if len(o.Subscribe) > 0 {
		if err := e.subscribe(ctx, o.Subscribe); err != nil {
			return err
		}
	}
	if o.Quiet > 0 {
		ctx, cancel := context.WithTimeout(ctx, o.Quiet)
		defer cancel()
		return e.broker.Wait(ctx)
	}
	return nil
}

// openFirestore serves the embedded engine, or another Firestore behind hooks.
func (e *engine) openFirestore(endpoint string) error {
	var listen func(string) (net.Addr, error)
	if endpoint == "" {
		set, err := indexes.Load()
		if err != nil {
			return err
		}
		s, err := firedb.Open(firedb.Options{Hooks: e.hooks, Indexes: set})
		if err != nil {
			return err
		}
		e.close = append(e.close, s.Close)
		listen = s.Listen
	} else {
		conn, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return fmt.Errorf("connect to %s: %w", endpoint, err)
		}
		p := firedb.Proxy(conn, e.hooks)
		e.close = append(e.close, conn.Close, p.Close)
		listen = p.Listen
	}
	addr, err := listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	e.ready.Firestore = addr.String()
	return nil
}

func (e *engine) openIssuer(ctx context.Context) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for the issuer: %w", err)
	}
	e.ready.Issuer = "http://" + l.Addr().String()
	if e.tokens, err = issuer.New(issuer.Options{URL: e.ready.Issuer}); err != nil {
		return err
	}
	s := &http.Server{Handler: e.tokens.Handler(), ReadHeaderTimeout: stopTimeout}
	go func() { _ = s.Serve(l) }() // ends with Close
	e.close = append(e.close, s.Close)
	for _, account := range services() {
		token, err := e.mint(account)
		if err != nil {
			return err
		}
		e.ready.Tokens = append(e.ready.Tokens, token)
	}
	return nil
}

// services are the accounts of the services that call.
func services() []string {
	out := []string{serviceAccount}
	for i := 1; i < servicesMax; i++ {
		out = append(out, strconv.Itoa(i)+"-"+serviceAccount)
	}
	return out
}

func (e *engine) mint(account string) (string, error) {
	return e.tokens.Mint(map[string]any{"sub": account, "aud": audience, "email": account, "email_verified": true})
}

func (e *engine) openBroker(ctx context.Context) error {
	push, err := e.mint(pushAccount) // one for all pushes: Google too signs a new one only when the last is about to end
	if err != nil {
		return err
	}
	e.broker, err = broker.Open(broker.Options{
		MaxMessages: backlogMax, MaxBytes: 1 << 30, TokenSource: func(context.Context, string, string) (string, error) { return push, nil },
	})
	if err != nil {
		return err
	}
	e.close = append(e.close, e.broker.Close)
	addr, err := e.broker.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	e.ready.PubSub = addr.String()
	list, err := wiring.Load()
	if err != nil {
		return err
	}
	for _, t := range list.Topics {
		if err := e.broker.Topic(ctx, topicName(t.Name)); err != nil {
			return err
		}
	}
	return nil
}

func topicName(name string) string { return "projects/" + project + "/topics/" + name }

// subscribe pushes usage to the function's processes in turn, as Cloud Run's front end spreads requests.
func (e *engine) subscribe(ctx context.Context, urls []string) error {
	list, err := wiring.Load()
	if err != nil {
		return err
	}
	table, err := limits.Load()
	if err != nil {
		return err
	}
	pushes := table.Function("usage").PushConcurrency
	for _, s := range list.Subscriptions {
		if s.Function != "usage" || s.Path != "" {
			continue
		}
		sub := broker.Subscription{
			Name: "projects/" + project + "/subscriptions/" + s.Name, Topic: topicName(s.Topic), URL: urls[0],
			AckDeadline: time.Duration(s.AckDeadlineSeconds) * time.Second, Retry: &broker.Retry{Min: 10 * time.Millisecond, Max: time.Second},
			ServiceAccount: pushAccount, Audience: audience, Concurrency: pushes,
		}
		if len(urls) > 1 {
			if sub.Handler, err = spread(urls); err != nil {
				return err
			}
		}
		return e.broker.Subscribe(ctx, sub)
	}
	return errors.New("usage is pushed by no subscription of the wiring")
}

// spread hands requests to several processes in turn.
func spread(urls []string) (http.Handler, error) {
	targets := make([]*url.URL, len(urls))
	for i, u := range urls {
		t, err := url.Parse(u)
		if err != nil {
			return nil, fmt.Errorf("the URL of a process: %w", err)
		}
		targets[i] = t
	}
	var next atomic.Uint64
	return &httputil.ReverseProxy{
		Transport: &http.Transport{MaxIdleConnsPerHost: 1000},
		Rewrite:   func(r *httputil.ProxyRequest) { r.Out.URL = targets[next.Add(1)%uint64(len(targets))] },
	}, nil
}
