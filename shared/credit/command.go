package credit

import (
	"fmt"
	"slices"
	"time"
	_ "time/tzdata" // a container may have no time zones of its own, and then every window would silently be UTC's
	"unicode"
	"unicode/utf8"
)

// Command is what can be asked of a wallet.
type Command interface {
	// key names the command for exactly-once; the zero key for commands that move towards a target or a setting, and repeat harmlessly.
	key() Key
	hash() string
	check() error
}

// KeyOf is the key under which a command's entry is found, and its content hash. ok is false for commands that name no entry:
// they move towards a state, and doing them twice changes nothing.
func KeyOf(c Command) (k Key, hash string, ok bool) {
	k = c.key()
	return k, c.hash(), k != (Key{})
}

// Check tells whether a command is well formed, without looking at any wallet.
func Check(c Command) error { return c.check() }

// Debit takes credits for work: all or nothing, or, as Usage, for work already done, with what is not there booked as debt.
type Debit struct {
	EventID string
	Content Content // as sent
	Credits int64   // the price
	Work    Work
	Usage   bool
	Actor   string
	// Metadata is the caller's JSON object, at most 2 KiB.
	Metadata string
}

// NewGrant adds credits. Its key is one of the system's own (grant:{payment}, bonus:{reference}, …), and its grant's id follows from it.
type NewGrant struct {
	Key   Key
	Terms Terms // without ID
	// Follows are further subscription items whose earlier periods this grant follows, as it does those of its own item: those that the
	// subscription no longer has.
	Follows []string
	// Prorated says that the grant is the difference that an upgrade pays for, and follows no period.
	Prorated bool
	Actor    string
	Reason   string
}

// Adjust adds or, when negative, takes credits by hand; taking is all or nothing.
type Adjust struct {
	EventID   string
	Content   Content
	Credits   int64
	ExpiresAt time.Time // of an addition; zero for never
	Actor     string
	Reason    string
}

// Reverse gives a debit's credits back because its work failed.
type Reverse struct {
	EventID string
	Content Content
	Debit   string // the debit's event id
	Credits int64  // 0 for all that is left of it
	Actor   string
	Reason  string
}

// ClawBack moves a paid grant, and the bonuses linked to it, to what they should have lost given what was returned of the money paid.
type ClawBack struct {
	Grant string
	// Returned is what was refunded and lost in disputes, Paid the charge with tax, both in minor units of one currency.
	Returned, Paid int64
	Actor, Reason  string
}

// FreezeGrant sets whether a grant is frozen, as for a dispute.
type FreezeGrant struct {
	Grant         string
	Frozen        bool
	Actor, Reason string
}

// FreezeWallet sets whether a wallet refuses debits and holds. With an event id it is done once: repeated after a thaw, it freezes no more.
type FreezeWallet struct {
	EventID       string // empty for none
	Content       Content
	Frozen        bool
	Actor, Reason string
}

// Configure changes a wallet's settings; what is nil stays.
type Configure struct {
	// Revision orders settings that come from elsewhere: a Configure with a lower one than the wallet has seen changes nothing, so that
	// the latest settings stand in whatever order they arrive. 0 is not ordered.
	Revision    int64
	Zone        *string
	LowBalance  *Threshold
	DebtCeiling *int64 // credits; 0 for none
	TopUp       *TopUpThreshold
}

// TopUpThreshold is the organisation's choice of an auto top-up. Its settings have revisions of their own: one that is higher than the wallet
// has seen arms the latch anew, so that a balance that is low already crosses at once; any other changes nothing.
type TopUpThreshold struct {
	Threshold
	Revision int64 // 1 or more
}

// Threshold is the organisation's choice of a low-balance alert.
type Threshold struct {
	On      bool
	Credits int64
}

func (c Debit) key() Key        { return CallerKey(c.EventID) }
func (c NewGrant) key() Key     { return c.Key }
func (c Adjust) key() Key       { return CallerKey(c.EventID) }
func (c Reverse) key() Key      { return CallerKey(c.EventID) }
func (c ClawBack) key() Key     { return Key{} }
func (c FreezeGrant) key() Key  { return Key{} }
func (c FreezeWallet) key() Key { return Key{ID: c.EventID} }
func (c Configure) key() Key    { return Key{} }

func (c Debit) hash() string       { return c.Content.Hash() }
func (c NewGrant) hash() string    { return "" }
func (c Adjust) hash() string      { return c.Content.Hash() }
func (c Reverse) hash() string     { return c.Content.Hash() }
func (c ClawBack) hash() string    { return "" }
func (c FreezeGrant) hash() string { return "" }
func (c FreezeWallet) hash() string {
	if c.EventID == "" {
		return ""
	}
	return c.Content.Hash()
}
func (c Configure) hash() string { return "" }

// GrantID is the id of the grant that a key makes.
func GrantID(k Key) string { return "g" + k.Doc() }

// Bounds of what callers send.
const (
	MaxIDBytes       = 128
	MaxMetadataBytes = 2048
	MaxReasonBytes   = 1024
)

// CheckID tells whether a caller's id can be taken: 1–128 bytes of printable UTF-8.
func CheckID(field, id string) error {
	switch {
	case id == "":
		return invalid("%s is required", field)
	case len(id) > MaxIDBytes:
		return invalid("%s has %d bytes; at most %d are taken", field, len(id), MaxIDBytes)
	case !utf8.ValidString(id):
		return invalid("%s is not valid UTF-8", field)
	}
	for _, r := range id {
		if unicode.IsControl(r) {
			return invalid("%s has a control character", field)
		}
	}
	return nil
}

func checkOptionalID(field, id string) error {
	if id == "" {
		return nil
	}
	return CheckID(field, id)
}

