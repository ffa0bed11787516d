package broker

import (
	"context"
	"fmt"
	"net/http"
	"sync"
)

// inProcess is a transport that hands requests to a handler in this process, as a server would: the request's context
// ends when the client stops waiting, and a panic or an answer that comes too late is the loss of the connection.
type inProcess struct {
	handler http.Handler
	places  chan struct{} // bounds the calls, those that outlived their client included
	calls   *sync.WaitGroup
}

// RoundTrip calls the handler and returns the answer's status and headers; its body is not kept.
func (t *inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	select {
	case t.places <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("no place for another call of the handler: %w", context.Cause(ctx))
	}
	done := make(chan *statusWriter, 1)
	t.calls.Go(func() {
		defer func() { <-t.places }()
		done <- t.call(r)
	})
	select {
	case w := <-done:
		if w.panicked {
			return nil, fmt.Errorf("handler of %s panicked", r.URL.Path)
		}
		return &http.Response{
			Status:     fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)),
			StatusCode: w.status,
			Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header:  w.header,
			Body:    http.NoBody,
			Request: r,
		}, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("handler of %s has not answered: %w", r.URL.Path, context.Cause(ctx))
	}
}

func (t *inProcess) call(client *http.Request) *statusWriter {
	// The handler's request is its own: the client may be done with client while the handler still reads.
	r := client.Clone(client.Context())
	r.RequestURI = r.URL.RequestURI()
	r.Host = r.URL.Host
	r.RemoteAddr = "127.0.0.1:0"
	w := &statusWriter{header: http.Header{}, panicked: true}
	func() {
		defer func() { _ = recover() }() // a server would close the connection
		t.handler.ServeHTTP(w, r)
		w.panicked = false
	}()
	w.WriteHeader(http.StatusOK)
	return w
}

// statusWriter keeps the status of an answer and drops its body.
type statusWriter struct {
	header   http.Header
	status   int
	panicked bool // the handler did not return
}

func (w *statusWriter) Header() http.Header { return w.header }

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK { // 1xx are not the answer yet
		w.status = status
	}
}

func (w *statusWriter) Write(body []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return len(body), nil
}

var _ http.ResponseWriter = (*statusWriter)(nil)
