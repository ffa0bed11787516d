package inbox

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"html/template"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const maxControlBytes = 4096

//go:embed pages/*.html
var pageFiles embed.FS

var pages = template.Must(template.ParseFS(pageFiles, "pages/*.html"))

// JSON serves what was sent, beneath /_local/emails:
//
//	GET    /_local/emails?to=address   {"items": […]}, the newest first
//	GET    /_local/emails/{id}         one message
//	DELETE /_local/emails              forgets them
//	POST   /_local/emails/mode {mode}  changes how the server behaves
func (in *Inbox) JSON() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_local/emails", func(w http.ResponseWriter, r *http.Request) {
		items := []Message{}
		for _, m := range in.Messages() {
			if to := r.URL.Query().Get("to"); to == "" || slices.Contains(m.EnvelopeTo, to) {
				items = append(items, m)
			}
		}
		writeJSON(w, http.StatusOK, map[string]any{"items": items})
	})
	mux.HandleFunc("DELETE /_local/emails", func(w http.ResponseWriter, _ *http.Request) {
		in.Clear()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /_local/emails/{id}", func(w http.ResponseWriter, r *http.Request) {
		m, ok := in.named(r.PathValue("id"))
		if !ok {
			problem(w, http.StatusNotFound, "not_found", "no such message")
			return
		}
		writeJSON(w, http.StatusOK, m)
	})
	mux.HandleFunc("POST /_local/emails/mode", in.changeMode)
	return mux
}

func (in *Inbox) named(id string) (Message, bool) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return Message{}, false
	}
	return in.Message(n)
}

func (in *Inbox) changeMode(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Mode Mode `json:"mode"`
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxControlBytes))
	d.DisallowUnknownFields()
	err := d.Decode(&body)
	if err == nil {
		if _, trailing := d.Token(); !errors.Is(trailing, io.EOF) {
			err = errors.New("one JSON object is expected")
		}
	}
	if err == nil {
		err = in.SetMode(body.Mode)
	}
	if err != nil {
		problem(w, http.StatusBadRequest, "invalid_request", err.Error())
		return
	}
	writeJSON(w, http.StatusOK, body)
}

func problem(w http.ResponseWriter, status int, code, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	writeJSON(w, status, map[string]any{"title": http.StatusText(status), "status": status, "code": code, "detail": detail})
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	w.Write(body)
}

type inboxPage struct {
	Title   string
	Mode    Mode
	Address string // of the list
	Items   []Message
}

type messagePage struct {
	Title string
	Back  string
	Message
}

// Page serves the messages for people to read, beneath a path such as
// "/_local/inbox": the list there, each message beneath it.
func (in *Inbox) Page(path string) http.Handler {
	path = strings.TrimSuffix(path, "/")
	mux := http.NewServeMux()
	list := func(w http.ResponseWriter, _ *http.Request) {
		render(w, "list", inboxPage{Title: "Inbox", Mode: in.Mode(), Address: path, Items: in.Messages()})
	}
	mux.HandleFunc("GET "+path, list)
	mux.HandleFunc("GET "+path+"/{$}", list)
	mux.HandleFunc("GET "+path+"/{id}", func(w http.ResponseWriter, r *http.Request) {
		m, ok := in.named(r.PathValue("id"))
		if !ok {
			http.NotFound(w, r)
			return
		}
		render(w, "message", messagePage{Title: m.Subject, Back: path, Message: m})
	})
	mux.HandleFunc("GET "+path+"/{id}/raw", func(w http.ResponseWriter, r *http.Request) {
		m, ok := in.named(r.PathValue("id"))
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Write(m.Raw)
	})
	return mux
}

// render writes a page. Its policy keeps a message's HTML, which stands in a
// frame without rights, from running or loading anything.
func render(w http.ResponseWriter, name string, data any) {
	var body bytes.Buffer
	if err := pages.ExecuteTemplate(&body, name, data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-src 'self'")
	w.Write(body.Bytes())
}
