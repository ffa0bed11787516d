package payments

import (
	"crypto/rand"
	"strings"
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
