package serve_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/fluxori/ai-credits/shared/serve"
)

func TestAFullInstanceSaysSoAtOnceAndRecovers(t *testing.T) {
	t.Parallel()
	const n = 3
	entered, release := make(chan struct{}), make(chan struct{})
	h := serve.AtOnce(n, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		entered <- struct{}{}
		<-release
		w.WriteHeader(http.StatusNoContent)
	}))
	ask := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}")))
		return w
	}
	answers := make(chan int, n)
	for range n {
		go func() { answers <- ask().Code }()
		<-entered
	}
	w := ask()
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), `"unavailable"`) {
		t.Errorf("beyond what it takes: %d %v %s", w.Code, w.Header(), w.Body)
	}
	close(release)
	for range n {
		if code := <-answers; code != http.StatusNoContent {
			t.Errorf("one that had a place: %d", code)
		}
	}
	go func() { <-entered }()
	if code := ask().Code; code != http.StatusNoContent {
		t.Errorf("afterwards: %d", code)
	}
}
