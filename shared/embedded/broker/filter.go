package broker

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// maxFilterBytes is production's bound on a filter.
const maxFilterBytes = 256

// A condition is one term of a filter: that an attribute is there, or its comparison with a value.
type condition struct {
	key     string
	present bool // the term asks only that the key exists
	equal   bool
	value   string
}

// A filter is a conjunction of conditions on attributes; the empty one matches every message.
type filter []condition

var (
	conditionPresent = regexp.MustCompile(`^attributes\s*:\s*([A-Za-z_][A-Za-z0-9_\-]*|"(?:[^"\\]|\\.)*")$`)
	conditionCompare = regexp.MustCompile(`^attributes\s*\.\s*([A-Za-z_][A-Za-z0-9_\-]*|"(?:[^"\\]|\\.)*")\s*(!?=)\s*("(?:[^"\\]|\\.)*")$`)
	conjunction      = regexp.MustCompile(`\s+AND\s+`)
)

// parseFilter reads the part of Pub/Sub's filter language that is supported: terms `attributes:key`,
// `attributes.key = "value"` and `attributes.key != "value"`, joined by AND. Everything else is refused, so that no
// subscription receives what its filter should have kept out.
func parseFilter(expr string) (filter, error) {
	if strings.TrimSpace(expr) == "" {
		return nil, nil
	}
	if len(expr) > maxFilterBytes {
		return nil, fmt.Errorf("filter has %d bytes, at most %d are allowed", len(expr), maxFilterBytes)
	}
	var out filter
	for _, term := range splitConjunction(expr) {
		c, err := parseCondition(strings.TrimSpace(term))
		if err != nil {
			return nil, fmt.Errorf("filter %q: %w", expr, err)
		}
		out = append(out, c)
	}
	return out, nil
}

// splitConjunction splits at each AND outside of quotes.
func splitConjunction(expr string) []string {
	var terms []string
	start := 0
	for _, at := range conjunction.FindAllStringIndex(expr, -1) {
		before := strings.ReplaceAll(expr[:at[0]], `\"`, "")
		if strings.Count(before, `"`)%2 == 0 {
			terms = append(terms, expr[start:at[0]])
			start = at[1]
		}
	}
	return append(terms, expr[start:])
}

func parseCondition(term string) (condition, error) {
	if m := conditionPresent.FindStringSubmatch(term); m != nil {
		key, err := unquote(m[1])
		return condition{key: key, present: true}, err
	}
	m := conditionCompare.FindStringSubmatch(term)
	if m == nil {
		return condition{}, fmt.Errorf("term %q is not supported: use attributes:key, attributes.key = \"value\" or attributes.key != \"value\", joined by AND", term)
	}
	key, err := unquote(m[1])
	if err != nil {
		return condition{}, err
	}
	value, err := unquote(m[3])
	return condition{key: key, equal: m[2] == "=", value: value}, err
}

func unquote(s string) (string, error) {
	if !strings.HasPrefix(s, `"`) {
		return s, nil
	}
	out, err := strconv.Unquote(s)
	if err != nil {
		return "", fmt.Errorf("string %s: %w", s, err)
	}
	return out, nil
}

// matches reports whether a message with these attributes passes. As in production, a message without the key passes
// an inequality.
func (f filter) matches(attributes map[string]string) bool {
	for _, c := range f {
		value, ok := attributes[c.key]
		switch {
		case c.present && !ok, !c.present && (ok && value == c.value) != c.equal:
			return false
		}
	}
	return true
}
