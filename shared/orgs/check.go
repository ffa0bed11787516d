package orgs

import (
	"maps"
	"net/mail"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/fluxori/ai-credits/shared/credit"
)

// Bounds of texts, in bytes.
const (
	maxName       = 200
	maxEmail      = 254 // what SMTP can carry
	maxSub        = 255 // what OpenID Connect allows
	maxTitle      = 200
	maxText       = 4000
	maxNotifyID   = 200
	maxNotifyKind = 64
)

// countries are the ISO 3166-1 alpha-2 codes that are assigned.
const countries = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ " +
	"CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR " +
	"GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP " +
	"KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ " +
	"NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW " +
	"SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ " +
	"UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW"

// ValidCountry reports whether code is an assigned ISO 3166-1 alpha-2 code, in capitals.
func ValidCountry(code string) bool {
	return len(code) == 2 && code[0] != ' ' && code[1] != ' ' && strings.Contains(countries, code)
}

// Check tells everything that is wrong with a profile. The error is an *Error, `invalid_request`.
func (p Profile) Check() error {
	var f faults
	switch {
	case strings.TrimSpace(p.Name) == "":
		f.add("name", "is required")
	case !plain(p.Name, maxName):
		f.add("name", "must be at most %d bytes of text without control characters", maxName)
	}
	if !ValidCountry(p.Country) {
		f.add("country", "must be an ISO 3166-1 alpha-2 code in capitals, such as ZA")
	}
	if !validZone(p.Zone) {
		f.add("time_zone", "must be the IANA name of a time zone, such as %s", DefaultZone)
	}
	if !validEmail(p.OwnerEmail) {
		f.add("owner_email", "must be an e-mail address")
	}
	if p.BillingContact != "" && !validEmail(p.BillingContact) {
		f.add("billing_contact", "must be an e-mail address")
	}
	return f.err()
}

// Check tells everything that is wrong with alert settings. The error is an *Error, `invalid_request`.
func (a Alerts) Check() error {
	var f faults
	if a.LowBalance.Threshold < 0 || a.LowBalance.Threshold > credit.MaxCredits {
		f.add("low_balance.threshold", "must be from 0 to %d credits", credit.MaxCredits)
	}
	checkChannels(&f, "low_balance", a.LowBalance.Enabled, a.LowBalance.Channels)
	checkChannels(&f, "expiry", a.Expiry.Enabled, a.Expiry.Channels)
	for _, k := range slices.Sorted(maps.Keys(a.Chosen)) {
		if _, ok := k.Row(); !ok || k.HasOwnSetting() {
			f.add("kinds", "may not hold %q", k)
			continue
		}
		checkChannels(&f, "kinds."+string(k), false, a.Chosen[k])
	}
	for i, k := range a.Contact {
		switch row, ok := k.Row(); {
		case !ok || row.Personal:
			f.add("billing_contact", "may not hold %q", k)
		case slices.Contains(a.Contact[:i], k):
			f.add("billing_contact", "must not name a kind twice")
		}
	}
	return f.err()
}

func checkChannels(f *faults, field string, enabled bool, channels []Channel) {
	for _, c := range channels {
		if c != Email && c != Dashboard {
			f.add(field+".channels", "may hold email and dashboard only")
			return
		}
	}
	switch {
	case len(ordered(channels)) != len(channels):
		f.add(field+".channels", "must not name a channel twice")
	case enabled && len(channels) == 0:
		f.add(field+".channels", "must name a channel, or enabled be false")
	}
}

// check tells what is wrong with a member.
func (m Member) check() error {
	var f faults
	if m.Sub == "" || !plain(m.Sub, maxSub) {
		f.add("user_id", "must have 1 to %d bytes without control characters", maxSub)
	}
	if m.Role != RoleMember && m.Role != RoleAdmin {
		f.add("role", "must be member or admin")
	}
	if m.Email != "" && !validEmail(m.Email) {
		f.add("email", "must be an e-mail address")
	}
	if !plain(m.Name, maxName) {
		f.add("name", "must be at most %d bytes of text without control characters", maxName)
	}
	return f.err()
}

// check tells what is wrong with a team.
func (t Team) check() error {
	var f faults
	if !validTeam(t.ID) {
		f.add("team_id", "must have 1 to 64 of a-z, 0-9 and -")
	}
	switch {
	case strings.TrimSpace(t.Name) == "":
		f.add("name", "is required")
	case !plain(t.Name, maxName):
		f.add("name", "must be at most %d bytes of text without control characters", maxName)
	}
	return f.err()
}

// check tells what is wrong with a notification.
func (n Notification) check() error {
	var f faults
	if !validNotificationID(n.ID) {
		f.add("id", "must have 1 to %d letters, digits or ._:-", maxNotifyID)
	}
	if n.Kind == "" || !plain(n.Kind, maxNotifyKind) {
		f.add("kind", "must have 1 to %d bytes", maxNotifyKind)
	}
	if n.At.IsZero() {
		f.add("at", "is required")
	}
	if n.Title == "" || !plain(n.Title, maxTitle) {
		f.add("title", "must have 1 to %d bytes of text on one line", maxTitle)
	}
	if len(n.Audience) > maxSub+len(Only("")) {
		f.add("audience", "must be everybody, the administrators or one member")
	}
	if len(n.Text) > maxText || !utf8.ValidString(n.Text) {
		f.add("text", "must have at most %d bytes of text", maxText)
	}
	return f.err()
}

// validNotificationID reports whether id can be a document's id as it stands.
func validNotificationID(id string) bool {
	if id == "" || len(id) > maxNotifyID || id == "." || id == ".." || strings.HasPrefix(id, "__") {
		return false
	}
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("._:-", rune(c)) {
			return false
		}
	}
	return true
}

func validZone(zone string) bool {
	if zone == "" || zone == "Local" {
		return false
	}
	_, err := time.LoadLocation(zone)
	return err == nil
}

// validEmail takes one bare address in ASCII: it goes into headers, and is compared with what the issuer says.
func validEmail(address string) bool {
	if len(address) > maxEmail || slices.ContainsFunc([]byte(address), func(c byte) bool { return c <= ' ' || c > '~' }) {
		return false
	}
	parsed, err := mail.ParseAddress(address)
	return err == nil && parsed.Name == "" && parsed.Address == address
}

// sameEmail compares addresses without regard to the case of ASCII letters. Addresses that are not ASCII are equal to none, so that no
// letter that merely folds to another lets somebody in.
func sameEmail(a, b string) bool { return validEmail(a) && validEmail(b) && strings.EqualFold(a, b) }

// plain reports whether s is valid text of at most limit bytes without control characters.
func plain(s string, limit int) bool {
	return len(s) <= limit && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
