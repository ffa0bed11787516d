package payments_test

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/stripestand"
	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/problem"
)

// named tells which call a request is: its method, and what it writes.
func named(method string, req any) string {
	out := path.Base(method)
	if c, ok := req.(*pb.CommitRequest); ok {
		for _, w := range c.GetWrites() {
			parts := strings.SplitAfterN(w.GetUpdate().GetName(), "/documents/", 2)
			out += " " + strings.SplitN(parts[len(parts)-1], "/", 2)[0]
		}
	}
	return out
}

func (s sold) refund(key string) payments.RefundOrder {
	return payments.RefundOrder{Org: s.org, Reference: s.reference, Key: key, By: "agent", Reason: "asked"}
}

// TestARefundThatDiesAnywhereIsEndedOnce kills the process before and after each of its calls to the outside, and then lets another one repeat the
// order, or end what was left.
func TestARefundThatDiesAnywhereIsEndedOnce(t *testing.T) {
	t.Parallel()
	m := newTill(t)
	var points []string
	for _, after := range []bool{false, true} {
		for at := 1; ; at++ {
			died := ""
			for _, ending := range []string{"repeated", "swept", "told by Stripe, then swept"} {
				s := m.sell(t)
				m.spend(t, s.org, 700)
				first := m.process(t, at, after)
				_, err := first.Refund(first.ctx, s.refund("k"))
				if died = first.point(); died == "" {
					break
				}
				if err == nil && at < len(first.calls) {
					t.Errorf("%s: the process knows that it is done", died)
				}
				m.advance(3 * time.Minute)
				if ending == "told by Stripe, then swept" {
					m.deliver(t)
				}
				m.endRefund(t, died+", "+ending, s, ending != "repeated")
			}
			if died == "" {
				break
			}
			points = append(points, died)
		}
	}
	t.Logf("%d points:\n%s", len(points), strings.Join(points, "\n"))
	for _, name := range []string{"after call %, Commit wallets", "after call %, Commit payments", "after call %, POST /v1/refunds", "before call %, POST /v1/refunds"} {
		before, rest, _ := strings.Cut(name, "%")
		if !slices.ContainsFunc(points, func(p string) bool { return strings.HasPrefix(p, before) && strings.Contains(p, rest) }) {
			t.Errorf("it never died %s", name)
		}
	}
}

// endRefund lets a healthy process repeat the order, or sweep, and wants the refund made once or, swept before anything was recorded, not begun.
func (m *till) endRefund(t *testing.T, died string, s sold, resumes bool) {
	t.Helper()
	next := m.process(t, 0, false)
	begun := m.record(t, s)["own_refunds"] != nil
	if resumes {
		if _, err := next.Resume(t.Context()); err != nil {
			t.Errorf("%s: %v", died, err)
		}
	} else {
		r, err := next.Refund(t.Context(), s.refund("k"))
		if err != nil || r.State != payments.RefundMade || r.Amount != 23970 || r.Credits != 300 || r.Replayed != begun {
			t.Errorf("%s: repeated, it is %+v: %v", died, r, err)
		}
	}
	m.deliver(t)
	want, left := []int64{23970}, int64(0)
	if resumes && !begun {
		want, left = nil, 300
	}
	if got := m.refunds(t, s); !slices.Equal(got, want) {
		t.Errorf("%s: Stripe refunded %v, want %v", died, got, want)
	}
	m.wantWallet(t, died, s.org, credit.Figures{Available: left})
	if at := m.record(t, s)["resume_at"]; at != nil {
		t.Errorf("%s: it is to be resumed at %v", died, at)
	}
	if n, err := next.Resume(t.Context()); n != 0 || err != nil {
		t.Errorf("%s: %d more were ended: %v", died, n, err)
	}
}

// TestADoubleClickRefundsOnce sends one order many times at once, under one key and under many.
func TestADoubleClickRefundsOnce(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		key          func(i int) string
		amount, want int64
		left         int64 // credits
	}{
		"with one key":           {func(int) string { return "k" }, 0, 23970, 0},
		"with many keys":         {func(i int) string { return fmt.Sprint("k", i) }, 0, 23970, 0},
		"of a part with one key": {func(int) string { return "k" }, 7990, 7990, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newTill(t)
			s := m.sell(t)
			m.spend(t, s.org, 700)
			var made atomic.Int64
			var wg sync.WaitGroup
			processes := []*process{m.process(t, 0, false), m.process(t, 0, false)}
			for i := range 8 {
				p := processes[i%2]
				wg.Go(func() {
					for range 20 { // 503 says to repeat with the same key
						order := s.refund(tt.key(i))
						order.Amount = tt.amount
						r, err := p.Refund(t.Context(), order)
						if err == nil && !r.Replayed {
							made.Add(1)
						}
						if err == nil || tt.key(0) != tt.key(1) && reason(err) == "nothing_left" {
							return
						}
						if coded, ok := errors.AsType[problem.Coded](err); !ok || coded.Code() != "unavailable" {
							t.Error(err)
							return
						}
					}
					t.Error("never answered")
				})
			}
			wg.Wait()
			m.deliver(t)
			if got := m.refunds(t, s); !slices.Equal(got, []int64{tt.want}) || made.Load() > 1 {
				t.Errorf("Stripe refunded %v, and %d were told that they did it", got, made.Load())
			}
			m.wantWallet(t, name, s.org, credit.Figures{Available: tt.left})
		})
	}
}

