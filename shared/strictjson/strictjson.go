// Package strictjson decodes one JSON object from a caller who may be mistaken or hostile.
//
// Invariants: what is accepted has one meaning. Refused are bodies over the limit, anything but one object, data after
// it, unknown fields (names are compared exactly, case included), the same name twice at any depth, null at any place
// (what is optional is left out), text that is not valid UTF-8, values of another type than the field's, and for a
// whole number any fraction, exponent, string or value beyond its type's range. A refusal names the field.
//
// It does not own what the values mean: ranges, required fields and forms of ids belong to whoever uses them.
//
// The decoder is github.com/go-json-experiment/json, the source of encoding/json/v2. In Go 1.26 the standard library's
// copy is built only under GOEXPERIMENT=jsonv2, which a function's deployed build does not set; and the first
// encoding/json takes the last of two equal names, compares names without regard to case, replaces invalid UTF-8 and
// reads null as "unchanged". When encoding/json/v2 leaves its experiment, two import lines change.
package strictjson

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// fieldNameMax bounds how much of a field's path, which the caller chose, a message repeats, in bytes.
const fieldNameMax = 100

// Error says why data was refused. Its code is `invalid_request` or `too_large`.
type Error struct {
	// Field is the path of the field at fault, its names joined by dots, or empty if it is the data as a whole.
	Field string

	code   string
	public string
	cause  error
}

// Error implements error.
func (e *Error) Error() string {
	if e.cause == nil {
		return e.public
	}
	return e.public + " (" + e.cause.Error() + ")"
}

// Code is the code of the HTTP contract: `invalid_request` or `too_large`.
func (e *Error) Code() string { return e.code }

// Public says what is wrong, for the caller.
func (e *Error) Public() string { return e.public }

// Details names the field at fault, if one is.
func (e *Error) Details() map[string]any {
	if e.Field == "" {
		return nil
	}
	return map[string]any{"field": e.Field}
}

// Unwrap returns the reading or decoding error beneath.
func (e *Error) Unwrap() error { return e.cause }

// errNull refuses a null.
var errNull = errors.New("null is not accepted")

// refuseNull looks at each value before it is decoded.
var refuseNull = json.WithUnmarshalers(json.UnmarshalFromFunc(func(dec *jsontext.Decoder, _ any) error {
	if dec.PeekKind() == 'n' {
		return errNull
	}
	return json.SkipFunc
}))

// Decode reads one JSON object of at most limit bytes from body into a new T, a struct or a map. It reads at most one
// byte more than limit. Errors are an *Error.
func Decode[T any](body io.Reader, limit int64) (T, error) {
	data, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		var zero T
		return zero, &Error{code: "invalid_request", public: "The body could not be read to its end.", cause: err}
	}
	return Unmarshal[T](data, limit)
}

// Unmarshal decodes data, one JSON object of at most limit bytes, into a new T, a struct or a map. Errors are an *Error.
func Unmarshal[T any](data []byte, limit int64) (T, error) {
	var value, zero T
	if int64(len(data)) > limit {
		return zero, &Error{code: "too_large", public: fmt.Sprintf("The data is larger than %d bytes.", limit)}
	}
	switch rest := bytes.TrimLeft(data, " \t\r\n"); {
	case len(rest) == 0:
		return zero, invalid("", "The data is empty; a JSON object is expected.", nil)
	case rest[0] != '{':
		return zero, invalid("", "The data is not a JSON object.", nil)
	}
	if err := json.Unmarshal(data, &value, json.RejectUnknownMembers(true), refuseNull); err != nil {
		return zero, explain(err)
	}
	return value, nil
}

// invalid returns an Error about a field, or about the data as a whole if field is empty.
func invalid(field, public string, cause error) *Error {
	return &Error{Field: field, code: "invalid_request", public: public, cause: cause}
}

// explain says in the caller's terms what the decoder refused.
func explain(err error) *Error {
	if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		field := fieldPath(syntactic.JSONPointer)
		if errors.Is(err, jsontext.ErrDuplicateName) {
			return invalid(field, fmt.Sprintf("The field %s is given twice.", strconv.Quote(field)), err)
		}
		return invalid(field, fmt.Sprintf("The data is not one well-formed JSON object: %v at byte %d.", syntactic.Err, syntactic.ByteOffset), err)
	}
	semantic, ok := errors.AsType[*json.SemanticError](err)
	if !ok {
		return invalid("", "The data is not one well-formed JSON object.", err)
	}
	field := fieldPath(semantic.JSONPointer)
	quoted := strconv.Quote(field)
	switch {
	case errors.Is(err, json.ErrUnknownName):
		return invalid(field, fmt.Sprintf("The field %s is not known here.", quoted), err)
	case errors.Is(err, errNull):
		return invalid(field, fmt.Sprintf("The field %s is null; leave out what is not meant.", quoted), err)
	case errors.Is(err, strconv.ErrRange):
		return invalid(field, fmt.Sprintf("The field %s is out of range.", quoted), err)
	default:
		return invalid(field, fmt.Sprintf("The field %s must be %s.", quoted, expected(semantic.GoType)), err)
	}
}

// expected names what a field of type t takes.
func expected(t reflect.Type) string {
	if t == nil {
		return "of another form"
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.PkgPath() == "time" && t.Name() == "Time" {
		return "a time as RFC 3339 has it, such as 2026-11-30T08:15:00Z"
	}
	switch t.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number, without quotes, fraction or exponent"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number of zero or more, without quotes, fraction or exponent"
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	default:
		return "of another form"
	}
}

// fieldPath turns a JSON pointer into names joined by dots, cut to fieldNameMax bytes.
func fieldPath(pointer jsontext.Pointer) string {
	var path strings.Builder
	for token := range pointer.Tokens() {
		if path.Len() > 0 {
			path.WriteByte('.')
		}
		path.WriteString(token)
		if path.Len() > fieldNameMax {
			break
		}
	}
	s := path.String()
	if len(s) <= fieldNameMax {
		return s
	}
	cut := fieldNameMax
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
