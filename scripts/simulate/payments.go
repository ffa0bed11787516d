package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
)

// payment is what Stripe knows of a charge, read from the stand-in beside all faults.
type payment struct {
	intent, org, reference string
	// Minor units: what was paid, what of it was refunded, what disputes took.
	paid, refunded, lost int64
	disputed             bool // a dispute is open
}

// stripeList asks the stand-in, beside all faults, for all that it has under a path.
func stripeList[T any](ctx context.Context, w *world, path string, query url.Values) []T {
	var out []T
	query.Set("limit", "100")
	for {
		req := httptest.NewRequestWithContext(ctx, http.MethodGet, path+"?"+query.Encode(), nil)
		req.Header.Set("Authorization", "Bearer sk_test_simulated")
		res := httptest.NewRecorder()
		w.stand.Handler().ServeHTTP(res, req)
		var page struct {
			Data []json.RawMessage `json:"data"`
			More bool              `json:"has_more"`
		}
		must(json.Unmarshal(res.Body.Bytes(), &page))
		var last struct {
			ID string `json:"id"`
		}
		for _, raw := range page.Data {
			var one T
			must(json.Unmarshal(raw, &one))
			must(json.Unmarshal(raw, &last))
			out = append(out, one)
		}
		if !page.More {
			return out
		}
		query.Set("starting_after", last.ID)
	}
}

// payments are all charges of checkouts that went through.
func (w *world) payments(ctx context.Context) []payment {
	type charge struct {
		Intent   string            `json:"payment_intent"`
		Paid     bool              `json:"paid"`
		Amount   int64             `json:"amount"`
		Refunded int64             `json:"amount_refunded"`
		Metadata map[string]string `json:"metadata"`
	}
	type dispute struct {
		Intent string `json:"payment_intent"`
		Amount int64  `json:"amount"`
		Status string `json:"status"`
	}
	disputes := stripeList[dispute](ctx, w, "/v1/disputes", url.Values{})
	var out []payment
	for _, c := range stripeList[charge](ctx, w, "/v1/charges", url.Values{}) {
		if !c.Paid || c.Metadata["reference"] == "" {
			continue
		}
		p := payment{intent: c.Intent, org: c.Metadata["org_id"], reference: c.Metadata["reference"], paid: c.Amount, refunded: c.Refunded}
		for _, d := range disputes {
			if d.Intent != c.Intent {
				continue
			}
			p.disputed = p.disputed || d.Status != "won" && d.Status != "lost"
			if d.Status == "lost" {
				p.lost += d.Amount
			}
		}
		out = append(out, p)
	}
	return out
}