func reason(err error) string {
	if coded, ok := errors.AsType[problem.Coded](err); ok {
		s, _ := coded.Details()["reason"].(string)
		return s
	}
	return ""
}

func TestARefundThatStripeRefusesGivesTheCreditsBack(t *testing.T) {
	t.Parallel()
	m := newTill(t)
	s := m.sell(t)
	p := m.process(t, 0, false)
	if err := m.stand.WebhookMode(stripestand.ModeHold); err != nil { // so that the dispute is not known here
		t.Fatal(err)
	}
	disputed := must[string](t)(m.stand.OpenDispute(s.payment, stripestand.Dispute{}))
	if err := m.stand.CloseDispute(disputed, false); err != nil {
		t.Fatal(err)
	}
	_, err := p.Refund(t.Context(), s.refund("a"))
	if reason(err) != "nothing_left" { // it is known now, since Stripe was asked first
		t.Errorf("%v", err)
	}
	m.wantWallet(t, "lost", s.org, credit.Figures{})

	s = m.sell2(t)
	refusing := m.refusing(t)
	_, err = refusing.Refund(t.Context(), s.refund("a"))
	if reason(err) != "stripe_refused" {
		t.Errorf("%v", err)
	}
	m.wantWallet(t, "refused", s.org, credit.Figures{Available: 1000})
	if _, err = refusing.Refund(t.Context(), s.refund("a")); reason(err) != "stripe_refused" {
		t.Errorf("again: %v", err)
	}
	r, err := p.Refund(t.Context(), s.refund("b"))
	if err != nil || r.N != 2 || r.Amount != 79900 {
		t.Errorf("another: %+v %v", r, err)
	}
	m.wantWallet(t, "refunded", s.org, credit.Figures{})
}

// TestARefusedRefundWhoseProcessDiesGivesTheCreditsBack kills the process to which Stripe says no before and after each of its calls. Stripe tells
// nobody of what it refused, so nothing but our own record leads back to the credits.
func TestARefusedRefundWhoseProcessDiesGivesTheCreditsBack(t *testing.T) {
	t.Parallel()
	m := newTill(t)
	points := 0
	for _, after := range []bool{false, true} {
		for at := 1; ; at++ {
			died := ""
			for _, ending := range []string{"swept", "repeated", "another order"} {
				s := m.sell(t)
				first := m.refusing(t)
				first.dieAt, first.after = at, after
				_, _ = first.Refund(first.ctx, s.refund("k"))
				if died = first.point(); died == "" {
					break
				}
				m.advance(3 * time.Minute)
				m.endRefusal(t, died+", "+ending, s, ending)
			}
			if died == "" {
				break
			}
			points++
		}
	}
	if points < 20 {
		t.Errorf("it died at %d points only", points)
	}
}

// endRefusal lets another process, to which Stripe says no as well, sweep or repeat the order, or has another order placed.
func (m *till) endRefusal(t *testing.T, died string, s sold, ending string) {
	t.Helper()
	next := m.refusing(t)
	switch ending {
	case "swept":
		if _, err := next.Resume(t.Context()); err != nil {
			t.Errorf("%s: %v", died, err)
		}
	case "repeated":
		if _, err := next.Refund(t.Context(), s.refund("k")); reason(err) != "stripe_refused" {
			t.Errorf("%s: %v", died, err)
		}
	default:
		if _, err := next.Refund(t.Context(), s.refund("another")); reason(err) != "stripe_refused" {
			t.Errorf("%s: %v", died, err)
		}
	}
	m.wantWallet(t, died, s.org, credit.Figures{Available: 1000})
	if at := m.record(t, s)["resume_at"]; at != nil {
		t.Errorf("%s: it is to be resumed at %v", died, at)
	}
	if got := m.refunds(t, s); len(got) > 0 {
		t.Errorf("%s: Stripe refunded %v", died, got)
	}
}

