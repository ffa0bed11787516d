package stripestand

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
)

// shapesJSON holds, by kind of object, the fields that the stand-in never
// sets, with the value that Stripe gives them.
//
//go:embed shapes.json
var shapesJSON []byte

// hiddenField holds what the stand-in itself keeps with an object.
const hiddenField = "_hidden"

const maxExpandDepth = 4

var shapes = sync.OnceValues(func() (map[string]map[string]any, error) {
	var out map[string]map[string]any
	if err := json.Unmarshal(shapesJSON, &out); err != nil {
		return nil, fmt.Errorf("decoding the shapes of objects: %w", err)
	}
	return out, nil
})

// tree renders an object as Stripe would, with all fields of its kind: maps,
// slices and plain values that share nothing with the object. Values of fields
// that the stand-in never sets are shared among trees and not to be changed.
func tree(object any) (any, error) {
	byKind, err := shapes()
	if err != nil {
		return nil, err
	}
	return node(reflect.ValueOf(object), byKind)
}

// node renders a value by the rules of encoding/json. It does without encoding
// and decoding, which would be most of the stand-in's work.
func node(v reflect.Value, byKind map[string]map[string]any) (any, error) {
	switch value := v.Interface().(type) {
	case text:
		return unless(value == "", string(value)), nil
	case instant:
		return unless(value == 0, int64(value)), nil
	case json.RawMessage:
		return decodeTree(value)
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil, nil // JSON's null
		}
		return node(v.Elem(), byKind)
	case reflect.Struct:
		return structNode(v, byKind)
	case reflect.Map:
		out := make(map[string]any, v.Len())
		for key, value := range v.Seq2() {
			out[key.String()] = value.Interface()
		}
		return out, nil
	case reflect.Slice:
		if v.IsNil() {
			return nil, nil // JSON's null
		}
		out := make([]any, v.Len())
		for i := range out {
			var err error
			if out[i], err = node(v.Index(i), byKind); err != nil {
				return nil, err
			}
		}
		return out, nil
	default:
		return v.Interface(), nil
	}
}

func unless(absent bool, value any) any {
	if absent {
		return nil
	}
	return value
}

func structNode(v reflect.Value, byKind map[string]map[string]any) (any, error) {
	out := make(map[string]any, v.NumField())
	for field, value := range v.Fields() {
		name, option, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == hiddenField || (option == "omitempty" && value.IsZero()) {
			continue
		}
		var err error
		if out[name], err = node(value, byKind); err != nil {
			return nil, err
		}
	}
	if kind, ok := out["object"].(string); ok {
		fill(out, byKind[kind])
	}
	return out, nil
}

// decodeTree decodes JSON with numbers kept as written.
func decodeTree(data []byte) (any, error) {
	if len(data) == 0 {
		return nil, nil // JSON's null
	}
	var tree any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		return nil, fmt.Errorf("decoding an object: %w", err)
	}
	return tree, nil
}

// fill adds the fields that the stand-in never sets.
func fill(dst, defaults map[string]any) {
	for name, value := range defaults {
		have, ok := dst[name]
		if !ok {
			dst[name] = value
			continue
		}
		haveMap, okHave := have.(map[string]any)
		wantMap, okWant := value.(map[string]any)
		if okHave && okWant {
			fill(haveMap, wantMap)
		}
	}
}

// renderExpanded renders an object with the fields at the given paths
// replaced by the objects that they name.
func (o *op) renderExpanded(object any, paths []string) (json.RawMessage, error) {
	t, err := tree(object)
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		segments := strings.Split(path, ".")
		if len(segments) > maxExpandDepth {
			return nil, invalid("", "expand", "You cannot expand more than %d levels of a property: %s", maxExpandDepth, path)
		}
		if err := o.expand(t, path, segments); err != nil {
			return nil, err
		}
	}
	data, err := json.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("encoding a %T: %w", object, err)
	}
	return data, nil
}

func (o *op) expand(node any, path string, segments []string) error {
	if len(segments) == 0 {
		return nil
	}
	n, ok := node.(map[string]any)
	if !ok {
		return invalid("", "expand", "This property cannot be expanded (%s).", path)
	}
	name := segments[0]
	if err := o.include(n, name); err != nil {
		return err
	}
	value, present := n[name]
	if !present {
		return invalid("", "expand", "This property cannot be expanded (%s).", path)
	}
	switch v := value.(type) {
	case nil:
		return nil
	case []any:
		for i, child := range v {
			expanded, err := o.expandValue(child, path)
			if err != nil {
				return err
			}
			v[i] = expanded
			if err := o.expand(expanded, path, segments[1:]); err != nil {
				return err
			}
		}
		return nil
	default:
		expanded, err := o.expandValue(value, path)
		if err != nil {
			return err
		}
		n[name] = expanded
		return o.expand(expanded, path, segments[1:])
	}
}

// expandValue returns the object that an id names; an object stays itself.
func (o *op) expandValue(value any, path string) (any, error) {
	id, ok := value.(string)
	if !ok {
		if _, isObject := value.(map[string]any); isObject {
			return value, nil
		}
		return nil, invalid("", "expand", "This property cannot be expanded (%s).", path)
	}
	object, ok := o.find(id)
	if !ok {
		return nil, invalid("", "expand", "This property cannot be expanded (%s).", path)
	}
	return tree(object)
}

// include adds the lists that Stripe renders only when asked.
func (o *op) include(n map[string]any, name string) error {
	id, _ := n["id"].(string)
	if _, present := n[name]; present {
		return nil
	}
	var extra any
	switch kind, _ := n["object"].(string); kind + "." + name {
	case "checkout.session.line_items":
		if c, ok := o.st.Sessions.get(id); ok {
			extra = newList("/v1/checkout/sessions/"+id+"/line_items", c.Hidden.Items)
		}
	case "charge.refunds":
		extra = newList("/v1/charges/"+id+"/refunds", o.refundsOf(id))
	case "customer.subscriptions":
		extra = newList("/v1/customers/"+id+"/subscriptions", o.subscriptionsOf(id))
	default:
		return nil
	}
	t, err := tree(extra)
	if err != nil {
		return err
	}
	n[name] = t
	return nil
}

// find returns the object with the id, whatever its kind.
func (o *op) find(id string) (any, bool) {
	prefix, _, _ := strings.Cut(id, "_")
	switch prefix {
	case "cus":
		return boxed(o.st.Customers.get(id))
	case "pm":
		return boxed(o.st.Methods.get(id))
	case "cs":
		return boxed(o.st.Sessions.get(id))
	case "pi":
		return boxed(o.st.Intents.get(id))
	case "ch":
		return boxed(o.st.Charges.get(id))
	case "re":
		return boxed(o.st.Refunds.get(id))
	case "dp":
		return boxed(o.st.Disputes.get(id))
	case "sub":
		if s, ok := o.st.Schedules.get(id); ok {
			return s, true
		}
		return boxed(o.st.Subscriptions.get(id))
	case "in":
		return boxed(o.st.Invoices.get(id))
	default:
		if p, ok := o.st.Products.get(id); ok {
			return p, true
		}
		return boxed(o.st.Prices.get(id))
	}
}

func boxed[T any](row *T, ok bool) (any, bool) { return row, ok }
