package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// identityURL is Identity Platform's API.
const identityURL = "https://identitytoolkit.googleapis.com/v1"

// maxAnswerBytes bounds what is read of an answer.
const maxAnswerBytes = 1 << 20

// firstOperator gives the claim platform to whoever registers the first organisations. The person chooses a password by the link that is mailed.
func (b *bootstrap) firstOperator(ctx context.Context) error {
	if b.operator == "" {
		return missing{"-operator: the e-mail address of the first operator"}
	}
	if !b.people.platform {
		// Only the issuer's own administrator can do that, and only the operator's first sign-in shows that it is done.
		fmt.Fprintf(b.out, "  at %s give %s the claim %splatform with the value true, in its ID tokens\n", b.people.issuer, b.operator, b.people.prefix)
		return nil
	}
	token, err := b.command(ctx, "", "gcloud", "auth", "print-access-token", "--quiet")
	if err != nil {
		return err
	}
	call := func(method string, in, out any) error { return b.call(ctx, strings.TrimSpace(token), method, in, out) }

	var found struct {
		Users []struct {
			ID     string `json:"localId"`
			Claims string `json:"customAttributes"`
		} `json:"users"`
	}
	if err := call("accounts:lookup", map[string]any{"email": []string{b.operator}}, &found); err != nil {
		return err
	}
	var id string
	claims := map[string]any{}
	if len(found.Users) > 0 {
		id = found.Users[0].ID
		if text := found.Users[0].Claims; text != "" {
			if err := json.Unmarshal([]byte(text), &claims); err != nil {
				return fmt.Errorf("read the claims of the operator: %w", err)
			}
		}
		if claims["platform"] == true {
			return nil
		}
	} else {
		var made struct {
			ID string `json:"localId"`
		}
		if err := call("accounts", map[string]any{"email": b.operator}, &made); err != nil {
			return err
		}
		id = made.ID
	}
	if id == "" {
		return errors.New("the operator has no account after all")
	}
	claims["platform"] = true // beside claims that were there
	text, err := json.Marshal(claims)
	if err != nil {
		return err
	}
	if err := call("accounts:update", map[string]any{"localId": id, "customAttributes": string(text)}, nil); err != nil {
		return err
	}
	return call("accounts:sendOobCode", map[string]any{"requestType": "PASSWORD_RESET", "email": b.operator}, nil)
}

// call asks Identity Platform as the person who is signed in.
func (b *bootstrap) call(ctx context.Context, token, method string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.identity+"/projects/"+b.project+"/"+method, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Goog-User-Project", b.project)
	res, err := b.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask Identity Platform for %s: %w", method, err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswerBytes))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("ask Identity Platform for %s: %s: %.300s", method, res.Status, data)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(data, out)
}
