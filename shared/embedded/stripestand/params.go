package stripestand

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	maxParams          = 2000
	maxMetadataKeys    = 50
	maxMetadataKeyLen  = 40
	maxMetadataValLen  = 500
	maxParamValueBytes = 5000
)

// metadata is the set of key-value pairs that callers attach to an object.
type metadata map[string]string

// spec lists the parameters that an endpoint takes. A key is the parameter's
// path in Stripe's bracket syntax with [] for any index, as in
// "line_items[][price]"; the value says what it may hold.
type spec map[string]paramKind

type paramKind struct {
	kind     string // "string", "int", "bool", "time", "map"
	values   []string
	required bool
}

// newSpec builds a spec from entries such as "email", "amount! int",
// "mode payment|subscription", "trial_end time|now" and "metadata map". An
// exclamation mark makes a top-level parameter required.
func newSpec(entries ...string) spec {
	s := spec{"expand[]": {kind: "string"}}
	for _, e := range entries {
		name, kind, _ := strings.Cut(e, " ")
		name, must := strings.CutSuffix(name, "!")
		k := paramKind{kind: "string", required: must}
		alternatives := strings.Split(kind, "|")
		switch alternatives[0] {
		case "":
		case "int", "bool", "map", "time":
			k.kind, k.values = alternatives[0], alternatives[1:]
		default:
			k.values = alternatives
		}
		s[name] = k
	}
	return s
}

// with returns a spec that takes the entries of s and those of others.
func (s spec) with(others ...spec) spec {
	out := maps.Clone(s)
	for _, o := range others {
		maps.Copy(out, o)
	}
	return out
}

// lookup finds the kind of the parameter with the given segments.
func (s spec) lookup(segments []string) (paramKind, bool) {
	var b strings.Builder
	for i, seg := range segments {
		switch {
		case i == 0:
			b.WriteString(seg)
		case isIndex(seg):
			b.WriteString("[]")
		default:
			b.WriteString("[" + seg + "]")
		}
		if k, ok := s[b.String()]; ok && k.kind == "map" && len(segments)-i <= 2 {
			return k, true
		}
	}
	k, ok := s[b.String()]
	return k, ok
}

func isIndex(seg string) bool {
	_, err := strconv.ParseUint(seg, 10, 16)
	return err == nil
}

// params holds a request's parameters by path, each list element under its
// own index: "line_items[0][price]".
type params struct {
	values map[string]string
}

