// Package apidoc makes the OpenAPI document of a function's HTTP contract, and a readable page, from one YAML file that the function keeps.
//
// The file is in a notation of its own, shorter than OpenAPI where this system always does the same: README.md tells it. A route names who
// may call it, what goes in, what comes out and the codes of its problems; the statuses of those are package problem's, and what each code
// carries is in problems.yaml.
//
// # Invariants
//
//   - A file with a member, code or schema that nobody knows is an error, not a gap in the document.
//   - What is served lets answers gain members; [Document.Strict], which tests hold every exchange against, does not.
//   - Nothing is loaded from elsewhere: the page stands by itself.
//
// # What it does not own
//
// It checks no request: handlers decode strictly. That documents are true is for tests to show, with package apidoctest.
package apidoc

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/fluxori/ai-credits/shared/problem"
)

//go:embed problems.yaml
var problemsSource []byte

// Document is the contract of one function.
type Document struct {
	// Title, Version and About head the document; Server is the path beneath which the function answers.
	Title   string `yaml:"title"`
	Version string `yaml:"version"`
	About   string `yaml:"about"`
	Server  string `yaml:"server"`
	// Everywhere are codes that any route may answer with.
	Everywhere []string         `yaml:"everywhere"`
	Routes     List[Route]      `yaml:"routes"`
	Schemas    List[Expression] `yaml:"schemas"`

	problems List[Expression]
}

// Route is one line of the contract.
type Route struct {
	Title string `yaml:"title"`
	About string `yaml:"about"`
	// Roles are those that may call it, in the function's own words.
	Roles []string `yaml:"roles"`
	// Query are parameters, all optional. Keyed says that the header Idempotency-Key is required.
	Query List[Expression] `yaml:"query"`
	Keyed bool             `yaml:"keyed"`
	// Body is what goes in, if anything does; BodyOptional says that it can be left out.
	Body         *Expression `yaml:"body"`
	BodyOptional bool        `yaml:"body_optional"`
	// Answers are what comes out, by status; CSV says that the answer can also be a table.
	Answers map[int]Expression `yaml:"answers"`
	CSV     bool               `yaml:"csv"`
	// Conditional says that 200 has an entity tag, and that a caller who sends it in If-None-Match gets 304 while nothing has changed.
	Conditional bool `yaml:"conditional"`
	// Problems are the codes it may answer with, beside those of Everywhere.
	Problems []string `yaml:"problems"`
}

// List is a mapping whose order counts.
type List[T any] []Named[T]

// Named is one member of a List.
type Named[T any] struct {
	Name  string
	Value T
}

// UnmarshalYAML implements yaml.Unmarshaler. The member << puts those of another mapping, by its anchor, in its place.
func (l *List[T]) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: a mapping is wanted", node.Line)
	}
	*l = make(List[T], 0, len(node.Content)/2)
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := node.Content[i], node.Content[i+1]
		members := make(List[T], 1)
		if name.Value == "<<" {
			if err := value.Decode(&members); err != nil {
				return fmt.Errorf("line %d: %w", value.Line, err)
			}
		} else {
			members[0].Name = name.Value
			if err := value.Decode(&members[0].Value); err != nil {
				return fmt.Errorf("%s: %w", name.Value, err)
			}
		}
		for _, m := range members {
			if _, twice := l.Find(m.Name); twice {
				return fmt.Errorf("line %d: %s is there twice", name.Line, m.Name)
			}
			*l = append(*l, m)
		}
	}
	return nil
}

// Find is the member of a name.
func (l List[T]) Find(name string) (T, bool) {
	i := slices.IndexFunc(l, func(n Named[T]) bool { return n.Name == name })
	if i < 0 {
		var none T
		return none, false
	}
	return l[i].Value, true
}

