package payments

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/form"
)

// raw is one of Stripe's objects, with the JSON it came as.
type raw struct {
	stripe.APIResource
}

// rawList is a page of a list.
type rawList struct {
	stripe.APIResource

	HasMore bool              `json:"has_more"`
	Data    []json.RawMessage `json:"data"`
}

// object fetches an object as Stripe has it now, in the form of the library's API version. found is false when Stripe does not have it.
func (g *Gateway) object(ctx context.Context, path, id string, expand ...string) (object json.RawMessage, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	body := &form.Values{}
	for _, e := range expand {
		body.Add("expand[]", e)
	}
	var out raw
	err = g.backend.CallRaw(http.MethodGet, stripe.FormatURLPath(path+"/%s", id), g.key, body, &stripe.Params{Context: ctx}, &out)
	switch {
	case missing(err):
		return nil, false, nil
	case err != nil:
		return nil, false, stripeDown(fmt.Errorf("get %s of %s: %w", id, path, err))
	}
	return out.LastResponse.RawJSON, true, nil
}

// listed is an object of a list.
type listed struct {
	ID      string
	Created time.Time
	Object  json.RawMessage
}

// listing says what of a list is wanted: what was made within a span of whole seconds, and further conditions as name and value.
type listing struct {
	path   string
	span   Period
	where  [][2]string
	expand string
}

// page fetches a page of a list, the newest first, from what comes after an id; empty is the beginning.
func (g *Gateway) page(ctx context.Context, l listing, after string) (objects []listed, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	body := &form.Values{}
	body.Add("limit", strconv.Itoa(pageSize))
	body.Add("created[gte]", strconv.FormatInt(l.span.Start.Unix(), 10))
	body.Add("created[lt]", strconv.FormatInt(l.span.End.Unix(), 10))
	for _, w := range l.where {
		body.Add(w[0], w[1])
	}
	if l.expand != "" {
		body.Add("expand[]", l.expand)
	}
	if after != "" {
		body.Add("starting_after", after)
	}
	var out rawList
	if err := g.backend.CallRaw(http.MethodGet, l.path, g.key, body, &stripe.Params{Context: ctx}, &out); err != nil {
		return nil, false, stripeDown(fmt.Errorf("list %s: %w", l.path, err))
	}
	for _, data := range out.Data {
		var o struct {
			ID      string `json:"id"`
			Created int64  `json:"created"`
		}
		if err := json.Unmarshal(data, &o); err != nil || o.ID == "" {
			return nil, false, unreadable("object of "+l.path, o.ID, err)
		}
		objects = append(objects, listed{ID: o.ID, Created: time.Unix(o.Created, 0).UTC(), Object: data})
	}
	return objects, out.HasMore && len(objects) > 0, nil
}

// all fetches a whole list, the newest first. fits is false when there is more than limit; then nothing is returned.
func (g *Gateway) all(ctx context.Context, l listing, limit int) (objects []listed, fits bool, err error) {
	after := ""
	for {
		page, more, err := g.page(ctx, l, after)
		if err != nil {
			return nil, false, err
		}
		objects = append(objects, page...)
		switch {
		case len(objects) > limit || more && len(objects) == limit:
			return nil, false, nil
		case !more:
			return objects, true, nil
		}
		after = objects[len(objects)-1].ID
	}
}
