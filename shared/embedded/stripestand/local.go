package stripestand

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

const maxControlBytes = 64 << 10

// control is the body of any request to ControlHandler.
type control struct {
	Amount  int64  `json:"amount"`
	Reason  string `json:"reason"`
	Inquiry bool   `json:"inquiry"`
	Won     bool   `json:"won"`
	Success bool   `json:"success"`
	Pending bool   `json:"pending"`
	Mode    Mode   `json:"mode"`
	Card    Card   `json:"card"`
	Times   int    `json:"times"`
	Code    string `json:"promotion_code"`
}

// ControlHandler serves what the payment page and Stripe's dashboard would do,
// beneath /_local/stripe/. Bodies are JSON; every answer but an error is JSON
// too: the object that changed, or how webhooks stand.
//
//	POST checkouts/{session}/pay {card?, promotion_code?} | pay-later | decline | expire | settle {success}
//	POST payments/{payment intent or charge}/refund {amount?}
//	POST payments/{id}/dispute {amount?, reason?, inquiry?} | dispute/close {won}
//	POST refunds/{refund}/settle {success}
//	POST refunds {pending}
//	POST customers/{customer}/card {card}
//	POST invoices/{invoice}/pay
//	POST events/{event}/redeliver {times}
//	POST webhooks {mode}, GET webhooks
func (s *Stand) ControlHandler() http.Handler {
	mux := http.NewServeMux()
	on := func(pattern string, do func(r *http.Request, id string, c control) (string, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.serveControl(w, r, do) })
	}
	on("POST /_local/stripe/checkouts/{id}/pay", func(_ *http.Request, id string, c control) (string, error) {
		if c.Card == "" {
			c.Card = CardVisa
		}
		return id, s.checkout(id, payment{card: c.Card, code: c.Code})
	})
	on("POST /_local/stripe/checkouts/{id}/pay-later", func(_ *http.Request, id string, _ control) (string, error) {
		return id, s.PayLater(id)
	})
	on("POST /_local/stripe/checkouts/{id}/settle", func(_ *http.Request, id string, c control) (string, error) {
		return id, s.SettleLater(id, c.Success)
	})
	on("POST /_local/stripe/checkouts/{id}/decline", func(_ *http.Request, id string, _ control) (string, error) {
		return id, s.DeclineCheckout(id)
	})
	on("POST /_local/stripe/checkouts/{id}/expire", func(_ *http.Request, id string, _ control) (string, error) {
		return id, s.ExpireCheckout(id)
	})
	on("POST /_local/stripe/payments/{id}/refund", func(_ *http.Request, id string, c control) (string, error) {
		return s.RefundPayment(id, c.Amount)
	})
	on("POST /_local/stripe/payments/{id}/dispute", func(_ *http.Request, id string, c control) (string, error) {
		return s.OpenDispute(id, Dispute{Amount: c.Amount, Reason: c.Reason, Inquiry: c.Inquiry})
	})
	on("POST /_local/stripe/payments/{id}/dispute/close", func(_ *http.Request, id string, c control) (string, error) {
		return id, s.CloseDispute(id, c.Won)
	})
	on("POST /_local/stripe/refunds/{id}/settle", func(_ *http.Request, id string, c control) (string, error) {
		return id, s.SettleRefund(id, c.Success)
	})
	on("POST /_local/stripe/refunds", func(_ *http.Request, _ string, c control) (string, error) {
		return "", s.RefundsPending(c.Pending)
	})
	on("POST /_local/stripe/customers/{id}/card", func(_ *http.Request, id string, c control) (string, error) {
		return s.SetCard(id, c.Card)
	})
	on("POST /_local/stripe/invoices/{id}/pay", func(_ *http.Request, id string, _ control) (string, error) {
		return id, s.PayInvoice(id)
	})
	on("POST /_local/stripe/events/{id}/redeliver", func(r *http.Request, id string, c control) (string, error) {
		return id, s.Redeliver(r.Context(), id, max(c.Times, 1))
	})
	on("POST /_local/stripe/webhooks", func(_ *http.Request, _ string, c control) (string, error) {
		return "", s.WebhookMode(c.Mode)
	})
	on("GET /_local/stripe/webhooks", func(*http.Request, string, control) (string, error) { return "", nil })
	return mux
}

func (s *Stand) serveControl(w http.ResponseWriter, r *http.Request, do func(*http.Request, string, control) (string, error)) {
	c, err := decodeControl(w, r)
	if err != nil {
		controlProblem(w, http.StatusBadRequest, "invalid_request", err.Error())
		return
	}
	id, err := do(r, r.PathValue("id"), c)
	var refused *apiError
	switch {
	case errors.As(err, &refused) && refused.Code == "resource_missing":
		controlProblem(w, http.StatusNotFound, "not_found", refused.Message)
		return
	case err != nil:
		controlProblem(w, http.StatusConflict, "conflict", err.Error())
		return
	}
	body, err := s.controlAnswer(id)
	if err != nil {
		controlProblem(w, http.StatusInternalServerError, "internal", err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(body)
}

func decodeControl(w http.ResponseWriter, r *http.Request) (control, error) {
	var c control
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxControlBytes))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return control{}, err
	}
	if d.More() {
		return control{}, errors.New("one JSON object is expected")
	}
	return c, nil
}

// controlAnswer renders the object with an id, or how webhooks stand.
func (s *Stand) controlAnswer(id string) ([]byte, error) {
	if id == "" {
		return json.Marshal(s.Webhooks())
	}
	var body []byte
	err := s.read(func(o *op) error {
		object, ok := o.find(id)
		if !ok {
			var err error
			if object, err = o.event(id, "id"); err != nil {
				return err
			}
		}
		var err error
		body, err = o.renderExpanded(object, nil)
		return err
	})
	return body, err
}

func controlProblem(w http.ResponseWriter, status int, code, detail string) {
	body, err := json.Marshal(map[string]any{
		"title": http.StatusText(status), "status": status, "code": code, "detail": detail,
	})
	if err != nil {
		http.Error(w, detail, status)
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	w.Write(body)
}
