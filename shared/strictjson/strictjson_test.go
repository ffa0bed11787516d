package strictjson_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/fluxori/ai-credits/shared/problem"
	"github.com/fluxori/ai-credits/shared/strictjson"
)

// usage stands for a request: every kind of field that the contracts have.
type usage struct {
	EventID    string            `json:"event_id"`
	Credits    *int64            `json:"credits,omitempty"`
	Version    int64             `json:"price_version,omitempty"`
	Count      uint8             `json:"count,omitempty"`
	Ready      bool              `json:"ready,omitempty"`
	OccurredAt *time.Time        `json:"occurred_at,omitempty"`
	Missing    []string          `json:"missing,omitempty"`
	Metadata   map[string]string `json:"metadata,omitempty"`
	Nested     *struct {
		A int64 `json:"a"`
	} `json:"nested,omitempty"`
}

var _ problem.Coded = (*strictjson.Error)(nil)

func TestRefusalsNameTheField(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ data, field, says string }{
		"empty":                {"", "", "empty"},
		"only spaces":          {" \n\t", "", "empty"},
		"list":                 {`[]`, "", "not a JSON object"},
		"string":               {`"x"`, "", "not a JSON object"},
		"null":                 {`null`, "", "not a JSON object"},
		"byte order mark":      {"\xef\xbb\xbf{}", "", "not a JSON object"},
		"cut short":            {`{"event_id":"a"`, "", "well-formed"},
		"second object":        {`{"event_id":"a"} {}`, "", "well-formed"},
		"trailing text":        {`{"event_id":"a"}x`, "", "well-formed"},
		"trailing comma":       {`{"event_id":"a",}`, "", "well-formed"},
		"comment":              {`{/*a*/"event_id":"a"}`, "", "well-formed"},
		"unknown field":        {`{"evil":1}`, "evil", "not known"},
		"other case":           {`{"Event_ID":"a"}`, "Event_ID", "not known"},
		"same name twice":      {`{"event_id":"a","event_id":"a"}`, "event_id", "twice"},
		"same name, escaped":   {`{"event_id":"a","\u0065vent_id":"b"}`, "event_id", "twice"},
		"same name in map":     {`{"metadata":{"a":"1","a":"2"}}`, "metadata.a", "twice"},
		"unknown nested field": {`{"nested":{"b":1}}`, "nested.b", "not known"},
		"nested wrong type":    {`{"nested":{"a":"1"}}`, "nested.a", "whole number"},
		"null number":          {`{"price_version":null}`, "price_version", "null"},
		"null optional number": {`{"credits":null}`, "credits", "null"},
		"null string":          {`{"event_id":null}`, "event_id", "null"},
		"null time":            {`{"occurred_at":null}`, "occurred_at", "null"},
		"null in a list":       {`{"missing":["a",null]}`, "missing.1", "null"},
		"null in a map":        {`{"metadata":{"a":null}}`, "metadata.a", "null"},
		"fraction":             {`{"credits":1.5}`, "credits", "whole number"},
		"zero fraction":        {`{"credits":1.0}`, "credits", "whole number"},
		"exponent":             {`{"credits":1e2}`, "credits", "whole number"},
		"number in a string":   {`{"credits":"5"}`, "credits", "whole number"},
		"one over int64":       {`{"credits":9223372036854775808}`, "credits", "out of range"},
		"huge":                 {`{"credits":1` + strings.Repeat("0", 400) + `}`, "credits", "out of range"},
		"leading zero":         {`{"credits":007}`, "", "well-formed"},
		"plus sign":            {`{"credits":+7}`, "credits", "well-formed"},
		"NaN":                  {`{"credits":NaN}`, "credits", "well-formed"},
		"boolean for number":   {`{"credits":true}`, "credits", "whole number"},
		"negative unsigned":    {`{"count":-1}`, "count", "zero or more"},
		"unsigned too big":     {`{"count":256}`, "count", "out of range"},
		"number for string":    {`{"event_id":1}`, "event_id", "a string"},
		"string for boolean":   {`{"ready":"true"}`, "ready", "true or false"},
		"string for list":      {`{"missing":"a"}`, "missing", "a list"},
		"list for object":      {`{"metadata":[]}`, "metadata", "an object"},
		"number in a map":      {`{"metadata":{"a":1}}`, "metadata.a", "a string"},
		"not a time":           {`{"occurred_at":"yesterday"}`, "occurred_at", "RFC 3339"},
		"invalid UTF-8 value":  {"{\"event_id\":\"\xff\"}", "event_id", "UTF-8"},
		"invalid UTF-8 name":   {"{\"\xff\":1}", "", "UTF-8"},
		"lone surrogate":       {`{"event_id":"\ud800"}`, "event_id", "well-formed"},
		"control character":    {"{\"event_id\":\"a\x00\"}", "event_id", "well-formed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := strictjson.Unmarshal[usage]([]byte(c.data), 1<<10)
			refused, ok := errors.AsType[*strictjson.Error](err)
			if !ok {
				t.Fatalf("Unmarshal(%s) = %+v, %v, want an *Error", c.data, got, err)
			}
			if refused.Code() != problem.InvalidRequest || refused.Field != c.field || !strings.Contains(refused.Public(), c.says) {
				t.Errorf("code %q, field %q, public %q; want invalid_request, %q and a text with %q",
					refused.Code(), refused.Field, refused.Public(), c.field, c.says)
			}
			if got.EventID != "" || got.Credits != nil || got.Metadata != nil {
				t.Errorf("a refusal returned part of the value: %+v", got)
			}
		})
	}
}

