package apidoc

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/fluxori/ai-credits/shared/serve"
)

//go:embed page.html
var pageSource string

var pageTemplate = template.Must(template.New("page").Parse(pageSource))

// pageView fills the page.
type pageView struct {
	Title   string
	About   []string
	Routes  []routeView
	Schemas []namedView
	Codes   []namedView
}

type routeView struct {
	ID, Method, Path, Title, About, Roles string
	Keyed                                 bool
	Query, Body                           *valueView
	Answers, Problems                     []answerView
}

type answerView struct {
	Status int
	Value  *valueView
}

type namedView struct {
	Name     string
	Optional bool
	Value    *valueView
}

// valueView is an expression in words: a word or a schema's name, then what it is of, alternatives, codes, fields and the text.
type valueView struct {
	Word, Ref, Text string
	Of              *valueView
	Or              []*valueView
	Codes           []string
	Fields          []namedView
}

func view(e Expression) *valueView {
	v := &valueView{Text: e.Text}
	if e.Nullable {
		v.Text = strings.TrimSpace("Can be null. " + e.Text)
	}
	switch {
	case e.refers():
		v.Ref = e.Name
	case e.Name != "":
		v.Word = e.Name
	case e.Items != nil:
		v.Word, v.Of = "list of", view(*e.Items)
	case e.Map != nil:
		v.Word, v.Of = "by name", view(*e.Map)
	case e.Enum != nil:
		v.Word = strings.Join(e.Enum, " | ")
	case e.Reasons != nil:
		v.Word, v.Codes = "one of", e.Reasons
	default:
		for _, form := range e.OneOf {
			v.Or = append(v.Or, view(form))
		}
		v.Fields = viewFields(e.Fields)
	}
	return v
}

func viewFields(list List[Expression]) []namedView {
	out := make([]namedView, 0, len(list))
	for _, f := range list {
		name, left := optional(f.Name)
		out = append(out, namedView{name, left, view(f.Value)})
	}
	return out
}

func (d *Document) renderPage() ([]byte, error) {
	v := pageView{Title: d.Title, Schemas: viewFields(d.Schemas), Codes: viewFields(d.problems)}
	for paragraph := range strings.SplitSeq(strings.TrimSpace(d.About), "\n\n") {
		v.About = append(v.About, strings.Join(strings.Fields(paragraph), " "))
	}
	for _, rt := range d.Routes {
		v.Routes = append(v.Routes, d.viewRoute(rt))
	}
	var out bytes.Buffer
	if err := pageTemplate.Execute(&out, v); err != nil {
		return nil, fmt.Errorf("write the page of %s: %w", d.Server, err)
	}
	return out.Bytes(), nil
}

func (d *Document) viewRoute(rt Named[Route]) routeView {
	method, path, _ := strings.Cut(rt.Name, " ")
	v := routeView{
		ID: operationID(rt.Name), Method: method, Path: strings.TrimSuffix(d.Server+documented(path), "/"), Title: rt.Value.Title, About: rt.Value.About,
		Roles: strings.Join(rt.Value.Roles, ", "), Keyed: rt.Value.Keyed,
	}
	if rt.Value.Query != nil {
		v.Query = &valueView{Fields: viewFields(rt.Value.Query)}
	}
	if rt.Value.Body != nil {
		v.Body = view(*rt.Value.Body)
	}
	for _, status := range slices.Sorted(maps.Keys(rt.Value.Answers)) {
		v.Answers = append(v.Answers, answerView{status, view(rt.Value.Answers[status])})
	}
	problems := d.byStatus(rt.Value)
	for _, status := range slices.Sorted(maps.Keys(problems)) {
		v.Problems = append(v.Problems, answerView{status, &valueView{Codes: problems[status]}})
	}
	return v
}

// The routes of the document itself, and of the messages' schemas. Anybody may read them: the contract is no secret.
const (
	documentRoute = "GET /openapi.json"
	pageRoute     = "GET /docs"
	messagesRoute = "GET /messages.json"
)

// What a browser may do with them: nothing is loaded, and the page's style is its own.
const (
	dataPolicy = "default-src 'none'; frame-ancestors 'none'"
	pagePolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

// OwnRoutes are the patterns that Register and RegisterMessages add.
func OwnRoutes() []string { return []string{documentRoute, pageRoute, messagesRoute} }

// Register serves a document and its page. It is read when somebody first asks for it, so that it costs a function's start nothing.
func Register(rt *serve.Router, source []byte) {
	parsed := sync.OnceValues(func() (*Document, error) { return Parse(source) })
	served := sync.OnceValues(func() ([]byte, error) {
		d, err := parsed()
		if err != nil {
			return nil, err
		}
		return d.Served()
	})
	page := sync.OnceValues(func() ([]byte, error) {
		d, err := parsed()
		if err != nil {
			return nil, err
		}
		return d.renderPage()
	})
	rt.Handle(documentRoute, func(w http.ResponseWriter, r *http.Request) error {
		return give(w, r, "application/json", dataPolicy, served)
	})
	rt.Handle(pageRoute, func(w http.ResponseWriter, r *http.Request) error {
		return give(w, r, "text/html; charset=utf-8", pagePolicy, page)
	})
}

// RegisterMessages serves the JSON schemas of the Pub/Sub messages, by topic.
func RegisterMessages(rt *serve.Router) {
	made := sync.OnceValues(func() ([]byte, error) { return Messages(false) })
	rt.Handle(messagesRoute, func(w http.ResponseWriter, r *http.Request) error {
		return give(w, r, "application/json", dataPolicy, made)
	})
}

// give answers with what is made once.
func give(w http.ResponseWriter, r *http.Request, kind, policy string, made func() ([]byte, error)) error {
	body, err := made()
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", kind)
	header.Set("Content-Security-Policy", policy)
	header.Set("Cache-Control", "public, max-age=300")
	if serve.SameAs(w, r, serve.Tag(body)) {
		return nil
	}
	if _, err := w.Write(body); err != nil {
		return fmt.Errorf("send an API document: %w", err)
	}
	return nil
}
