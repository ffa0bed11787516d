package deadletters

import "testing"

// FuzzToken reads any page token: one that is taken names a letter by an id that can be one, and a moment.
func FuzzToken(f *testing.F) {
	f.Fuzz(func(t *testing.T, given string) {
		at, id, ok := parseToken(given)
		if !ok {
			return
		}
		if !validID(id) {
			t.Fatalf("%q names the letter %q", given, id)
		}
		if again, same, ok := parseToken(token(at, id)); !ok || same != id || !again.Equal(at) {
			t.Fatalf("%s of %v came back as %s of %v, %t", id, at, same, again, ok)
		}
	})
}
