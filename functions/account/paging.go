package account

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/problem"
	"github.com/fluxori/ai-credits/shared/serve"
	"github.com/fluxori/ai-credits/shared/strictjson"
)

const (
	// tokenMax bounds a page token, in bytes.
	tokenMax = 512
	// yearMax is the last year that the store knows.
	yearMax = 9999
)

var errNoPage = invalid("page_token", "page_token must be the next_page_token of the page before, of the same list.")

// list is the answer that every list has. NextPageToken is empty on the last page.
type list[T any] struct {
	Items         []T    `json:"items"`
	NextPageToken string `json:"next_page_token"`
}

// position is where in a list a page begins: after this item. It is the content of page tokens, which are opaque to callers; one that a
// caller makes up leads to no other place than the caller's own list.
type position struct {
	List string `json:"l"`
	At   int64  `json:"at"` // microseconds
	ID   string `json:"id,omitempty"`
}

func (p position) at() time.Time { return time.UnixMicro(p.At).UTC() }

// token makes a position a page token.
func (p position) token() (string, error) {
	data, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("encode page token: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(data), nil
}

// position is where the page that was asked for begins; ok is false for the first page.
func (c call) position(of string) (p position, ok bool, err error) {
	token := c.query.Get("page_token")
	if token == "" {
		return position{}, false, nil
	}
	if len(token) > tokenMax {
		return position{}, false, errNoPage
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil {
		return position{}, false, errNoPage
	}
	p, err = strictjson.Unmarshal[position](data, tokenMax)
	if year := p.at().Year(); err != nil || p.List != of || year < 1 || year > yearMax {
		return position{}, false, errNoPage
	}
	return p, true, nil
}

// paging is a list's error, once it is known whether its page token led anywhere: what is not there after one that a caller made up is the
// token's fault.
func (c call) paging(err error) error {
	if code, _, ok := problem.Refusal(err); ok && c.query.Get("page_token") != "" && (code == problem.NotFound || code == problem.UnknownOrg) {
		return errNoPage
	}
	return err
}

// paged makes a list of what was found, where one item more than a page was asked for.
func paged[F, T any](found []F, size int, show func(F) T, after func(F) position) (list[T], error) {
	out := list[T]{Items: make([]T, 0, min(len(found), size))}
	for _, f := range found[:min(len(found), size)] {
		out.Items = append(out.Items, show(f))
	}
	if len(found) <= size {
		return out, nil
	}
	var err error
	out.NextPageToken, err = after(found[size-1]).token()
	return out, err
}

// paymentsPage answers with a page of a list of package payments: find finds at most n after a place, and place tells where an item is.
func paymentsPage[F, T any](
	w http.ResponseWriter, r *http.Request, c call, name string,
	find func(after payments.Place, n int) ([]F, error), show func(F) T, place func(F) payments.Place,
) error {
	size, err := c.pageSize()
	if err != nil {
		return err
	}
	p, paging, err := c.position(name)
	if err != nil {
		return err
	}
	var after payments.Place
	if paging {
		after = payments.Place{At: p.at(), ID: p.ID}
	}
	found, err := find(after, size+1)
	if err != nil {
		return err
	}
	out, err := paged(found, size, show, func(f F) position {
		at := place(f)
		return position{List: name, At: at.At.UnixMicro(), ID: at.ID}
	})
	if err != nil {
		return err
	}
	serve.OK(w, r, out)
	return nil
}
