// Package orgs keeps organisations: their profile and settings, their members and teams, and the feed of notifications on their dashboard.
//
// Invariants:
//   - What is stored is valid as [Profile.Check] and [Alerts.Check] demand.
//   - An organisation's revision rises with every change of its profile or settings. The wallet is told the settings that the domain decides on after
//     the document is written, with that revision, and never goes back to an earlier one: a change whose wallet was not told, because the
//     process died in between, is healed by the next change, or by the same change repeated. Who reads settings reads the document.
//   - The owner becomes an administrator once, on the first visit with the owner's e-mail address as verified by the issuer. Who is removed
//     later, or comes by the address later, does not become one by it.
//   - An organisation that has an administrator keeps one: the last is neither removed nor made a plain member.
//   - A member is in one team at most. A team that is archived keeps its history, has no members as far as anybody is told, and gets none.
//   - A member's team, as told by [Store.TeamOf], is one that was the member's at most five seconds ago.
//   - A notification is added once per id.
//   - Every document has a version; one that a newer release wrote is `unavailable`, and nothing is written.
//
// It does not own: who somebody is (package identity), what a role may do (the functions), credits and what is due to them (package
// credit), how e-mails are written and sent, currencies (package catalogue).
package orgs

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
)

// Role is what a member is in an organisation.
type Role string

// The roles of members.
const (
	RoleMember Role = "member"
	RoleAdmin  Role = "admin"
)

// Channel is a way that people are told something.
type Channel string

// The channels of alerts.
const (
	Email     Channel = "email"
	Dashboard Channel = "dashboard"
)

// DefaultZone is the time zone of an organisation that states none.
const DefaultZone = "Africa/Johannesburg"

// Profile is what Fluxori's platform says of an organisation.
type Profile struct {
	Name string
	// Country is an ISO 3166-1 alpha-2 code in capitals.
	Country string
	// Zone is the IANA name of the time zone that days and months are counted in.
	Zone string
	// OwnerEmail is the address of who becomes the first administrator.
	OwnerEmail string
	// BillingContact is the address for invoices and receipts; empty for the administrators.
	BillingContact string
}

// Alerts is what an organisation wants to be told. [Alerts.Channels] and [Alerts.TellsContact] say what that comes to.
type Alerts struct {
	LowBalance LowBalance
	Expiry     Expiry
	// Chosen has the channels of those other kinds that the organisation chose them for; none is off.
	Chosen map[Kind][]Channel
	// Contact are the kinds whose mails the billing contact gets beside the administrators; nil while nobody has chosen.
	Contact []Kind
}

// LowBalance is the alert of a low balance.
type LowBalance struct {
	Enabled bool
	// Threshold is in credits: the alert is raised when available and held together fall to it or below.
	Threshold int64
	Channels  []Channel
}

// Expiry is the warning before credits lapse.
type Expiry struct {
	Enabled  bool
	Channels []Channel
}

// DefaultAlerts is what a new organisation is told: everything, everywhere.
func DefaultAlerts() Alerts {
	both := []Channel{Email, Dashboard}
	return Alerts{
		LowBalance: LowBalance{Enabled: true, Threshold: 100, Channels: both},
		Expiry:     Expiry{Enabled: true, Channels: slices.Clone(both)},
	}
}

// equal reports whether both say the same.
func (a Alerts) equal(b Alerts) bool {
	return a.LowBalance.Enabled == b.LowBalance.Enabled && a.LowBalance.Threshold == b.LowBalance.Threshold &&
		slices.Equal(a.LowBalance.Channels, b.LowBalance.Channels) &&
		a.Expiry.Enabled == b.Expiry.Enabled && slices.Equal(a.Expiry.Channels, b.Expiry.Channels) &&
		maps.EqualFunc(a.Chosen, b.Chosen, slices.Equal) && (a.Contact == nil) == (b.Contact == nil) && slices.Equal(a.Contact, b.Contact)
}

