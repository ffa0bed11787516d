package firedb

import (
	"context"
	"math/rand/v2"
	"path"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Fault is what happens to a call that a rule selects.
type Fault struct {
	// Delay holds the call back before it runs. DelayFunc, if set, is asked for the delay instead, once per call.
	Delay     time.Duration
	DelayFunc func() time.Duration
	// Code fails the call; OK lets it be.
	Code codes.Code
	// After runs the call first and then loses its answer: the client sees Code alone. A call that fails by itself
	// keeps its own error.
	After bool
}

// Rule selects calls. For each call the first rule that selects it decides.
type Rule struct {
	// Method is the name of an RPC, such as "Commit"; "" and "*" mean every one.
	Method string
	// Chance is the probability that the rule selects a call it fits; 0 means always.
	Chance float64
	// Count is how many calls the rule selects before it is spent; 0 means any number.
	Count int
	// When, if set, must hold for the request, which it must not change.
	When func(proto.Message) bool
	Fault
}

// Hooks injects faults into the calls of the server whose options it gives, and counts them. The zero value does the
// latter. Its methods may be called concurrently, also while calls run.
type Hooks struct {
	// Rand decides on chances, so that a run can be repeated; nil means a source of its own. It is set before the first
	// call and used by nobody else.
	Rand *rand.Rand

	mu     sync.Mutex
	rules  []*armedRule
	counts Counts
}

// armedRule is a rule and what is left of its count.
type armedRule struct {
	Rule
	left int
}

// Set replaces all rules; without arguments there are none.
func (h *Hooks) Set(rules ...Rule) {
	armed := make([]*armedRule, len(rules))
	for i, r := range rules {
		armed[i] = &armedRule{Rule: r, left: r.Count}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rules = armed
}

// choose returns the fault for a call.
func (h *Hooks) choose(method string, request any) Fault {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.rules {
		if !h.selectsLocked(r, method, request) {
			continue
		}
		if r.Count > 0 {
			r.left--
		}
		return r.Fault
	}
	return Fault{}
}

func (h *Hooks) selectsLocked(r *armedRule, method string, request any) bool {
	if r.Count > 0 && r.left == 0 {
		return false
	}
	if r.Method != "" && r.Method != "*" && r.Method != method {
		return false
	}
	if r.When != nil {
		m, ok := request.(proto.Message)
		if !ok || !r.When(m) {
			return false
		}
	}
	return r.Chance <= 0 || h.drawLocked() < r.Chance
}

func (h *Hooks) drawLocked() float64 {
	if h.Rand == nil {
		return rand.Float64()
	}
	return h.Rand.Float64()
}

// before holds the call back and fails it unless it is to run.
func (f Fault) before(ctx context.Context) error {
	delay := f.Delay
	if f.DelayFunc != nil {
		delay = f.DelayFunc()
	}
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return statusOf(ctx)
		}
	}
	if f.Code != codes.OK && !f.After {
		return status.Error(f.Code, "injected before the call ran")
	}
	return nil
}

// loses reports whether a call that succeeded loses its answer.
func (f Fault) loses() bool { return f.Code != codes.OK && f.After }

func (f Fault) lost() error { return status.Error(f.Code, "injected after the call took effect") }

// ServerOptions returns the interceptors that inject and count, for any server of the Firestore API. On a nil Hooks
// there are none.
func (h *Hooks) ServerOptions() []grpc.ServerOption {
	if h == nil {
		return nil
	}
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(h.unary), grpc.ChainStreamInterceptor(h.stream)}
}

func (h *Hooks) unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	method := path.Base(info.FullMethod)
	h.countCall(method)
	fault := h.choose(method, request)
	if err := fault.before(ctx); err != nil {
		return nil, err
	}
	response, err := next(ctx, request)
	h.meter(request, response, err)
	if err != nil {
		return nil, err
	}
	if fault.loses() {
		return nil, fault.lost()
	}
	return response, nil
}

func (h *Hooks) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	method := path.Base(info.FullMethod)
	h.countCall(method)
	s := &hookedStream{ServerStream: ss, hooks: h, method: method}
	s.ctx = context.WithValue(ss.Context(), billKey{}, &s.bill)
	err := next(srv, s)
	h.add(s.bill.total(err))
	if err != nil {
		return err
	}
	if s.fault.loses() {
		return s.fault.lost()
	}
	return nil
}

// hookedStream is a call that answers with a stream. The handler receives its one request first: that is where the
// rules can see it, and where the call can still fail before it runs.
type hookedStream struct {
	grpc.ServerStream
	ctx    context.Context
	hooks  *Hooks
	method string
	fault  Fault
	bill   bill
}

func (s *hookedStream) Context() context.Context { return s.ctx }

func (s *hookedStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	s.fault = s.hooks.choose(s.method, m)
	if err := s.fault.before(s.ctx); err != nil {
		return err
	}
	s.bill.request(m)
	return nil
}

func (s *hookedStream) SendMsg(m any) error {
	s.bill.response(m)
	if s.fault.loses() {
		return nil
	}
	return s.ServerStream.SendMsg(m)
}
