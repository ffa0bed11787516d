package account

import (
	"net/url"
	"testing"
)

// FuzzPageToken reads any page token: one that is taken is of its own list, and comes back as it was.
func FuzzPageToken(f *testing.F) {
	f.Fuzz(func(t *testing.T, token string) {
		p, ok, err := call{query: url.Values{"page_token": {token}}}.position("entries")
		if err != nil || !ok {
			if ok || (token == "") != (err == nil) {
				t.Fatalf("%q: %+v, %t, %v", token, p, ok, err)
			}
			return
		}
		again, err := p.token()
		if err != nil || p.List != "entries" {
			t.Fatalf("%q is of %+v, %v", token, p, err)
		}
		q, ok, err := call{query: url.Values{"page_token": {again}}}.position("entries")
		if err != nil || !ok || q != p {
			t.Fatalf("%+v came back as %+v, %t, %v", p, q, ok, err)
		}
	})
}
