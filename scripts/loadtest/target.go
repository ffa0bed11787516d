package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"cloud.google.com/go/firestore"
	"cloud.google.com/go/pubsub/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/cloud"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/events"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/limits"
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
		return &httpTarget{users: p.Users, urls: p.URLs, token: "Bearer " + p.Engine.Token, client: &http.Client{
			Transport: &http.Transport{MaxIdleConns: 0, MaxIdleConnsPerHost: inFlightMax, DisableCompression: true},
		}}, nil
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

// httpTarget posts to the debit function's processes in turn.
type httpTarget struct {
	complaints
	users  int
	urls   []string
	token  string
	client *http.Client
}

// answerMaxBytes bounds what is read of an answer.
const answerMaxBytes = 64 << 10

func (t *httpTarget) do(ctx context.Context, org, event string, turn int) outcome {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.urls[turn%len(t.urls)], bytes.NewReader(bodyOf(org, event, t.users)))
	if err != nil {
		return t.wrong(event, err)
	}
	req.Header.Set("Authorization", t.token)
	res, err := t.client.Do(req)
	if err != nil {
		return unknown
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, answerMaxBytes))
	switch {
	case err != nil:
		return unknown
	case res.StatusCode == http.StatusOK && bytes.Contains(body, []byte(`"replayed":true`)):
		return replayed
	case res.StatusCode == http.StatusOK:
		return acknowledged
	case res.StatusCode == http.StatusPaymentRequired:
		return refused
	case res.StatusCode == http.StatusServiceUnavailable && res.Header.Get("Retry-After") != "":
		return unknown
	}
	return t.wrong(event, fmt.Sprintf("%d %s", res.StatusCode, body))
}

func (t *httpTarget) close() error {
	t.client.CloseIdleConnections()
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
