package audit

import (
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"
)

// Finding is the first thing that does not agree. It is an error.
type Finding struct {
	Org string `firestore:"org" json:"org_id"`
	// Seq and Entry are the number and the document's id of the entry that is wrong, or of the last one that moved the figure that is: 0 and
	// empty where none did since the checkpoint.
	Seq   int64  `firestore:"seq" json:"seq"`
	Entry string `firestore:"entry" json:"entry"`
	// Where is what was looked at: "entry", "wallet", "grant gr_…", "hold …", "counter …", "usage 2026-03-01", "payment pi_…".
	Where string `firestore:"where" json:"where"`
	// Field is what of it differs, Expected what the entries, or Stripe, say, and Found what is stored.
	Field    string `firestore:"field" json:"field"`
	Expected string `firestore:"expected" json:"expected"`
	Found    string `firestore:"found" json:"found"`
}

func (f *Finding) Error() string {
	where := f.Where
	if f.Seq != 0 || f.Entry != "" {
		where += fmt.Sprintf(" (entry %d %s)", f.Seq, f.Entry)
	}
	return fmt.Sprintf("%s: %s: %s: expected %s, found %s", f.Org, where, f.Field, f.Expected, f.Found)
}

// none stands where there is nothing.
const none = "none"

// differ is a finding about a figure.
func differ(where, field string, expected, found any) *Finding {
	return &Finding{Where: where, Field: field, Expected: text(expected), Found: text(found)}
}

// compare tells the first field in which two records differ, of those that are not named; nil for none. Moments are equal to the microsecond.
func compare(where string, want, got any, without ...string) *Finding {
	return compareFields(where, "", reflect.ValueOf(want), reflect.ValueOf(got), without)
}

func compareFields(where, prefix string, want, got reflect.Value, without []string) *Finding {
	for i := range want.NumField() {
		f := want.Type().Field(i)
		w, g := want.Field(i), got.Field(i)
		name := prefix + snake(f.Name)
		_, moment := w.Interface().(time.Time)
		switch {
		case contains(without, name):
			continue
		case f.Anonymous:
			name = prefix
		}
		if w.Kind() == reflect.Struct && !moment {
			inner := name
			if !f.Anonymous {
				inner += "."
			}
			if found := compareFields(where, inner, w, g, without); found != nil {
				return found
			}
			continue
		}
		if !same(w.Interface(), g.Interface()) {
			return differ(where, name, w.Interface(), g.Interface())
		}
	}
	return nil
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

func same(a, b any) bool {
	if x, ok := a.(time.Time); ok {
		y, ok := b.(time.Time)
		return ok && x.Truncate(time.Microsecond).Equal(y.Truncate(time.Microsecond))
	}
	if v := reflect.ValueOf(a); v.Kind() == reflect.Slice && v.Len() == 0 {
		return reflect.ValueOf(b).Len() == 0
	}
	return reflect.DeepEqual(a, b)
}

// text writes a value for people.
func text(v any) string {
	if t, ok := v.(time.Time); ok {
		if t.IsZero() {
			return none
		}
		return t.UTC().Format(time.RFC3339Nano)
	}
	if p := reflect.ValueOf(v); p.Kind() == reflect.Pointer {
		if p.IsNil() {
			return none
		}
		v = p.Elem().Interface()
	}
	return fmt.Sprintf("%+v", v)
}

// snake writes a field's name as documents do.
func snake(name string) string {
	if name == strings.ToUpper(name) {
		return strings.ToLower(name)
	}
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 && !unicode.IsUpper(rune(name[i-1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
