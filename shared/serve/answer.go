package serve

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/fluxori/ai-credits/shared/problem"
)

// OK answers 200 with v as JSON.
func OK[T any](w http.ResponseWriter, r *http.Request, v T) { answer(w, r, http.StatusOK, v) }

// Created answers 201 with v as JSON.
func Created[T any](w http.ResponseWriter, r *http.Request, v T) { answer(w, r, http.StatusCreated, v) }

// answer encodes v before anything is written, so that a value that cannot be encoded is a problem and not half an
// answer.
func answer(w http.ResponseWriter, r *http.Request, httpStatus int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		problem.Write(w, r, fmt.Errorf("encode answer %T: %w", v, err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(httpStatus)
	w.Write(append(body, '\n'))
}
