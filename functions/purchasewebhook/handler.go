package purchasewebhook

import (
	"errors"
	"io"
	"net/http"

	"github.com/fluxori/ai-credits/shared/payments"
	"github.com/fluxori/ai-credits/shared/problem"
	"github.com/fluxori/ai-credits/shared/serve"
)

type handler struct {
	verifier *payments.Verifier
	receiver *payments.Receiver
}

func newHandler(v *payments.Verifier, receiver *payments.Receiver) http.Handler {
	h := &handler{verifier: v, receiver: receiver}
	r := serve.NewRouter()
	r.Handle("POST /{$}", h.receive)
	return r
}

// received is the answer to an event that is settled.
type received struct {
	Outcome payments.Outcome `json:"outcome"`
}

// errBroken is for a body that breaks off. One that is too large says so itself.
var errBroken = problem.New(problem.InvalidRequest, "The body cannot be read.", nil)

func (h *handler) receive(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(r.Body) // the signature is over the raw bytes; their number is bounded at the edge
	if err != nil {
		return errors.Join(errBroken, err)
	}
	notice, err := h.verifier.Verify(body, r.Header.Get("Stripe-Signature"))
	if err != nil {
		return err
	}
	outcome, err := h.receiver.Receive(r.Context(), notice)
	if err != nil {
		return err
	}
	serve.OK(w, r, received{Outcome: outcome})
	return nil
}
