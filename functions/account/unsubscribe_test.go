package account

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/fluxori/ai-credits/shared/notify"
	"github.com/fluxori/ai-credits/shared/orgs"
)

// open sends a request without any sign-in but what the headers say, which are name and value in turn.
func (s *system) open(t *testing.T, method, path, body string, headers ...string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] != "" {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(raw)
}

func TestALinkInAMailLeavesItsTopicWithOnePostAndNoSignIn(t *testing.T) {
	t.Parallel()
	s := start(t)
	o, err := notify.NewOptOuts(s.Client, s.now)
	if err != nil {
		t.Fatal(err)
	}
	token, err := o.Token(t.Context(), "acme", orgs.TopicBalance, "thandi@acme.example")
	if err != nil {
		t.Fatal(err)
	}
	left := func() bool {
		t.Helper()
		docs, err := s.Client.Collection("orgs").Doc("acme").Collection("optouts").Documents(t.Context()).GetAll()
		if err != nil {
			t.Fatal(err)
		}
		topics := []any{}
		if len(docs) == 1 {
			topics, _ = docs[0].Data()["topics"].([]any)
		}
		return len(topics) == 1 && topics[0] == "balance"
	}
	link := "/unsubscribe?token=" + url.QueryEscape(token)
	for _, step := range []struct {
		method, path, body, says string
		left                     bool
	}{
		{http.MethodGet, link, "", "Should this address get no more e-mails about the balance of acme?", false},
		{http.MethodPost, link, "List-Unsubscribe=One-Click", "gets no more e-mails about the balance of acme", true},
		{http.MethodPost, link, "", "gets no more e-mails", true},
		{http.MethodPost, link + "&undo=1", "", "gets e-mails about the balance of acme again", false},
	} {
		status, header, page := s.open(t, step.method, step.path, step.body)
		if status != http.StatusOK || !strings.Contains(page, step.says) || !strings.HasPrefix(header.Get("Content-Type"), "text/html") ||
			!strings.Contains(header.Get("Content-Security-Policy"), "default-src 'none'") || header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s %s: %d %v %s", step.method, step.path, status, header, page)
		}
		if left() != step.left {
			t.Errorf("after %s %s the address has left: %v", step.method, step.path, !step.left)
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		for _, wrong := range []string{"", "?token=", "?token=" + token[:len(token)-1], "?token=<script>"} {
			if status, _, body := s.open(t, method, "/unsubscribe"+wrong, ""); status != http.StatusBadRequest || strings.Contains(body, "<script>") {
				t.Errorf("%s %s: %d %s", method, wrong, status, body)
			}
		}
	}
}
