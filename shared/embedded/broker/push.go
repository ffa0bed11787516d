package broker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
)

const (
	// userAgent and publishTimeLayout are production's.
	userAgent         = "CloudPubSub-Google"
	publishTimeLayout = "2006-01-02T15:04:05.000Z"

	// maxAnswerBytes of an endpoint's answer are read, so that its connection can be used again.
	maxAnswerBytes = 64 << 10
)

// A pusher sends a subscription's messages to its endpoint.
type pusher struct {
	client  *http.Client
	cfg     Subscription
	tokens  TokenSource
	failure func(c *pubsubpb.PubsubMessage, attempt int, err error)
}

func (b *Broker) newPusher(cfg Subscription) *pusher {
	var transport http.RoundTripper = b.client
	if cfg.Handler != nil {
		// Calls that outlive their deadline still occupy a place; twice as many places let the next attempts start.
		transport = &inProcess{handler: cfg.Handler, places: make(chan struct{}, 2*cfg.Concurrency), calls: &b.calls}
	}
	return &pusher{
		client: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		cfg:    cfg,
		tokens: b.options.TokenSource,
		failure: func(m *pubsubpb.PubsubMessage, attempt int, err error) {
			b.log.Warn("push not acknowledged", "subscription", cfg.Name, "message_id", m.GetMessageId(), "attempt", attempt, "error", err)
		},
	}
}

// pump sends what is queued as far as the subscription's concurrency allows. The lock is held.
func (b *Broker) pump(q *backlog) {
	for q.push != nil && !b.closed && q.inFlight < q.cfg.Concurrency && len(q.queue) > 0 {
		c := q.pop()
		c.attempt++
		q.inFlight++
		q.stats.Attempts++
		sends := 1
		if b.faults.hits(faultDuplicate, b.faults.faults.Duplicate, c.id, c.attempt) {
			q.stats.Duplicated++
			sends++
		}
		p, attempt := q.push, c.attempt
		b.work.Go(func() { b.delivered(c, p.send(b.ctx, c.pb, attempt, sends)) })
	}
}

// delivered books the end of a push.
func (b *Broker) delivered(c *copyOf, acked bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := c.backlog
	q.inFlight--
	if !c.settled { // else the subscription was deleted meanwhile
		switch {
		case acked && b.dropsAck(c):
			b.nacked(c)
		case acked:
			b.acked(c)
		default:
			b.nacked(c)
		}
	}
	b.pump(q)
	if q.inFlight == 0 && len(q.queue) == 0 {
		b.noteQuiet()
	}
}

// dropsAck reports whether the acknowledgement of c is lost. The lock is held.
func (b *Broker) dropsAck(c *copyOf) bool {
	if !b.faults.hits(faultDropAck, b.faults.faults.DropAck, c.id, c.attempt) {
		return false
	}
	c.backlog.stats.DroppedAcks++
	return true
}

// send delivers m once, or several times at once, and reports whether any of them was acknowledged.
func (p *pusher) send(ctx context.Context, m *pubsubpb.PubsubMessage, attempt, sends int) bool {
	errs := make([]error, sends)
	var extra sync.WaitGroup
	for i := 1; i < sends; i++ {
		extra.Go(func() { errs[i] = p.post(ctx, m, attempt) })
	}
	errs[0] = p.post(ctx, m, attempt)
	extra.Wait()
	acked := false
	for _, err := range errs {
		if err == nil {
			acked = true
		} else if ctx.Err() == nil {
			p.failure(m, attempt, err)
		}
	}
	return acked
}

// post delivers m within the acknowledgement deadline; nil means acknowledged.
func (p *pusher) post(ctx context.Context, m *pubsubpb.PubsubMessage, attempt int) error {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.AckDeadline)
	defer cancel()
	body, err := json.Marshal(p.envelope(m, attempt))
	if err != nil {
		return fmt.Errorf("encode push: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("push to %s: %w", p.cfg.URL, err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", userAgent)
	r.Header.Set("Accept", "application/json")
	if p.cfg.ServiceAccount != "" {
		token, err := p.tokens(ctx, p.cfg.ServiceAccount, p.audience())
		if err != nil {
			return fmt.Errorf("sign push for %s: %w", p.cfg.ServiceAccount, err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := p.client.Do(r)
	if err != nil {
		return fmt.Errorf("push: %w", err)
	}
	defer answer.Body.Close()
	// The status has arrived; an answer that breaks off after it does not change it.
	_, _ = io.CopyN(io.Discard, answer.Body, maxAnswerBytes)
	switch answer.StatusCode {
	case http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent:
		return nil
	default:
		return fmt.Errorf("push: %s answered %s", p.cfg.URL, answer.Status)
	}
}

func (p *pusher) audience() string {
	if p.cfg.Audience != "" {
		return p.cfg.Audience
	}
	return p.cfg.URL
}

// envelope is the body of a push. Production writes each of two fields under both of its names, leaves out what is
// empty, and counts attempts only under a dead-letter policy.
type envelope struct {
	Message         envelopeMessage `json:"message"`
	Subscription    string          `json:"subscription"`
	DeliveryAttempt int             `json:"deliveryAttempt,omitempty"`
}

type envelopeMessage struct {
	Attributes     map[string]string `json:"attributes,omitempty"`
	Data           []byte            `json:"data,omitempty"`
	MessageID      string            `json:"messageId"`
	MessageIDOld   string            `json:"message_id"`
	OrderingKey    string            `json:"orderingKey,omitempty"`
	PublishTime    string            `json:"publishTime"`
	PublishTimeOld string            `json:"publish_time"`
}

func (p *pusher) envelope(m *pubsubpb.PubsubMessage, attempt int) envelope {
	published := m.GetPublishTime().AsTime().In(time.UTC).Format(publishTimeLayout)
	out := envelope{
		Message: envelopeMessage{
			Attributes: m.GetAttributes(), Data: m.GetData(), OrderingKey: m.GetOrderingKey(),
			MessageID: m.GetMessageId(), MessageIDOld: m.GetMessageId(), PublishTime: published, PublishTimeOld: published,
		},
		Subscription: p.cfg.Name,
	}
	if p.cfg.DeadLetterTopic != "" {
		out.DeliveryAttempt = attempt
	}
	return out
}
