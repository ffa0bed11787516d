package stripestand

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

const maxRequestBytes = 1 << 20

// endpointSpec is one endpoint of the API. run returns the object to answer
// with.
type endpointSpec struct {
	pattern string
	takes   spec
	run     func(*op) (any, error)
}

// Handler serves the API beneath /v1/, the payment page beneath /pay/ and the
// customer portal beneath /portal/.
func (s *Stand) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, e := range s.apiEndpoints() {
		mux.Handle(e.pattern, s.serveAPI(e))
	}
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) {
		writeAPIError(w, &apiError{
			Status:  http.StatusNotFound,
			Type:    typeInvalidRequest,
			Message: fmt.Sprintf("Unrecognized request URL (%s: %s). The stand-in does not serve it.", r.Method, r.URL.Path),
		})
	})
	s.mountPages(mux)
	return mux
}

func (s *Stand) apiEndpoints() []endpointSpec {
	groups := [][]endpointSpec{
		customerEndpoints, methodEndpoints, catalogueEndpoints, sessionEndpoints, intentEndpoints, chargeEndpoints,
		refundEndpoints, disputeEndpoints, subscriptionEndpoints, scheduleEndpoints, invoiceEndpoints,
		eventEndpoints, portalEndpoints, upcomingEndpoint, taxEndpoints,
	}
	var all []endpointSpec
	for _, g := range groups {
		all = append(all, g...)
	}
	return all
}

// serveAPI answers one endpoint: who asks, with what, whether it was asked
// before, the work, and the answer with what the caller wants expanded.
func (s *Stand) serveAPI(e endpointSpec) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.admit(r); err != nil {
			writeAPIError(w, err)
			return
		}
		encoded, err := encodedParams(w, r)
		if err != nil {
			writeAPIError(w, err)
			return
		}
		a, err := s.answer(e, r, encoded)
		if err != nil {
			writeAPIError(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Request-Id", a.Request)
		w.Header().Set("Stripe-Version", APIVersion)
		if a.replayed {
			w.Header().Set("Idempotent-Replayed", "true")
		}
		w.WriteHeader(a.Status)
		w.Write(a.Body)
	})
}

func (s *Stand) admit(r *http.Request) error {
	key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || key == "" || (s.opts.Key != "" && key != s.opts.Key) {
		return &apiError{
			Status:  http.StatusUnauthorized,
			Type:    typeInvalidRequest,
			Message: "You did not provide the API key of this stand-in as a bearer token.",
		}
	}
	if v := r.Header.Get("Stripe-Version"); v != "" && v != APIVersion {
		return invalid("", "", "Invalid Stripe API version: %s; the stand-in speaks %s", v, APIVersion)
	}
	return nil
}

func encodedParams(w http.ResponseWriter, r *http.Request) (string, error) {
	if r.Method == http.MethodGet || r.URL.RawQuery != "" {
		return r.URL.RawQuery, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBytes))
	if err != nil {
		return "", invalid("", "", "Reading the request: %v", err)
	}
	return string(body), nil
}

// answer does the endpoint's work under the lock.
func (s *Stand) answer(e endpointSpec, r *http.Request, encoded string) (keptAnswer, error) {
	p, err := parseParams(encoded, e.takes)
	if err != nil {
		return keptAnswer{}, err
	}
	var a keptAnswer
	if r.Method == http.MethodGet {
		err = s.read(func(o *op) error {
			o.id, o.p, o.request = r.PathValue("id"), p, "req_"+s.letters(s.st.Serial, idLetters)
			var err error
			a, err = o.work(e)
			return err
		})
		return a, err
	}
	err = s.do(func(o *op) error {
		o.id, o.p, o.request = r.PathValue("id"), p, o.newID("req_")
		o.key = r.Header.Get("Idempotency-Key")
		var err error
		a, err = o.once(r.Method+" "+r.URL.Path, encoded, func() (keptAnswer, error) { return o.work(e) })
		return err
	})
	return a, err
}

// work runs the endpoint and renders its answer.
func (o *op) work(e endpointSpec) (keptAnswer, error) {
	result, err := e.run(o)
	if err != nil {
		return keptAnswer{}, err
	}
	body, err := o.renderExpanded(result, o.p.list("expand"))
	if err != nil {
		return keptAnswer{}, err
	}
	return keptAnswer{Status: http.StatusOK, Body: body, Request: o.request}, nil
}

func writeAPIError(w http.ResponseWriter, err error) {
	var e *apiError
	if !errors.As(err, &e) {
		e = &apiError{Status: http.StatusInternalServerError, Type: "api_error", Message: err.Error()}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Status)
	w.Write(e.body())
}

func (e *apiError) body() []byte {
	body, err := json.Marshal(map[string]*apiError{"error": e})
	if err != nil { // an apiError holds nothing that cannot be encoded
		return []byte(`{"error":{"type":"api_error"}}`)
	}
	return body
}

// sameForm reports whether two encoded forms hold the same parameters.
func sameForm(a, b string) bool {
	va, errA := url.ParseQuery(a)
	vb, errB := url.ParseQuery(b)
	return errA == nil && errB == nil && va.Encode() == vb.Encode()
}
