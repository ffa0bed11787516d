package serve_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/fluxori/ai-credits/shared/serve"
)

func TestAnAnswerThatTheCallerHasIsNotSentAgain(t *testing.T) {
	t.Parallel()
	type answer struct {
		Credits int    `json:"credits"`
		AsOf    string `json:"as_of"`
	}
	ask := func(v answer, same any, had ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		for _, tag := range had {
			r.Header.Add("If-None-Match", tag)
		}
		w := httptest.NewRecorder()
		serve.OKUnlessSame(w, r, v, same)
		return w
	}
	first := ask(answer{5, "now"}, nil)
	tag := first.Header().Get("ETag")
	weak := ask(answer{5, "now"}, 5).Header().Get("ETag")
	if first.Code != http.StatusOK || first.Body.Len() == 0 || tag == "" || weak[:2] != "W/" {
		t.Fatalf("%d %q, tags %s and %s", first.Code, first.Body, tag, weak)
	}
	for name, tt := range map[string]struct {
		v    answer
		same any
		had  []string
		code int
	}{
		"the same":                      {answer{5, "now"}, nil, []string{tag}, 304},
		"the same among others":         {answer{5, "now"}, nil, []string{`"x", W/"y" ,` + tag}, 304},
		"in another line":               {answer{5, "now"}, nil, []string{`"x"`, tag}, 304},
		"weakly the same":               {answer{5, "now"}, nil, []string{"W/" + tag}, 304},
		"whatever there is":             {answer{5, "now"}, nil, []string{"*"}, 304},
		"other content":                 {answer{5, "later"}, nil, []string{tag}, 200},
		"a tag without its quotes":      {answer{5, "now"}, nil, []string{tag[1 : len(tag)-1]}, 200},
		"only what may change is other": {answer{5, "later"}, 5, []string{weak}, 304},
		"what counts is other":          {answer{6, "later"}, 6, []string{weak}, 200},
		"nothing":                       {answer{5, "now"}, nil, nil, 200},
	} {
		w := ask(tt.v, tt.same, tt.had...)
		header := w.Header()
		if w.Code != tt.code || (w.Code == http.StatusNotModified) != (w.Body.Len() == 0) || header.Get("ETag") == "" ||
			header.Get("Cache-Control") != "private, no-cache" || header.Get("Vary") != "Authorization" {
			t.Errorf("%s: %d, want %d; %d bytes, %v", name, w.Code, tt.code, w.Body.Len(), header)
		}
	}
}