// parseParams decodes an encoded form and checks it against what the endpoint
// takes. A parameter that the stand-in does not know is refused.
func parseParams(encoded string, s spec) (params, error) {
	form, err := url.ParseQuery(encoded)
	if err != nil {
		return params{}, invalid("", "", "Invalid form encoding: %v", err)
	}
	if len(form) > maxParams {
		return params{}, invalid("", "", "Too many parameters: %d, at most %d", len(form), maxParams)
	}
	p := params{values: make(map[string]string, len(form))}
	for _, key := range slices.Sorted(maps.Keys(form)) {
		for i, value := range form[key] {
			segments, err := splitKey(key, i)
			if err != nil {
				return params{}, err
			}
			name := joinKey(segments)
			kind, ok := s.lookup(segments)
			if !ok {
				return params{}, invalid("parameter_unknown", key, "Received unknown parameter: %s", key)
			}
			if err := kind.check(name, value); err != nil {
				return params{}, err
			}
			p.values[name] = value
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if s[name].required && !p.has(name) {
			return params{}, required(name)
		}
	}
	return p, nil
}

// splitKey splits "a[b][][c]" into its segments; an empty index becomes n.
func splitKey(key string, n int) ([]string, error) {
	head, rest, nested := strings.Cut(key, "[")
	segments := []string{head}
	if !nested {
		return segments, nil
	}
	body, closed := strings.CutSuffix(rest, "]")
	if !closed || head == "" {
		return nil, invalid("parameter_unknown", key, "Received unknown parameter: %s", key)
	}
	for seg := range strings.SplitSeq(body, "][") {
		if seg == "" {
			seg = strconv.Itoa(n)
		}
		segments = append(segments, seg)
	}
	return segments, nil
}

func joinKey(segments []string) string {
	name := segments[0]
	for _, seg := range segments[1:] {
		name += "[" + seg + "]"
	}
	return name
}

func (k paramKind) check(name, value string) error {
	if len(value) > maxParamValueBytes {
		return invalid("", name, "Invalid string: %s is longer than %d characters", name, maxParamValueBytes)
	}
	if value == "" || slices.Contains(k.values, value) {
		return nil
	}
	switch k.kind {
	case "int", "time":
		if _, err := strconv.ParseInt(value, 10, 64); err != nil {
			return invalid("parameter_invalid_integer", name, "Invalid integer: %s", value)
		}
	case "bool":
		if value != "true" && value != "false" {
			return invalid("", name, "Invalid boolean: %s", value)
		}
	case "string":
		if len(k.values) > 0 {
			return invalid("", name, "Invalid %s: must be one of %s", name, strings.Join(k.values, ", "))
		}
	}
	return nil
}

// has reports whether the parameter, or one beneath it, was sent.
func (p params) has(name string) bool {
	if _, ok := p.values[name]; ok {
		return true
	}
	for key := range p.values {
		if strings.HasPrefix(key, name+"[") {
			return true
		}
	}
	return false
}

func (p params) str(name string) string { return p.values[name] }

// strOr returns the parameter, or other if it was not sent or is empty.
func (p params) strOr(name, other string) string {
	if v := p.values[name]; v != "" {
		return v
	}
	return other
}

// integer returns the parameter as a number, 0 if it was not sent or is a
// word that the endpoint allows in a number's place.
func (p params) integer(name string) int64 {
	n, err := strconv.ParseInt(p.values[name], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func (p params) boolean(name string) bool { return p.values[name] == "true" }

// list returns the scalar elements of a list parameter in order.
func (p params) list(name string) []string {
	var out []string
	for i := range maxParams {
		v, ok := p.values[name+"["+strconv.Itoa(i)+"]"]
		if !ok {
			break
		}
		out = append(out, v)
	}
	return out
}

// elements returns the paths of a list parameter's elements that hold
// parameters of their own: "items[0]", "items[1]", …
func (p params) elements(name string) []string {
	var out []string
	for i := range maxParams {
		path := fmt.Sprintf("%s[%d]", name, i)
		if !p.has(path) {
			break
		}
		out = append(out, path)
	}
	return out
}

// applyText sets dst if the parameter was sent; an empty value clears it.
func (p params) applyText(name string, dst *text) {
	if v, ok := p.values[name]; ok {
		*dst = text(v)
	}
}

// meta merges the metadata parameter into old, as Stripe does: an empty value
// deletes the key, an empty parameter clears everything.
func (p params) meta(name string, old metadata) (metadata, error) {
	out := metadata{}
	if v, ok := p.values[name]; !ok || v != "" {
		maps.Copy(out, old)
	}
	for key, value := range p.values {
		inner, ok := strings.CutPrefix(key, name+"[")
		if !ok {
			continue
		}
		inner = strings.TrimSuffix(inner, "]")
		switch {
		case value == "":
			delete(out, inner)
		case len(inner) > maxMetadataKeyLen:
			return nil, invalid("", name, "Metadata keys can have up to %d characters: %s", maxMetadataKeyLen, inner)
		case len(value) > maxMetadataValLen:
			return nil, invalid("", name, "Metadata values can have up to %d characters: %s", maxMetadataValLen, inner)
		default:
			out[inner] = value
		}
	}
	if len(out) > maxMetadataKeys {
		return nil, invalid("", name, "You can have up to %d metadata keys", maxMetadataKeys)
	}
	return out, nil
}