func TestAcceptedValuesArriveWhole(t *testing.T) {
	t.Parallel()
	got, err := strictjson.Unmarshal[usage]([]byte(` {"event_id":"é\u0000","credits":-9223372036854775808,"price_version":9223372036854775807,
		"count":255,"ready":true,"occurred_at":"2026-11-30T10:15:00+02:00","missing":[],"metadata":{"a":""},"nested":{"a":-0}} `), 1<<10)
	if err != nil {
		t.Fatal(err)
	}
	if got.EventID != "é\x00" || *got.Credits != -1<<63 || got.Version != 1<<63-1 || got.Count != 255 || !got.Ready ||
		!got.OccurredAt.Equal(time.Date(2026, 11, 30, 8, 15, 0, 0, time.UTC)) || got.Missing == nil || len(got.Metadata) != 1 || got.Nested.A != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestLimitIsExact(t *testing.T) {
	t.Parallel()
	const body = `{"event_id":"abc"}`
	for _, limit := range []int64{int64(len(body)), int64(len(body)) - 1} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			t.Parallel()
			_, fromBytes := strictjson.Unmarshal[usage]([]byte(body), limit)
			_, fromReader := strictjson.Decode[usage](strings.NewReader(body), limit)
			for _, err := range []error{fromBytes, fromReader} {
				refused, ok := errors.AsType[*strictjson.Error](err)
				if tooLarge := limit < int64(len(body)); tooLarge != ok || (ok && refused.Code() != problem.TooLarge) {
					t.Errorf("limit %d: error %v", limit, err)
				}
			}
		})
	}
}

func TestDecodeReadsNoFurtherThanTheLimit(t *testing.T) {
	t.Parallel()
	endless := &counter{}
	_, err := strictjson.Decode[usage](endless, 1000)
	if refused, ok := errors.AsType[*strictjson.Error](err); !ok || refused.Code() != problem.TooLarge {
		t.Errorf("error %v, want too_large", err)
	}
	if endless.read > 1001 {
		t.Errorf("read %d bytes, want at most 1001", endless.read)
	}
}

// counter is an endless body that counts what is read.
type counter struct{ read int }

