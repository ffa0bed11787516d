package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"cloud.google.com/go/firestore"
	"cloud.google.com/go/pubsub/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"golang.org/x/oauth2"

	"github.com/fluxori/ai-credits/shared/client"
	"github.com/fluxori/ai-credits/shared/cloud"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/limits"
	"github.com/fluxori/ai-credits/shared/problem"
)

const (
	// feature is what is charged for, and debitCredits what each debit takes.
	feature      = "custom-query"
	debitCredits = 10
	// ample is what a wallet has that is not to run dry.
	ample = 1_000_000_000_000
)

// target is where a driver sends its requests.
type target interface {
	// do sends one debit. turn chooses among processes.
	do(ctx context.Context, org, event string, turn int) outcome
	close() error
}

// errorsShown bounds how many unexpected answers are printed.
const errorsShown = 5

// complaints print the first unexpected answers.
type complaints struct{ n atomic.Int64 }

func (c *complaints) wrong(event string, what any) outcome {
	if c.n.Add(1) <= errorsShown {
		fmt.Fprintf(os.Stderr, "%s: %v\n", event, what)
	}
	return wrong
}

func newTarget(ctx context.Context, p driverPart) (target, error) {
	if p.Via == viaHTTP {
		return newHTTPTarget(p)
	}
	clients, err := openClients(ctx, p.Engine)
	if err != nil {
		return nil, err
	}
	switch p.Via {
	case viaLedger:
		l, err := openLedger(clients)
		return &ledgerTarget{users: p.Users, clients: clients, ledger: l}, err
	case viaPubSub:
		t := clients.Messages.Publisher(events.Usage)
		t.PublishSettings.DelayThreshold = time.Millisecond
		return &pubsubTarget{users: p.Users, clients: clients, topic: t}, nil
	case viaNaive:
		return &naiveTarget{clients: clients}, nil
	}
	return nil, fmt.Errorf("there is no way %q", p.Via)
}

func openClients(ctx context.Context, e engineReady) (*cloud.Clients, error) {
	return cloud.Open(ctx, cloud.Config{Project: project, Database: "(default)", FirestoreEmulator: e.Firestore, PubSubEmulator: e.PubSub}, nil)
}

// openLedger is a ledger with the limits of the debit function.
func openLedger(c *cloud.Clients) (*ledger.Ledger, error) {
	table, err := limits.Load()
	if err != nil {
		return nil, err
	}
	o, err := table.Function("debit").Ledger()
	if err != nil {
		return nil, err
	}
	o.Now = time.Now
	return ledger.New(c.Commits, c.Database, o)
}

// teams is how many teams the users are in.
const teams = 20

// spenderOf is for whose work an event is, the same each time, of so many users; nobody's of none.
func spenderOf(event string, users int) (team, user string) {
	if users == 0 {
		return "", ""
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(event)) // never fails
	n := h.Sum64() % uint64(users)
	return fmt.Sprint("team-", n%teams), fmt.Sprint("user-", n)
}

// debitOf is what the ledger is asked to do.
func debitOf(org, event string, users int) credit.Debit {
	credits := int64(debitCredits)
	team, user := spenderOf(event, users)
	return credit.Debit{
		EventID: event, Credits: credits,
		Content: credit.Content{Kind: credit.KindDebit, Org: org, Team: team, User: user, Feature: feature, Credits: &credits},
		Work:    credit.Work{Team: team, User: user, Feature: feature, PriceVersion: 1}, Actor: serviceAccount,
	}
}

// bodyOf is the same as the body of POST /debit.
func bodyOf(org, event string, users int) []byte {
	team, user := spenderOf(event, users)
	return fmt.Appendf(nil, `{"event_id":%q,"org_id":%q,"team_id":%q,"user_id":%q,"feature":%q,"credits":%d}`, event, org, team, user, feature, debitCredits)
}

// ledgerTarget calls package ledger in this process.
type ledgerTarget struct {
	complaints
	users   int
	clients *cloud.Clients
	ledger  *ledger.Ledger
}

func (t *ledgerTarget) do(ctx context.Context, org, event string, _ int) outcome {
	r, err := t.ledger.Do(ctx, org, debitOf(org, event, t.users))
	var no *credit.Refusal
	var down *ledger.Unavailable
	switch {
	case err == nil && r.Replayed:
		return replayed
	case err == nil:
		return acknowledged
	case errors.As(err, &no) && no.Code() == credit.CodeInsufficient:
		return refused
	case errors.As(err, &down):
		return unknown
	}
	return t.wrong(event, err)
}

