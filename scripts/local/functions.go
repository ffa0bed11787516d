package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/sethvargo/go-envconfig"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/embedded/broker"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/wiring"
)

// The accounts under which the system's parts call each other.
const (
	serviceAccount   = "ai-services@local.iam.gserviceaccount.com"
	pushAccount      = "push@local.iam.gserviceaccount.com"
	schedulerAccount = "scheduler@local.iam.gserviceaccount.com"
)

// settings are a function's environment.
func (s *system) settings(function string) (envconfig.Lookuper, error) {
	callers, err := json.Marshal(map[string]any{"callers": []map[string]any{{"email": serviceAccount, "roles": []string{"spend", "operate"}}}})
	if err != nil {
		return nil, err
	}
	common := map[string]string{
		"GOOGLE_CLOUD_PROJECT":    project,
		"FIRESTORE_EMULATOR_HOST": s.documents,
		"PUBSUB_EMULATOR_HOST":    s.messages,
		"CALLERS":                 string(callers),
		"SERVICE_ISSUER":          s.issuerURL(),
		"SERVICE_AUDIENCE":        s.base + "/" + function,
		"PUSH_ACCOUNT":            pushAccount,
		"SCHEDULER_ACCOUNT":       schedulerAccount,
		"PEOPLE_ISSUER":           s.issuerURL(),
		"PEOPLE_AUDIENCE":         peopleAudience,
		"PUBLIC_URL":              s.base,
		"DASHBOARD_KEYS":          s.dashboardKey,
		"SUPPORT_ADDRESS":         "support@fluxori.example",
	}
	mail, err := s.mailSettings()
	if err != nil {
		return nil, err
	}
	maps.Copy(common, mail)
	maps.Copy(common, s.stripeSettings())
	return envconfig.MapLookuper(common), nil
}

// openFunctions builds every function and mounts it as the cloud does: what follows its name is its own.
func (s *system) openFunctions(ctx context.Context) error {
	if err := s.seedCatalogue(ctx); err != nil {
		return err
	}
	for _, f := range serve.Functions() {
		lookup, err := s.settings(f.Name())
		if err != nil {
			return err
		}
		h, err := f.Build(ctx, serve.Env{Lookup: lookup, Log: s.log, Now: s.clock.Now, Telemetry: s.recorder})
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name(), err)
		}
		mounted := http.StripPrefix("/"+f.Name(), h)
		s.mux.Handle("/"+f.Name(), mounted)
		s.mux.Handle("/"+f.Name()+"/", mounted)
	}
	return nil
}

func (s *system) seedCatalogue(ctx context.Context) error {
	seed, err := catalogue.Seed()
	if err != nil {
		return err
	}
	return catalogue.NewStore(s.clients.Documents, s.log, catalogue.StoreOptions{}).Seed(ctx, seed)
}

// wire makes the topics and the subscriptions that push to the functions, and tells Stripe where webhooks go.
func (s *system) wire(ctx context.Context) error {
	var err error
	if s.list, err = wiring.Load(); err != nil {
		return err
	}
	if s.broker != nil {
		for _, t := range s.list.Topics {
			if err := s.broker.Topic(ctx, "projects/"+project+"/topics/"+t.Name); err != nil {
				return err
			}
		}
		for _, sub := range s.list.Subscriptions {
			if err := s.broker.Subscribe(ctx, s.subscription(sub)); err != nil {
				return fmt.Errorf("subscription %s: %w", sub.Name, err)
			}
		}
	}
	if s.stripe != nil {
		return s.stripe.AddEndpoint(stripestand.Endpoint{Handler: s.mux, Path: "/purchasewebhook"})
	}
	return nil
}

// subscription is one of the wiring's on the embedded broker. It is tried again sooner than in the cloud: people wait for it here.
func (s *system) subscription(sub wiring.Subscription) broker.Subscription {
	url := s.base + "/" + sub.Function + sub.Path
	out := broker.Subscription{
		Name: "projects/" + project + "/subscriptions/" + sub.Name, Topic: "projects/" + project + "/topics/" + sub.Topic,
		URL: url, Handler: s.mux, AckDeadline: time.Duration(sub.AckDeadlineSeconds) * time.Second,
		Retry:          &broker.Retry{Min: time.Second, Max: 10 * time.Second},
		ServiceAccount: pushAccount, Audience: s.base + "/" + sub.Function,
	}
	if d := sub.DeadLetter; d != nil {
		out.DeadLetterTopic, out.MaxAttempts = "projects/"+project+"/topics/"+d.Topic, d.MaxDeliveryAttempts
	}
	return out
}

// openJobs starts the scheduler, which fires jobs as the system's clock passes their times, and mounts the controls: whoever finds them finds
// a system that is ready.
func (s *system) openJobs(ctx context.Context) error {
	s.mux.Handle("/_local/", s.controls())
	s.mux.Handle("GET /{$}", http.HandlerFunc(s.index))
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	s.onStop(func(context.Context) error { cancel(); <-done; return nil })
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if err := s.scheduler.tick(ctx); err != nil && ctx.Err() == nil {
					s.log.Warn("a scheduled job failed", "error", err)
				}
			}
		}
	}()
	return nil
}

// fire sends a job's request, as Cloud Scheduler does.
func (s *system) fire(j wiring.Job) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, time.Duration(j.AttemptDeadlineSeconds)*time.Second)
		defer cancel()
		token, err := s.issuer.ServiceToken(schedulerAccount, s.base+"/"+j.Function)
		if err != nil {
			return err
		}
		status, body, err := s.call(ctx, http.MethodPost, "/"+j.Function+j.Path, token, "")
		if err != nil {
			return err
		}
		if status >= http.StatusBadRequest {
			return fmt.Errorf("%s answered %d: %s", j.Name, status, strings.TrimSpace(body))
		}
		return nil
	}
}

// call sends a request to the system itself.
func (s *system) call(ctx context.Context, method, path, token, body string) (status int, answer string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return res.StatusCode, string(data), err
}
