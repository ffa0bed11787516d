package indexes_test

import (
	"strings"
	"testing"

	"github.com/fluxori/ai-credits/shared/indexes"
)

func TestParseRefusesWhatFirestoreOrTerraformWould(t *testing.T) {
	t.Parallel()
	const (
		ab = `{"collection":"c","scope":"COLLECTION","fields":[{"path":"a","order":"ASCENDING"},{"path":"b","order":"DESCENDING"}]}`
		ex = `{"collection":"c","path":"a","indexes":[]}`
	)
	index := func(fields string) string {
		return `{"indexes":[{"collection":"c","scope":"COLLECTION","fields":[` + fields + `]}]}`
	}
	field := func(f string) string { return `{"fields":[` + f + `]}` }
	tests := map[string]struct {
		list string
		want string // in the error; "" for none
	}{
		"nothing":                    {`{}`, ""},
		"one of each":                {`{"indexes":[` + ab + `],"fields":[` + ex + `]}`, ""},
		"every member":               {index(`{"path":"m.a","order":"ASCENDING"},{"path":"t","array_config":"CONTAINS"},{"path":"__name__","order":"DESCENDING"}`), ""},
		"order of the name":          {index(`{"path":"a","order":"ASCENDING"},{"path":"__name__","order":"DESCENDING"}`), ""},
		"not JSON":                   {`{`, "decode"},
		"two lists":                  {`{} {}`, "data follows the table"},
		"unknown member":             {`{"index":[]}`, `unknown field "index"`},
		"unknown member of an index": {`{"indexes":[{"collection_group":"c"}]}`, `unknown field "collection_group"`},
		"index twice":                {`{"indexes":[` + ab + `,` + ab + `]}`, "indexes[1]"},
		"field twice":                {`{"fields":[` + ex + `,` + ex + `]}`, "twice"},
		"no collection":              {`{"indexes":[{"scope":"COLLECTION","fields":[]}]}`, `collection "" is not an id`},
		"path for a collection":      {field(`{"collection":"a/b/c","path":"a","indexes":[]}`), "is not an id"},
		"no scope":                   {`{"indexes":[{"collection":"c","fields":[]}]}`, `scope ""`},
		"unknown scope":              {`{"indexes":[{"collection":"c","scope":"ALL","fields":[]}]}`, `scope "ALL"`},
		"no fields":                  {index(``), "two fields or more"},
		"one field":                  {index(`{"path":"a","order":"ASCENDING"}`), "two fields or more"},
		"same path twice":            {index(`{"path":"a","order":"ASCENDING"},{"path":"a","order":"DESCENDING"}`), "twice"},
		"bad path":                   {index(`{"path":"a..b","order":"ASCENDING"},{"path":"b","order":"ASCENDING"}`), `path "a..b"`},
		"wildcard in an index":       {index(`{"path":"*","order":"ASCENDING"},{"path":"b","order":"ASCENDING"}`), `path "*"`},
		"neither order nor array":    {index(`{"path":"a"},{"path":"b","order":"ASCENDING"}`), "either an order or an array_config"},
		"order and array":            {index(`{"path":"a","order":"ASCENDING","array_config":"CONTAINS"},{"path":"b","order":"ASCENDING"}`), "either an order or an array_config"},
		"unknown order":              {index(`{"path":"a","order":"asc"},{"path":"b","order":"ASCENDING"}`), `order "asc"`},
		"unknown array_config":       {index(`{"path":"a","array_config":"ANY"},{"path":"b","order":"ASCENDING"}`), `array_config "ANY"`},
		"two arrays":                 {index(`{"path":"a","array_config":"CONTAINS"},{"path":"b","array_config":"CONTAINS"}`), "at most one array field"},
		"name first":                 {index(`{"path":"__name__","order":"ASCENDING"},{"path":"b","order":"ASCENDING"}`), "comes last"},
		"field without indexes":      {field(`{"collection":"c","path":"a"}`), `"indexes" is missing`},
		"field null":                 {field(`{"collection":"c","path":"a","indexes":null}`), `"indexes" is missing`},
		"field of the name":          {field(`{"collection":"c","path":"__name__","indexes":[]}`), `path "__name__"`},
		"wildcard":                   {field(`{"collection":"c","path":"*","indexes":[]}`), ""},
		"wildcard in a map":          {field(`{"collection":"c","path":"m.*","indexes":[]}`), `path "m.*"`},
		"TTL":                        {field(`{"collection":"c","path":"a","ttl":true,"indexes":[]}`), ""},
		"TTL of the wildcard":        {field(`{"collection":"c","path":"*","ttl":true,"indexes":[]}`), "one field"},
		"two TTLs":                   {field(`{"collection":"c","path":"a","ttl":true,"indexes":[]},{"collection":"c","path":"b","ttl":true,"indexes":[]}`), "TTL field already"},
		"TTLs of two collections":    {field(`{"collection":"c","path":"a","ttl":true,"indexes":[]},{"collection":"d","path":"a","ttl":true,"indexes":[]}`), ""},
		"single index twice":         {field(`{"collection":"c","path":"a","indexes":[{"scope":"COLLECTION","order":"ASCENDING"},{"scope":"COLLECTION","order":"ASCENDING"}]}`), "twice"},
		"single index, no scope":     {field(`{"collection":"c","path":"a","indexes":[{"order":"ASCENDING"}]}`), `scope ""`},
		"201 fields":                 {field(strings.Repeat(ex+",", 200) + ex), "Firestore allows 200"},
		"201 indexes":                {`{"indexes":[` + strings.Repeat(ab+",", 200) + ab + `]}`, "Firestore allows 200"},
	}
	for desc, tc := range tests {
		t.Run(desc, func(t *testing.T) {
			t.Parallel()
			s, err := indexes.Parse([]byte(tc.list))
			switch {
			case tc.want == "" && (err != nil || s == nil):
				t.Errorf("Parse: %v", err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("Parse: %v, want an error with %q", err, tc.want)
			}
		})
	}
}