func (t *ledgerTarget) close() error { return t.clients.Close() }

// httpTarget asks the debit function's processes in turn, as services do that use the client: some services, each with a client to each process.
type httpTarget struct {
	complaints
	users   int
	clients [][]*client.Client // by process and service
	http    *http.Client
}

func newHTTPTarget(p driverPart) (*httpTarget, error) {
	t := &httpTarget{users: p.Users, clients: make([][]*client.Client, len(p.URLs)), http: &http.Client{
		Transport: &http.Transport{MaxIdleConns: 0, MaxIdleConnsPerHost: inFlightMax, DisableCompression: true},
	}}
	for i, url := range p.URLs {
		for _, token := range p.Engine.Tokens {
			// It is the driver that repeats, and counts that.
			c, err := client.New(client.Options{URL: url, Tokens: oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token}), HTTP: t.http, Attempts: 1})
			if err != nil {
				return nil, err
			}
			t.clients[i] = append(t.clients[i], c)
		}
	}
	return t, nil
}

func (t *httpTarget) do(ctx context.Context, org, event string, turn int) outcome {
	team, user := spenderOf(event, t.users)
	credits := int64(debitCredits)
	process := t.clients[turn%len(t.clients)]
	charge, err := process[turn/len(t.clients)%len(process)].Debit(ctx, client.Debit{
		EventID: event, Work: client.Work{OrgID: org, TeamID: team, UserID: user, Feature: feature, Credits: &credits},
	})
	no, answered := errors.AsType[*client.Error](err)
	switch {
	case err == nil && charge.Replayed:
		return replayed
	case err == nil:
		return acknowledged
	case answered && no.Code == client.InsufficientCredits:
		return refused
	case errors.Is(err, client.ErrUnknown) && (!answered || no.Code == problem.Unavailable):
		return unknown
	}
	return t.wrong(event, err)
}

func (t *httpTarget) close() error {
	t.http.CloseIdleConnections()
	return nil
}

// pubsubTarget publishes usage. What is published counts as acknowledged: it must be charged.
type pubsubTarget struct {
	users   int
	clients *cloud.Clients
	topic   *pubsub.Publisher
}

func (t *pubsubTarget) do(ctx context.Context, org, event string, _ int) outcome {
	if _, err := t.topic.Publish(ctx, &pubsub.Message{Data: bodyOf(org, event, t.users)}).Get(ctx); err != nil {
		return unknown
	}
	return acknowledged
}

func (t *pubsubTarget) close() error {
	t.topic.Stop()
	return t.clients.Close()
}

// naiveTarget is a transaction per debit, which reads wallet and event and writes event, wallet and roll-up.
type naiveTarget struct {
	complaints
	clients *cloud.Clients
}

func (t *naiveTarget) do(ctx context.Context, org, event string, _ int) outcome {
	wallet := t.clients.Documents.Collection("naive").Doc(org)
	err := t.clients.Documents.RunTransaction(ctx, func(_ context.Context, tx *firestore.Transaction) error {
		entry := wallet.Collection("entries").Doc(event)
		docs, err := tx.GetAll([]*firestore.DocumentRef{wallet, entry})
		if err != nil {
			return err
		}
		if docs[1].Exists() {
			return status.Error(codes.AlreadyExists, event)
		}
		left := int64(ample)
		if docs[0].Exists() {
			n, err := docs[0].DataAt("available")
			if err != nil {
				return err
			}
			left = n.(int64)
		}
		left -= debitCredits
		if err := tx.Create(entry, map[string]any{"credits": debitCredits, "after": left, "at": time.Now()}); err != nil {
			return err
		}
		if err := tx.Set(wallet, map[string]any{"available": left}); err != nil {
			return err
		}
		return tx.Set(wallet.Collection("usage").Doc("day"), map[string]any{feature: firestore.Increment(debitCredits)}, firestore.MergeAll)
	})
	switch status.Code(err) {
	case codes.OK:
		return acknowledged
	case codes.AlreadyExists:
		return replayed
	case codes.Aborted, codes.DeadlineExceeded, codes.Unavailable, codes.Canceled, codes.InvalidArgument, codes.ResourceExhausted:
		return unknown // among them a transaction that ended while it waited for a lock
	default:
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return unknown
	}
	return t.wrong(event, err)
}

func (t *naiveTarget) close() error { return t.clients.Close() }