func checkCredits(n int64) error {
	if n < 1 || n > MaxCredits {
		return invalid("credits is %d; it must be from 1 to %d", n, MaxCredits)
	}
	return nil
}

func checkText(reason string) error {
	switch {
	case len(reason) > MaxReasonBytes:
		return invalid("reason has %d bytes; at most %d are taken", len(reason), MaxReasonBytes)
	case !utf8.ValidString(reason):
		return invalid("reason is not valid UTF-8")
	}
	return nil
}

// checkTime tells whether a moment can be stored: in UTC it lies in the years 1 to 9999.
func checkTime(field string, t time.Time) error {
	if y := t.UTC().Year(); y < 1 || y > 9999 {
		return invalid("%s is in the year %d; it must be from 1 to 9999", field, y)
	}
	return nil
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (c Debit) check() error {
	err := first(CheckID("event_id", c.EventID), checkCredits(c.Credits), checkOptionalID("user_id", c.Work.User),
		checkOptionalID("team_id", c.Work.Team), CheckID("feature", c.Work.Feature), checkTime("occurred_at", c.Work.OccurredAt))
	switch {
	case err != nil:
		return err
	case len(c.Metadata) > MaxMetadataBytes:
		return invalid("metadata has %d bytes; at most %d are taken", len(c.Metadata), MaxMetadataBytes)
	case !utf8.ValidString(c.Metadata):
		return invalid("metadata is not valid UTF-8")
	}
	return nil
}

func (c NewGrant) check() error {
	t := c.Terms
	switch {
	case !c.Key.System || c.Key.ID == "":
		return fmt.Errorf("grant needs a key of the system's own, has %q", c.Key.ID)
	case !slices.Contains(Sources, t.Source):
		return fmt.Errorf("grant %s: source %q is not known", c.Key.ID, t.Source)
	case t.Source == Purchase && !t.ExpiresAt.IsZero():
		return fmt.Errorf("grant %s: purchased credits never expire", c.Key.ID)
	case t.Source != Subscription && !t.UsableUntil.Equal(t.ExpiresAt):
		return fmt.Errorf("grant %s: only a subscription has a grace; usable until %v, its end is %v", c.Key.ID, t.UsableUntil, t.ExpiresAt)
	case len(c.Follows) > maxItems || slices.Contains(c.Follows, ""):
		return fmt.Errorf("grant %s: follows %d items: %q", c.Key.ID, len(c.Follows), c.Follows)
	case t.ExpiresAt.IsZero() != t.UsableUntil.IsZero() || t.UsableUntil.Before(t.ExpiresAt):
		return fmt.Errorf("grant %s: usable until %v does not follow its end %v", c.Key.ID, t.UsableUntil, t.ExpiresAt)
	}
	return first(checkCredits(t.Granted), checkText(c.Reason), checkTime("effective_at", t.EffectiveAt), checkTime("expires_at", t.ExpiresAt),
		checkTime("usable_until", t.UsableUntil))
}

func (c Adjust) check() error {
	n := c.Credits
	if n < 0 {
		n = -n
	}
	return first(CheckID("event_id", c.EventID), checkCredits(n), checkText(c.Reason), checkTime("expires_at", c.ExpiresAt))
}

func (c Reverse) check() error {
	if c.Credits < 0 || c.Credits > MaxCredits {
		return invalid("credits is %d; it must be from 1 to %d, or left out for all", c.Credits, MaxCredits)
	}
	return first(CheckID("event_id", c.EventID), CheckID("debit_event_id", c.Debit), checkText(c.Reason))
}

func (c ClawBack) check() error {
	if c.Returned < 0 || c.Paid < 0 {
		return fmt.Errorf("clawback of %s: returned %d of %d paid", c.Grant, c.Returned, c.Paid)
	}
	return checkText(c.Reason)
}

func (c FreezeGrant) check() error { return checkText(c.Reason) }
func (c FreezeWallet) check() error {
	return first(checkOptionalID("event_id", c.EventID), checkText(c.Reason))
}

func (c Configure) check() error {
	if c.Zone != nil {
		if _, err := time.LoadLocation(*c.Zone); err != nil || *c.Zone == "" || *c.Zone == "Local" {
			return invalid("time zone %q is not known", *c.Zone)
		}
	}
	if c.Revision < 0 {
		return fmt.Errorf("settings have the revision %d", c.Revision)
	}
	if c.LowBalance != nil && (c.LowBalance.Credits < 0 || c.LowBalance.Credits > MaxCredits) {
		return invalid("low-balance threshold is %d; it must be from 0 to %d", c.LowBalance.Credits, MaxCredits)
	}
	if c.DebtCeiling != nil && (*c.DebtCeiling < 0 || *c.DebtCeiling > MaxCredits) {
		return invalid("debt ceiling is %d; it must be from 0 to %d", *c.DebtCeiling, MaxCredits)
	}
	if t := c.TopUp; t != nil {
		if t.Revision < 1 {
			return fmt.Errorf("auto top-up has the revision %d", t.Revision)
		}
		if t.Credits < 0 || t.Credits > MaxCredits {
			return invalid("auto top-up threshold is %d; it must be from 0 to %d", t.Credits, MaxCredits)
		}
	}
	return nil
}

// CheckOrg tells whether an organisation's id can be: 1–64 of a–z, 0–9 and hyphen.
func CheckOrg(org string) error {
	if org == "" || len(org) > 64 {
		return invalid("org_id must have 1 to 64 characters")
	}
	for _, r := range org {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return invalid("org_id may have only a–z, 0–9 and hyphens")
		}
	}
	return nil
}