func (c *counter) Read(p []byte) (int, error) {
	c.read += len(p)
	return len(p), nil
}

func TestReadFailureKeepsItsCause(t *testing.T) {
	t.Parallel()
	_, err := strictjson.Decode[usage](iotest.ErrReader(io.ErrUnexpectedEOF), 10)
	if refused, ok := errors.AsType[*strictjson.Error](err); !ok || refused.Code() != problem.InvalidRequest || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v, want invalid_request over io.ErrUnexpectedEOF", err)
	}
	limited := http.MaxBytesReader(httptest.NewRecorder(), io.NopCloser(strings.NewReader(`{"event_id":"abc"}`)), 4)
	_, err = strictjson.Decode[usage](limited, 100)
	if _, ok := errors.AsType[*http.MaxBytesError](err); !ok {
		t.Errorf("error %v, want the server's limit beneath", err)
	}
}

func TestLongFieldNamesAreCutInMessages(t *testing.T) {
	t.Parallel()
	_, err := strictjson.Unmarshal[usage]([]byte(`{"`+strings.Repeat("é", 5000)+`":1}`), 1<<20)
	refused, ok := errors.AsType[*strictjson.Error](err)
	if !ok || len(refused.Field) > 110 || len(refused.Public()) > 200 || !strings.HasPrefix(refused.Field, "éé") {
		t.Errorf("error %v, want a short message", err)
	}
	if details := refused.Details(); !maps.Equal(details, map[string]any{"field": refused.Field}) {
		t.Errorf("details %v", details)
	}
}

// FuzzUnmarshal checks that what is accepted has one meaning: valid JSON, whose re-encoding is accepted with the same
// value, and which the standard decoder reads the same way.
func FuzzUnmarshal(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"event_id":"a","credits":5}`, `{"credits":null}`, `{"credits":1e2}`, `{"event_id":"a","event_id":"b"}`,
		`{"metadata":{"a":"b"},"missing":["x"],"nested":{"a":1}}`, `{"occurred_at":"2026-11-30T08:15:00Z"}`, "{\"event_id\":\"\xff\"}",
		`{"Event_ID":"a"}`, `{} {}`, `[1]`, `{"credits":9223372036854775808}`, `{"event_id":"\ud800"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 1 << 12
		got, err := strictjson.Unmarshal[usage](data, limit)
		if err != nil {
			if refused, ok := errors.AsType[*strictjson.Error](err); !ok || refused.Public() == "" {
				t.Fatalf("error %v is no *Error with a public text", err)
			}
			return
		}
		if len(data) > limit || !json.Valid(data) {
			t.Fatalf("accepted %q", data)
		}
		var standard usage
		if err := json.Unmarshal(data, &standard); err != nil {
			t.Fatalf("accepted %q, which the standard decoder refuses: %v", data, err)
		}
		want, wantErr := json.Marshal(standard)
		have, haveErr := json.Marshal(got)
		if string(want) != string(have) || wantErr != nil || haveErr != nil {
			t.Fatalf("%q read as %s, by the standard decoder as %s (%v, %v)", data, have, want, haveErr, wantErr)
		}
		again, err := strictjson.Unmarshal[usage](have, 1<<16)
		if err != nil {
			t.Fatalf("re-encoding %s refused: %v", have, err)
		}
		if twice, err := json.Marshal(again); err != nil || string(twice) != string(have) {
			t.Fatalf("re-encoding %s read as %s, %v", have, twice, err)
		}
	})
}

func BenchmarkUnmarshal(b *testing.B) {
	data := []byte(`{"event_id":"6f1c2d3e-5a4b-4c3d-8e7f-9a0b1c2d3e4f","credits":50,"missing":["a","b"],"metadata":{"job":"nightly","region":"za"}}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := strictjson.Unmarshal[usage](data, 1<<10); err != nil {
			b.Fatal(err)
		}
	}
}