// after are the settings when they are changed to what b says: kinds that b does not name, and a billing contact that b says nothing of, stay.
func (a Alerts) after(b Alerts) Alerts {
	chosen := maps.Clone(a.Chosen)
	if chosen == nil {
		chosen = make(map[Kind][]Channel, len(b.Chosen))
	}
	maps.Copy(chosen, b.Chosen)
	b.Chosen = chosen
	if b.Contact == nil {
		b.Contact = a.Contact
	}
	return b
}

// Org is an organisation.
type Org struct {
	ID string
	Profile
	// Currency follows from the country, by the catalogue in force when the profile was last written; an ISO 4217 code.
	Currency string
	Alerts   Alerts
	// Revision counts the changes, from 1.
	Revision  int64
	CreatedAt time.Time
	UpdatedAt time.Time
	// ownerSub is who became an administrator as the owner; empty while nobody has.
	ownerSub string
	// roster counts the changes of who is in which team.
	roster int64
}

// Configure is what the wallet must know of an organisation.
func (o Org) Configure() credit.Configure {
	zone := o.Zone
	return credit.Configure{
		Revision: o.Revision, Zone: &zone,
		LowBalance: &credit.Threshold{On: o.Alerts.LowBalance.Enabled, Credits: o.Alerts.LowBalance.Threshold},
	}
}

// Member is a person in an organisation.
type Member struct {
	// Sub identifies the person at the issuer.
	Sub  string
	Role Role
	// Email is an address that the issuer has verified, or that whoever made the membership vouches for; it may be empty.
	Email string
	Name  string
	// Team is the team that the member is in, or empty. In a team that is archived it is empty too.
	Team     string
	JoinedAt time.Time
}

// Team is a group of members whose spending is counted, and can be limited, together.
type Team struct {
	// ID has 1 to 64 of a-z, 0-9 and -, and never changes.
	ID        string
	Name      string
	CreatedAt time.Time
	// ArchivedAt is zero while the team is in use.
	ArchivedAt time.Time
}

// Archived reports whether nothing can be spent for the team any more.
func (t Team) Archived() bool { return !t.ArchivedAt.IsZero() }

// Audience is who sees a notification in the feed.
type Audience string

// The audiences that are not one person.
const (
	Everybody      Audience = "all"
	Administrators Audience = "admins"
)

// Only is the audience of one member.
func Only(sub string) Audience { return Audience("user:" + sub) }

// Notification is one item of the dashboard's feed.
type Notification struct {
	// ID is the alert's id, which is the same however often it is told: up to 200 of letters, digits and ._:-
	ID string
	// Kind says what it is about, such as low_balance.
	Kind string
	// At is when it became true; the feed is ordered by it, newest first.
	At time.Time
	// Title and Text are plain text for people.
	Title, Text string
	// Audience is whom it is for; empty is [Everybody].
	Audience Audience
	// Credits and Threshold are the figures that go with the kind, in credits; zero if it has none.
	Credits, Threshold int64
	// ReadAt and ReadBy say who marked it as read first; zero and empty while nobody has.
	ReadAt time.Time
	ReadBy string
}

// ordered returns the settings with each list in one order.
func (a Alerts) ordered() Alerts {
	a.LowBalance.Channels, a.Expiry.Channels = ordered(a.LowBalance.Channels), ordered(a.Expiry.Channels)
	a.Chosen = maps.Clone(a.Chosen)
	for k, channels := range a.Chosen {
		a.Chosen[k] = ordered(channels)
	}
	a.Contact = slices.Clone(a.Contact)
	slices.Sort(a.Contact)
	return a
}

// ordered returns the channels without repeats, in one order.
func ordered(channels []Channel) []Channel {
	out := slices.Clone(channels)
	slices.SortFunc(out, func(a, b Channel) int { return -cmp.Compare(a, b) })
	return slices.Compact(out)
}
