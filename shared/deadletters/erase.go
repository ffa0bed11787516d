package deadletters

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
)

const (
	// erasedText stands where a text was that had to go.
	erasedText = "[erased]"
	// maxErasePages bounds how many pages of letters one call looks through.
	maxErasePages = 500
)

// EraseTexts takes a person's words, and whatever holds what holds says, out of the letters of an organisation, and out of those of which nobody
// can tell whose they are. Metadata and reasons of the person's own work go whole. What is left of a message can be replayed and has the
// same effect; where what is to go cannot be told from the rest, all of the data goes, and the letter can no longer be replayed. It returns how many
// letters it changed, and may be repeated. Errors are an *Error, `unavailable`.
func (s *Store) EraseTexts(ctx context.Context, org, sub string, holds func(text string) bool) (changed int, err error) {
	q := Query{Size: pageMax}
	for range maxErasePages {
		page, err := s.List(ctx, q)
		if err != nil {
			return changed, err
		}
		for _, l := range page.Letters {
			if _, ok := l.without(org, sub, holds); !ok {
				continue
			}
			err := s.change(ctx, l.ID, func(l Letter) (Letter, bool) { return l.without(org, sub, holds) })
			if err != nil {
				return changed, err
			}
			changed++
		}
		if q.Token = page.Next; q.Token == "" {
			break
		}
	}
	return changed, nil
}

// without is a letter without what is to go; ok is false if it has nothing of that.
func (l Letter) without(org, sub string, holds func(string) bool) (_ Letter, ok bool) {
	data, ours := erased(l.Data, org, sub, holds)
	if !ours {
		return l, false
	}
	if !bytes.Equal(data, l.Data) {
		ok, l.Cut, l.Data = true, l.Cut || data == nil, data
	}
	if l.Reason != erasedText && holds(l.Reason) {
		ok, l.Reason = true, erasedText
	}
	l.Attributes = maps.Clone(l.Attributes)
	for name, value := range l.Attributes {
		if value != erasedText && holds(value) {
			ok, l.Attributes[name] = true, erasedText
		}
	}
	return l, ok
}

// erased is a message's data without what is to go: as it was if there is nothing of that, nil if all of it must. ours is false for a message
// of another organisation.
func erased(data []byte, org, sub string, holds func(string) bool) (_ []byte, ours bool) {
	var message map[string]any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if d.Decode(&message) == nil {
		if of, named := message["org_id"].(string); named && of != org {
			return data, false
		}
		if scrub(message, sub, holds) {
			if rest, err := json.Marshal(message); err == nil && !holds(string(rest)) {
				return rest, true
			}
			return nil, true
		}
	}
	if holds(string(data)) {
		return nil, true
	}
	return data, true
}

// scrub takes out of a message, at any depth, what is to go, and reports whether there was any.
func scrub(message map[string]any, sub string, holds func(string) bool) (changed bool) {
	own := message["user_id"] == sub
	for name, value := range message {
		switch v := value.(type) {
		case string:
			if v != erasedText && (holds(v) || own && name == "reason") {
				message[name], changed = erasedText, true
			}
		case map[string]any:
			text, err := json.Marshal(v)
			if name == "metadata" && (own || err != nil || holds(string(text))) {
				delete(message, name)
				changed = true
				continue
			}
			changed = scrub(v, sub, holds) || changed
		}
	}
	return changed
}
