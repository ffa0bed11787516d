package serve

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/fluxori/ai-credits/shared/problem"
)

// tagBytes is how much of a hash an entity tag has.
const tagBytes = 16

// OKUnlessSame answers 200 with v as JSON and an entity tag, or 304 without a body when the caller's If-None-Match has that tag. What makes an answer
// another one is same, which leaves out of v what always changes; nil for v itself. What is answered is the caller's own: a cache may keep it for
// that caller alone, and asks each time.
func OKUnlessSame[T any](w http.ResponseWriter, r *http.Request, v T, same any) {
	weak := "W/"
	if same == nil {
		weak, same = "", v
	}
	of, err := json.Marshal(same)
	if err != nil {
		problem.Write(w, r, fmt.Errorf("encode the version of %T: %w", v, err))
		return
	}
	header := w.Header()
	header.Set("Cache-Control", "private, no-cache")
	header.Set("Vary", "Authorization")
	if SameAs(w, r, weak+Tag(of)) {
		return
	}
	OK(w, r, v)
}

// Tag is the entity tag of an answer's content.
func Tag(content []byte) string {
	sum := sha256.Sum256(content)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:tagBytes]) + `"`
}

// SameAs says in ETag which version an answer is, and answers 304 if the caller has it: then nothing else is to be written. What a cache may do is
// for the caller to say before.
func SameAs(w http.ResponseWriter, r *http.Request, tag string) bool {
	w.Header().Set("ETag", tag)
	for _, line := range r.Header.Values("If-None-Match") {
		for had := range strings.SplitSeq(line, ",") {
			had = strings.TrimSpace(had)
			if had == "*" || strings.TrimPrefix(had, "W/") == strings.TrimPrefix(tag, "W/") {
				w.WriteHeader(http.StatusNotModified)
				return true
			}
		}
	}
	return false
}
