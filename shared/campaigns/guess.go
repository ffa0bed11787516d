package campaigns

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"cloud.google.com/go/firestore"
)

const (
	// guessWindow is how long codes that cannot be used are counted, from the first of them.
	guessWindow = time.Hour
	// guessesPerPerson and guessesPerOrg are how many there may be in that time.
	guessesPerPerson = 10
	guessesPerOrg    = 20
)

// guesses is the document guesses/{hash}: how many codes that cannot be used somebody, or anybody of an organisation, has entered lately. It is
// read and written in the transaction that looks at a code, so that not even codes that are entered at once get past the bound.
type guesses struct {
	V     int64     `firestore:"v"`
	Count int64     `firestore:"count"`
	Since time.Time `firestore:"since"`
	// ExpireAt is when the document may be deleted.
	ExpireAt time.Time `firestore:"expire_at"`
}

// at is what of the guesses counts at a moment.
func (g guesses) at(now time.Time) guesses {
	if g.Count == 0 || !now.Before(g.Since.Add(guessWindow)) {
		return guesses{V: schemaVersion, Since: now, ExpireAt: now.Add(2 * guessWindow)}
	}
	return g
}

// guesser is who enters codes: a person of an organisation.
type guesser struct {
	person, org guesses // as they count now
}

// limited reports whether no further code is looked at, and until when.
func (g guesser) limited() (until time.Time, yes bool) {
	if g.person.Count >= guessesPerPerson {
		until, yes = g.person.Since.Add(guessWindow), true
	}
	if g.org.Count >= guessesPerOrg && g.org.Since.Add(guessWindow).After(until) {
		until, yes = g.org.Since.Add(guessWindow), true
	}
	return until, yes
}

// missed is the guesser after another code that cannot be used.
func (g guesser) missed() guesser {
	g.person.Count++
	g.org.Count++
	return g
}

// guessRefs are the documents of a person and of an organisation.
func (g *Giver) guessRefs(r Request) (person, org *firestore.DocumentRef) {
	return g.doc("guesses", hashed("person", r.By)), g.doc("guesses", hashed("org", r.Org))
}

// hashed is the id of a document that stands for some strings, none of which has a byte of zero.
func hashed(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:20])
}