// UnmarshalYAML implements yaml.Unmarshaler: a member that a Route does not have is an error.
func (r *Route) UnmarshalYAML(node *yaml.Node) error {
	type plain Route
	return strictly(node, (*plain)(r), "title", "about", "roles", "query", "keyed", "body", "body_optional", "answers", "csv", "conditional", "problems")
}

// strictly decodes a mapping, and refuses members that are not known.
func strictly(node *yaml.Node, into any, known ...string) error {
	if node.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: a mapping is wanted", node.Line)
	}
	for i := 0; i < len(node.Content); i += 2 {
		if !slices.Contains(known, node.Content[i].Value) {
			return fmt.Errorf("line %d: there is no member %s here", node.Content[i].Line, node.Content[i].Value)
		}
	}
	if err := node.Decode(into); err != nil {
		return fmt.Errorf("from line %d on: %w", node.Line, err)
	}
	return nil
}

// Parse reads a document. Errors name the line, or the route or schema at fault.
func Parse(source []byte) (*Document, error) {
	var d Document
	decoder := yaml.NewDecoder(bytes.NewReader(source))
	decoder.KnownFields(true)
	if err := decoder.Decode(&d); err != nil {
		return nil, fmt.Errorf("parse an API document: %w", err)
	}
	if err := yaml.Unmarshal(problemsSource, &d.problems); err != nil {
		return nil, fmt.Errorf("parse problems: %w", err)
	}
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("document of %s: %w", d.Server, err)
	}
	return &d, nil
}

// check finds names that lead nowhere.
func (d *Document) check() error {
	for _, s := range d.Schemas {
		if err := d.known(s.Value); err != nil {
			return fmt.Errorf("schema %s: %w", s.Name, err)
		}
	}
	for _, rt := range d.Routes {
		if err := d.checkRoute(rt); err != nil {
			return fmt.Errorf("route %s: %w", rt.Name, err)
		}
	}
	return nil
}

func (d *Document) checkRoute(rt Named[Route]) error {
	if method, path, ok := strings.Cut(rt.Name, " "); !ok || method != strings.ToUpper(method) || !strings.HasPrefix(path, "/") {
		return fmt.Errorf("it is to be named METHOD /path")
	}
	if rt.Value.Title == "" || len(rt.Value.Answers) == 0 || len(rt.Value.Roles) == 0 {
		return fmt.Errorf("title, roles and answers are required")
	}
	uses := []Expression{}
	if rt.Value.Body != nil {
		uses = append(uses, *rt.Value.Body)
	}
	for _, q := range rt.Value.Query {
		uses = append(uses, q.Value)
	}
	for _, a := range rt.Value.Answers {
		uses = append(uses, a)
	}
	for _, e := range uses {
		if err := d.known(e); err != nil {
			return err
		}
	}
	return d.knownCodes(d.codes(rt.Value))
}

// codes are all that a route may answer with.
func (d *Document) codes(rt Route) []string {
	return append(append([]string{}, rt.Problems...), d.Everywhere...)
}

func (d *Document) knownCodes(codes []string) error {
	for i, code := range codes {
		_, described := d.problems.Find(code)
		if _, ok := problem.Status(code); !ok || !described {
			return fmt.Errorf("the code %q is not one of the contract, or not in problems.yaml", code)
		}
		if slices.Contains(codes[:i], code) {
			return fmt.Errorf("the code %q is there twice", code)
		}
	}
	return nil
}

// Codes are all codes that problems.yaml describes.
func (d *Document) Codes() []string {
	var out []string
	for _, p := range d.problems {
		out = append(out, p.Name)
	}
	return out
}

// Served is the OpenAPI document as it is given away.
func (d *Document) Served() ([]byte, error) { return encode(d.openAPI(false)) }

// Strict is the OpenAPI document in which no object may have a member that is not described.
func (d *Document) Strict() ([]byte, error) { return encode(d.openAPI(true)) }

func encode(v any) ([]byte, error) {
	out, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return nil, fmt.Errorf("encode an API document: %w", err)
	}
	return append(out, '\n'), nil
}
