package identity

import (
	"fmt"
	"net/http"
	"strings"
)

// Account lets in one service account and nobody else: the one with which Pub/Sub pushes messages, or the one with which Cloud Scheduler
// fires a job.
type Account struct {
	tokens *tokens[account]
	email  string
}

// NewAccount returns an Account for the service account of an e-mail address, whose tokens src issues.
func NewAccount(src Source, email string) (*Account, error) {
	if at := strings.IndexByte(email, '@'); at <= 0 || at == len(email)-1 {
		return nil, fmt.Errorf("%q is no service account's e-mail address", email)
	}
	tokens, err := newTokens(src, readAccount)
	if err != nil {
		return nil, err
	}
	return &Account{tokens: tokens, email: strings.ToLower(email)}, nil
}

// Authenticate returns nil if the account sends r, else an *Error.
func (a *Account) Authenticate(r *http.Request) error {
	raw, err := bearer(r)
	if err != nil {
		return err
	}
	who, err := a.tokens.bearer(r.Context(), raw)
	if err != nil {
		return err
	}
	if who.email != a.email || !who.verified {
		return forbidden("The caller is not the service account that this is for, or its token does not carry its verified e-mail address.")
	}
	return nil
}