// sell2 is sell while webhooks are held: they are let go first.
func (m *till) sell2(t *testing.T) sold {
	t.Helper()
	if err := m.stand.WebhookMode(stripestand.ModeDeliver); err != nil {
		t.Fatal(err)
	}
	return m.sell(t)
}

// refusing is a process to which Stripe refuses refunds.
func (m *till) refusing(t *testing.T) *process {
	t.Helper()
	p := m.process(t, 0, false)
	p.refuse = func(w http.ResponseWriter) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":{"type":"invalid_request_error","code":"charge_disputed","message":"no"}}`)
	}
	return p
}

func TestARefundOfWhichStripeDoesNotSayIsEndedLater(t *testing.T) {
	t.Parallel()
	m := newTill(t)
	s := m.sell(t)
	p := m.process(t, 0, false)
	p.refuse = func(w http.ResponseWriter) {
		w.WriteHeader(http.StatusBadRequest) // which the client does not repeat
		fmt.Fprint(w, `{"error":{"type":"invalid_request_error","code":"lock_timeout","message":"busy"}}`)
	}
	for range 2 {
		_, err := p.Refund(t.Context(), s.refund("a"))
		if coded, ok := errors.AsType[problem.Coded](err); !ok || coded.Code() != "unavailable" {
			t.Errorf("%v", err)
		}
	}
	m.wantWallet(t, "set aside", s.org, credit.Figures{})
	if n, err := p.Resume(t.Context()); n != 0 || err != nil {
		t.Errorf("too early, %d are ended: %v", n, err)
	}
	m.advance(3 * time.Minute)
	if n, err := p.Resume(t.Context()); n != 0 || err == nil {
		t.Errorf("in vain, %d are ended: %v", n, err)
	}
	p.refuse = nil
	if n, err := p.Resume(t.Context()); n != 0 || err != nil {
		t.Errorf("put off, %d are ended: %v", n, err)
	}
	m.advance(3 * time.Minute)
	if n, err := p.Resume(t.Context()); n != 1 || err != nil {
		t.Errorf("%d are ended: %v", n, err)
	}
	if got := m.refunds(t, s); !slices.Equal(got, []int64{79900}) {
		t.Errorf("Stripe refunded %v", got)
	}
	m.deliver(t)
	m.wantWallet(t, "refunded", s.org, credit.Figures{})
}

func TestARefundThatFailsLaterGivesTheCreditsBack(t *testing.T) {
	t.Parallel()
	m := newTill(t)
	s := m.sell(t)
	m.spend(t, s.org, 700)
	p := m.process(t, 0, false)
	r, err := p.Refund(t.Context(), s.refund("a"))
	if err != nil {
		t.Fatal(err)
	}
	m.deliver(t)
	m.wantWallet(t, "made", s.org, credit.Figures{})
	m.advance(24 * time.Hour)
	if err := m.stand.SettleRefund(r.ID, false); err != nil {
		t.Fatal(err)
	}
	m.deliver(t)
	m.wantWallet(t, "failed", s.org, credit.Figures{Available: 300})
	if r, err = p.Refund(t.Context(), s.refund("a")); err != nil || r.State != payments.RefundFailed || !r.Replayed {
		t.Errorf("the same order: %+v %v", r, err)
	}
	if r, err = p.Refund(t.Context(), s.refund("b")); err != nil || r.State != payments.RefundMade || r.N != 2 || r.Amount != 23970 {
		t.Errorf("another: %+v %v", r, err)
	}
	m.deliver(t)
	m.wantWallet(t, "made again", s.org, credit.Figures{})
}

// TestCreditsThatAreSpentMeanwhileAreNotRefunded kills a refund after it was recorded, spends what it was for, and lets it be ended.
func TestCreditsThatAreSpentMeanwhileAreNotRefunded(t *testing.T) {
	t.Parallel()
	m := newTill(t)
	for at := 1; ; at++ {
		s := m.sell(t)
		first := m.process(t, at, true)
		_, _ = first.Refund(first.ctx, s.refund("k"))
		died := first.point()
		if died == "" {
			t.Fatal("it never died between its record and its credits")
		}
		if !strings.Contains(died, "Commit payments purchases") {
			continue
		}
		m.spend(t, s.org, 1)
		m.advance(3 * time.Minute)
		next := m.process(t, 0, false)
		if n, err := next.Resume(t.Context()); n != 1 || err != nil {
			t.Errorf("%s: %d ended, %v", died, n, err)
		}
		if _, err := next.Refund(t.Context(), s.refund("k")); reason(err) != "nothing_left" {
			t.Errorf("%s: %v", died, err)
		}
		m.wantWallet(t, died, s.org, credit.Figures{Available: 999})
		if got := m.refunds(t, s); len(got) > 0 {
			t.Errorf("%s: Stripe refunded %v", died, got)
		}
		return
	}
}
