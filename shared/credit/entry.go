package credit

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// Kind is what an entry records.
type Kind string

// The kinds of entries. KindStart is the journal of a grant that begins after its birth: without it the running figures could not be
// answered from the ledger alone. KindLimits is of limits that were set, with what was used by those whom they begin to bind: without it the
// counters could not. KindGrace is the move of a subscription grant's grace, because its renewal is awaited, or no longer.
const (
	KindGrant      Kind = "grant"
	KindStart      Kind = "start"
	KindDebit      Kind = "debit"
	KindHold       Kind = "hold"
	KindExtend     Kind = "extend"
	KindCapture    Kind = "capture"
	KindRelease    Kind = "release"
	KindExpiry     Kind = "expiry"
	KindClawback   Kind = "clawback"
	KindRestore    Kind = "restore"
	KindFreeze     Kind = "freeze"
	KindThaw       Kind = "thaw"
	KindReversal   Kind = "reversal"
	KindAdjustment Kind = "adjustment"
	KindRepayment  Kind = "repayment"
	KindGrace      Kind = "grace"
	KindLimits     Kind = "limits"
)

// Key names a command for exactly-once: a caller's event id, or a key of the system's own. The two never take each other's place.
type Key struct {
	ID     string
	System bool
}

// CallerKey is the key of a caller's event id.
func CallerKey(id string) Key { return Key{ID: id} }

// SystemKey joins parts into a key of the system's own, such as expiry:{grant}:{n}.
func SystemKey(parts ...string) Key { return Key{ID: strings.Join(parts, ":"), System: true} }

// numbered is the key of what moves towards a target: {kind}:{subject}:{n}.
func numbered(kind Kind, subject string, n int64) Key {
	return SystemKey(string(kind), subject, strconv.FormatInt(n, 10))
}

// Doc is the id of the entry's document: a prefix for whose key it is, and a hash, so that any id can be stored and none is hot.
func (k Key) Doc() string {
	sum := sha256.Sum256([]byte(k.ID))
	hash := hex.EncodeToString(sum[:20])
	if k.System {
		return "s_" + hash
	}
	return CallerDoc(hash)
}

// CallerDoc is the id of the document of the entry whose event id has this hash.
func CallerDoc(hash string) string { return "c_" + hash }

// Drawn is how many credits a change took from its grant: from the free ones, from those set aside for a hold, or of the latter those that
// were not released.
func (c Change) Drawn() int64 { return -(c.Free + c.Held) }

// Figures are a wallet's running figures, in credits.
type Figures struct {
	Available int64 // free, started, not frozen
	Held      int64 // set aside for holds
	Debt      int64 // owed
}

// net is what there is less what is owed.
func (f Figures) net() int64 { return f.Available + f.Held - f.Debt }

// Change is what an entry did to one grant, in credits.
type Change struct {
	Grant  string
	Source Source
	Free   int64
	Held   int64
}

// Entry is one record of the append-only ledger. It is never changed, but for its free text, Reason and Metadata, when a person is erased.
type Entry struct {
	Key  Key
	Kind Kind
	// Seq counts a wallet's entries from 1 without a gap.
	Seq int64
	// At is when it was decided, in microseconds, strictly increasing per wallet. What the clock decided bears the clock's moment.
	At time.Time
	// Hash is the content hash of a caller's command.
	Hash string
	// Credits is what the entry is about: debited, granted, expired, reversed, moved. Never negative, but for an adjustment.
	Credits int64
	// Subject is what it concerns: the grant of an expiry, clawback, freeze; the event id of the debit or hold whose charge a reversal
	// undoes; the hold.
	Subject string
	Changes []Change
	Debt    int64 // the change of debt
	// Counts are what it did to the counters of limits.
	Counts []Count
	After  Figures

	Work     Work
	Actor    string
	Reason   string
	Metadata string // JSON of the caller's, outside the content hash

	// Born holds the terms of a grant that this entry made.
	Born *Terms
	// Closed lists the subscription grants whose grace this entry ended.
	Closed []string
	// Until is when a hold that this entry placed or extended times out: a release at that moment or later is its time-out. Of an entry that
	// moves a grace it is until when the grant can now be used.
	Until time.Time
}

// Work is what a debit paid for.
type Work struct {
	User, Team, Feature string
	Units               *int64 // as sent, when the price follows a rate
	PriceVersion        int64
	OccurredAt          time.Time // as reported; recorded only
}

// Content is what must be equal for two commands under one event id to be the same, as sent.
type Content struct {
	Kind                     Kind
	Org, User, Team, Feature string
	Credits, Units           *int64
	Subject                  string // the debit of a reversal
}

// Hash is the content's fingerprint; each part is length-prefixed, so that no two contents collide by concatenation.
func (c Content) Hash() string {
	var b strings.Builder
	part := func(s string) {
		b.WriteString(strconv.Itoa(len(s)))
		b.WriteByte(':')
		b.WriteString(s)
	}
	number := func(n *int64) {
		if n == nil {
			part("-")
			return
		}
		part(strconv.FormatInt(*n, 10))
	}
	for _, s := range []string{string(c.Kind), c.Org, c.User, c.Team, c.Feature, c.Subject} {
		part(s)
	}
	number(c.Credits)
	number(c.Units)
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:16])
}
