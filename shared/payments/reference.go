package payments

import (
	"crypto/rand"
	"strings"
	"unicode"
)

// alphabet has 32 characters that are not mistaken for each other when read aloud or copied by hand: without 0, 1, I and O.
const alphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"

// NewReference draws a reference such as CR-7F3K-9QX2: eight random characters, 40 bits. Whoever records it makes sure that it is new.
func NewReference() string {
	var b [8]byte
	rand.Read(b[:])
	for i := range b {
		b[i] = alphabet[b[i]%byte(len(alphabet))]
	}
	return "CR-" + string(b[:4]) + "-" + string(b[4:])
}

// ValidReference reports whether a string has the form of a reference.
func ValidReference(s string) bool {
	rest, ok := strings.CutPrefix(s, "CR-")
	return ok && len(rest) == 9 && rest[4] == '-' && strings.Trim(rest[:4]+rest[5:], alphabet) == ""
}

// referenceMaxBytes bounds what people may write for a reference.
const referenceMaxBytes = 64

// NormalReference is the reference that somebody means who writes it without regard to case, spaces and dashes, or leaves out the CR; ok is
// false when there can be none.
func NormalReference(s string) (reference string, ok bool) {
	if len(s) > referenceMaxBytes {
		return "", false
	}
	letters := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.Is(unicode.Dash, r) {
			return -1
		}
		return unicode.ToUpper(r)
	}, s)
	if len(letters) == len("CR")+8 {
		letters = strings.TrimPrefix(letters, "CR")
	}
	if len(letters) != 8 {
		return "", false
	}
	reference = "CR-" + letters[:4] + "-" + letters[4:]
	return reference, ValidReference(reference)
}
