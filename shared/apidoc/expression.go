package apidoc

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"gopkg.in/yaml.v3"
)

// Expression says what a value is, in one of its forms.
type Expression struct {
	// Name is a word of this package (see words), or a schema of the document, which begins with a capital.
	Name string
	// Items is what a list has; Map what an object has under names that are data; Fields what an object has under names that are fixed. A
	// field whose name ends in ? is optional.
	Items  *Expression
	Map    *Expression
	Fields List[Expression]
	Enum   []string
	// Reasons are codes: the value is an object with one of them, its text and what it carries.
	Reasons []string
	// OneOf are the forms that a value may have.
	OneOf []Expression
	// Nullable says that the value can be null.
	Nullable bool
	// Text says what the value means.
	Text string
}

// words are the kinds of plain values.
func words() map[string]map[string]any {
	return map[string]map[string]any{
		"string":   {"type": "string"},
		"integer":  {"type": "integer", "format": "int64"},
		"boolean":  {"type": "boolean"},
		"time":     {"type": "string", "format": "date-time"},
		"day":      {"type": "string", "format": "date"},
		"month":    {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}$"},
		"org":      {"type": "string", "pattern": "^[a-z0-9-]{1,64}$"},
		"id":       {"type": "string", "minLength": 1, "maxLength": 128},
		"credits":  {"type": "integer", "format": "int64", "minimum": 0},
		"anything": {"type": "object", "additionalProperties": true},
		"page":     {"type": "string"},
	}
}

// UnmarshalYAML implements yaml.Unmarshaler: a word or a schema's name, a list of one, or a mapping that says which form it is.
func (e *Expression) UnmarshalYAML(node *yaml.Node) error {
	switch node.Kind {
	case yaml.ScalarNode:
		e.Name = node.Value
		return nil
	case yaml.SequenceNode:
		var items []Expression
		if err := node.Decode(&items); err != nil {
			return fmt.Errorf("line %d: %w", node.Line, err)
		}
		if len(items) != 1 {
			return fmt.Errorf("line %d: a list has items of one kind", node.Line)
		}
		e.Items = &items[0]
		return nil
	default:
	}
	var form struct {
		Is      *Expression      `yaml:"is"`
		Fields  List[Expression] `yaml:"fields"`
		Map     *Expression      `yaml:"map"`
		Enum    []string         `yaml:"enum"`
		Reasons []string         `yaml:"reasons"`
		OneOf   []Expression     `yaml:"one_of"`
		Text    string           `yaml:"text"`
		Null    bool             `yaml:"nullable"`
	}
	if err := strictly(node, &form, "is", "fields", "map", "enum", "reasons", "one_of", "text", "nullable"); err != nil {
		return err
	}
	if form.Is != nil {
		*e = *form.Is
	}
	forms := 0
	for _, there := range []bool{form.Is != nil, form.Fields != nil, form.Map != nil, form.Enum != nil, form.Reasons != nil, form.OneOf != nil} {
		if there {
			forms++
		}
	}
	if forms != 1 {
		return fmt.Errorf("line %d: exactly one of is, fields, map, enum, reasons and one_of is wanted", node.Line)
	}
	if form.Is == nil {
		*e = Expression{Fields: form.Fields, Map: form.Map, Enum: form.Enum, Reasons: form.Reasons, OneOf: form.OneOf}
	}
	e.Text, e.Nullable = form.Text, form.Null
	return nil
}

// refers reports whether the expression is the name of a schema.
func (e Expression) refers() bool { return e.Name != "" && unicode.IsUpper(rune(e.Name[0])) }

// parts are the expressions within one.
func (e Expression) parts() []Expression {
	out := append([]Expression{}, e.OneOf...)
	for _, f := range e.Fields {
		out = append(out, f.Value)
	}
	for _, p := range []*Expression{e.Items, e.Map} {
		if p != nil {
			out = append(out, *p)
		}
	}
	return out
}

// known finds names in an expression that are no word and no schema.
func (d *Document) known(e Expression) error {
	switch _, word := words()[e.Name]; {
	case e.refers():
		if _, ok := d.Schemas.Find(e.Name); !ok {
			return fmt.Errorf("there is no schema %s", e.Name)
		}
	case e.Name != "" && !word:
		return fmt.Errorf("there is no kind of value %s", e.Name)
	}
	errs := []error{d.knownCodes(e.Reasons)}
	for _, p := range e.parts() {
		errs = append(errs, d.known(p))
	}
	return errors.Join(errs...)
}

// optional splits a field's name from the mark that it can be left out.
func optional(name string) (string, bool) { return strings.CutSuffix(name, "?") }
