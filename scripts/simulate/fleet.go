package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sethvargo/go-envconfig"

	"github.com/fluxori/ai-credits/shared/serve"
)

const (
	// perFunction is how many instances of a function run at the same time at most.
	perFunction = 2
	// maxSkew is by how much the clocks of instances differ.
	maxSkew = 1500 * time.Millisecond
	// maxRequestBytes bounds a request's body.
	maxRequestBytes = 12 << 20
)

// instance is a process that runs one function. It has a clock of its own, and dies without a word.
type instance struct {
	function, name string
	handler        http.Handler
	end            context.CancelFunc
	dead           chan struct{}
}

// fleet is all functions' instances, and the front end that hands requests to them.
type fleet struct {
	net      *network
	log      *slog.Logger
	now      func() time.Time
	settings func(function string) map[string]string
	rand     *rand.Rand // guarded by mu
	lost     func() bool

	mu      sync.Mutex
	started int
	running map[string][]*instance // by function
	fuses   map[string]int         // writes until an instance dies, by its name
	deaths  int
}

func (f *fleet) function(name string) (serve.Function, bool) {
	all := serve.Functions()
	i := slices.IndexFunc(all, func(s serve.Function) bool { return s.Name() == name })
	if i < 0 {
		return serve.Function{}, false
	}
	return all[i], true
}

// start starts an instance.
func (f *fleet) start(ctx context.Context, name string) (*instance, error) {
	fn, ok := f.function(name)
	if !ok {
		return nil, fmt.Errorf("there is no function %q", name)
	}
	f.mu.Lock()
	f.started++
	id := fmt.Sprintf("%s#%d", name, f.started)
	skew := time.Duration(f.rand.Int64N(int64(2*maxSkew))) - maxSkew
	f.mu.Unlock()
	ctx, end := context.WithCancel(context.WithoutCancel(ctx)) // it outlives the request for which it was started
	h, err := fn.Build(ctx, serve.Env{
		Lookup: envconfig.MapLookuper(maps.Clone(f.settings(name))), Log: f.log.With("instance", id),
		Now: func() time.Time { return f.now().Add(skew) }, Dial: f.net.dialer(id),
	})
	if err != nil {
		end()
		return nil, err
	}
	in := &instance{function: name, name: id, handler: http.StripPrefix("/"+name, h), end: end, dead: make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running[name] = append(f.running[name], in)
	return in, nil
}

// pick is an instance to serve a request: one that runs, or a new one while there are fewer than there may be.
func (f *fleet) pick(ctx context.Context, name string) (*instance, error) {
	f.mu.Lock()
	running := f.running[name]
	n := f.rand.IntN(perFunction)
	f.mu.Unlock()
	if n < len(running) {
		return running[n], nil
	}
	return f.start(ctx, name)
}

// kill ends an instance as a machine that is switched off does.
func (f *fleet) kill(in *instance) {
	f.mu.Lock()
	i := slices.Index(f.running[in.function], in)
	if i < 0 {
		f.mu.Unlock()
		return
	}
	f.running[in.function] = slices.Delete(slices.Clone(f.running[in.function]), i, i+1)
	delete(f.fuses, in.name)
	f.deaths++
	f.mu.Unlock()
	close(in.dead)
	f.net.set(in.name, true)
	in.end()
}

// light has an instance, if one of the function runs, die at its nth write from now on: at any await, that is.
func (f *fleet) light(function string, writes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if running := f.running[function]; len(running) > 0 {
		f.fuses[running[f.rand.IntN(len(running))].name] = writes
	}
}

// burn counts a write of a process, and ends the process if it was its last.
func (f *fleet) burn(name string) (cut bool) {
	f.mu.Lock()
	left, lit := f.fuses[name]
	if !lit {
		f.mu.Unlock()
		return false
	}
	f.fuses[name] = left - 1
	var dying *instance
	if left <= 1 {
		function, _, _ := strings.Cut(name, "#")
		for _, in := range f.running[function] {
			if in.name == name {
				dying = in
			}
		}
	}
	f.mu.Unlock()
	if dying == nil {
		return false
	}
	go f.kill(dying) // the writer may hold locks that closing its connections wants
	return true
}

// deathCount is how many instances died before the end.
func (f *fleet) deathCount() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.deaths
}

// killAll ends everything.
func (f *fleet) killAll() {
	f.mu.Lock()
	var all []*instance
	for _, running := range f.running {
		all = append(all, running...)
	}
	f.mu.Unlock()
	for _, in := range all {
		f.kill(in)
	}
}

// ServeHTTP hands a request to an instance of the function that its path names. When that dies, the caller loses the connection.
func (f *fleet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	in, err := f.pick(r.Context(), name)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBytes))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	request := r.Clone(ctx)
	request.Body = io.NopCloser(bytes.NewReader(body))
	answer, done := httptest.NewRecorder(), make(chan struct{})
	go func() {
		defer close(done)
		in.handler.ServeHTTP(answer, request)
	}()
	select {
	case <-done:
	case <-in.dead:
		panic(http.ErrAbortHandler)
	case <-ctx.Done():
		panic(http.ErrAbortHandler)
	}
	select {
	case <-in.dead: // it answered, and nobody heard it
		panic(http.ErrAbortHandler)
	default:
	}
	if f.lost() {
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}
