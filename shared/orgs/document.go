package orgs

import (
	"errors"
	"net/url"
	"strings"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/fluxori/ai-credits/shared/versioned"
)

// schemaVersion is the form of the documents that this release reads and writes. Readers of a version ship before its writers.
const schemaVersion = 1

// orgDoc is the document orgs/{org}.
type orgDoc struct {
	V          int64  `firestore:"v"`
	Org        string `firestore:"org"`
	Revision   int64  `firestore:"revision"`
	Name       string `firestore:"name"`
	Country    string `firestore:"country"`
	Zone       string `firestore:"zone"`
	Currency   string `firestore:"currency"`
	OwnerEmail string `firestore:"owner_email"`
	// OwnerKey is the owner's address in lower case, by which the organisation is found.
	OwnerKey       string `firestore:"owner_key"`
	OwnerSub       string `firestore:"owner_sub,omitempty"`
	BillingContact string `firestore:"billing_contact,omitempty"`
	// NameKey is the name in lower case, by which support finds the organisation.
	NameKey string    `firestore:"name_key"`
	Alerts  alertsDoc `firestore:"alerts"`
	// Roster counts the changes of who is in which team.
	Roster    int64     `firestore:"roster,omitempty"`
	CreatedAt time.Time `firestore:"created_at"`
	UpdatedAt time.Time `firestore:"updated_at"`
}

type alertsDoc struct {
	LowBalance lowBalanceDoc `firestore:"low_balance"`
	Expiry     expiryDoc     `firestore:"expiry"`
	// Kinds has what was chosen for other kinds, BillingContact the kinds that the billing contact was chosen for, if that was.
	Kinds          map[string][]Channel `firestore:"kinds,omitempty"`
	BillingContact []Kind               `firestore:"billing_contact,omitempty"`
	ContactChosen  bool                 `firestore:"contact_chosen,omitempty"`
}

type lowBalanceDoc struct {
	Enabled   bool      `firestore:"enabled"`
	Threshold int64     `firestore:"threshold"`
	Channels  []Channel `firestore:"channels"`
}

type expiryDoc struct {
	Enabled  bool      `firestore:"enabled"`
	Channels []Channel `firestore:"channels"`
}

// memberDoc is the document orgs/{org}/members/{member}.
type memberDoc struct {
	V     int64  `firestore:"v"`
	Sub   string `firestore:"sub"`
	Role  Role   `firestore:"role"`
	Email string `firestore:"email,omitempty"`
	// EmailKey is the address in lower case, by which support finds people.
	EmailKey string    `firestore:"email_key,omitempty"`
	Name     string    `firestore:"name,omitempty"`
	Team     string    `firestore:"team,omitempty"`
	JoinedAt time.Time `firestore:"joined_at"`
}

// teamDoc is the document orgs/{org}/teams/{team}.
type teamDoc struct {
	V          int64     `firestore:"v"`
	ID         string    `firestore:"id"`
	Name       string    `firestore:"name"`
	Archived   bool      `firestore:"archived"`
	CreatedAt  time.Time `firestore:"created_at"`
	ArchivedAt time.Time `firestore:"archived_at,omitempty"`
}

// notificationDoc is the document orgs/{org}/notifications/{id}.
type notificationDoc struct {
	V         int64     `firestore:"v"`
	ID        string    `firestore:"id"`
	Kind      string    `firestore:"kind"`
	At        time.Time `firestore:"at"`
	Title     string    `firestore:"title"`
	Text      string    `firestore:"text,omitempty"`
	Audience  Audience  `firestore:"audience"`
	Credits   int64     `firestore:"credits,omitempty"`
	Threshold int64     `firestore:"threshold,omitempty"`
	ReadAt    time.Time `firestore:"read_at,omitempty"`
	ReadBy    string    `firestore:"read_by,omitempty"`
}

func encodeOrg(o Org) orgDoc {
	return orgDoc{
		V: schemaVersion, Org: o.ID, Revision: o.Revision, Name: o.Name, Country: o.Country, Zone: o.Zone, Currency: o.Currency,
		OwnerEmail: o.OwnerEmail, OwnerKey: strings.ToLower(o.OwnerEmail), OwnerSub: o.ownerSub, BillingContact: o.BillingContact, Roster: o.roster, NameKey: strings.ToLower(o.Name),
		Alerts:    encodeAlerts(o.Alerts),
		CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt,
	}
}

func decodeOrg(snapshot *firestore.DocumentSnapshot) (Org, error) {
	d, err := decode[orgDoc](snapshot)
	if err != nil {
		return Org{}, err
	}
	return Org{
		ID: d.Org, Revision: d.Revision, Currency: d.Currency, CreatedAt: d.CreatedAt, UpdatedAt: d.UpdatedAt, ownerSub: d.OwnerSub, roster: d.Roster,
		Profile: Profile{Name: d.Name, Country: d.Country, Zone: d.Zone, OwnerEmail: d.OwnerEmail, BillingContact: d.BillingContact},
		Alerts:  decodeAlerts(d.Alerts),
	}, nil
}

func encodeAlerts(a Alerts) alertsDoc {
	return alertsDoc{
		LowBalance: lowBalanceDoc(a.LowBalance), Expiry: expiryDoc(a.Expiry), Kinds: keyed[string](a.Chosen), BillingContact: a.Contact,
		ContactChosen: a.Contact != nil,
	}
}

func decodeAlerts(d alertsDoc) Alerts {
	out := Alerts{LowBalance: LowBalance(d.LowBalance), Expiry: Expiry(d.Expiry), Chosen: keyed[Kind](d.Kinds)}
	if d.ContactChosen {
		out.Contact = append([]Kind{}, d.BillingContact...)
	}
	return out
}

// keyed is a map under keys of another type of text: Firestore's client reads maps with plain strings for keys only.
func keyed[To, From ~string](m map[From][]Channel) map[To][]Channel {
	if len(m) == 0 {
		return nil
	}
	out := make(map[To][]Channel, len(m))
	for k, channels := range m {
		out[To(k)] = channels
	}
	return out
}

func encodeMember(m Member) memberDoc {
	return memberDoc{V: schemaVersion, Sub: m.Sub, Role: m.Role, Email: m.Email, EmailKey: strings.ToLower(m.Email), Name: m.Name, Team: m.Team, JoinedAt: m.JoinedAt}
}

func decodeMember(snapshot *firestore.DocumentSnapshot) (Member, error) {
	d, err := decode[memberDoc](snapshot)
	return Member{Sub: d.Sub, Role: d.Role, Email: d.Email, Name: d.Name, Team: d.Team, JoinedAt: d.JoinedAt}, err
}

func encodeTeam(t Team) teamDoc {
	return teamDoc{V: schemaVersion, ID: t.ID, Name: t.Name, Archived: !t.ArchivedAt.IsZero(), CreatedAt: t.CreatedAt, ArchivedAt: t.ArchivedAt}
}

func decodeTeam(snapshot *firestore.DocumentSnapshot) (Team, error) {
	d, err := decode[teamDoc](snapshot)
	return Team{ID: d.ID, Name: d.Name, CreatedAt: d.CreatedAt, ArchivedAt: d.ArchivedAt}, err
}

func encodeNotification(n Notification) notificationDoc {
	if n.Audience == "" {
		n.Audience = Everybody
	}
	return notificationDoc{
		V: schemaVersion, ID: n.ID, Kind: n.Kind, At: n.At, Title: n.Title, Text: n.Text, Audience: n.Audience, Credits: n.Credits, Threshold: n.Threshold,
		ReadAt: n.ReadAt, ReadBy: n.ReadBy,
	}
}

func decodeNotification(snapshot *firestore.DocumentSnapshot) (Notification, error) {
	d, err := decode[notificationDoc](snapshot)
	return Notification{
		ID: d.ID, Kind: d.Kind, At: d.At, Title: d.Title, Text: d.Text, Audience: d.Audience, Credits: d.Credits, Threshold: d.Threshold, ReadAt: d.ReadAt, ReadBy: d.ReadBy,
	}, err
}

// decode reads a document that this release knows the form of. The version is looked at first: the fields of a newer one may have other
// types.
func decode[D any](snapshot *firestore.DocumentSnapshot) (D, error) {
	var d D
	err := versioned.Read(snapshot, schemaVersion, &d)
	if errors.Is(err, versioned.ErrNewer) {
		err = unavailable("%w", err)
	}
	return d, err
}

// memberID is the id of a member's document: the subject as it is, but for what a document's id cannot be or hold.
func memberID(sub string) string {
	id := url.PathEscape(sub)
	switch {
	case strings.HasPrefix(id, "."):
		return "%2E" + id[1:] // PathEscape leaves dots alone, so no other subject is written so
	case strings.HasPrefix(id, "_"):
		return "%5F" + id[1:]
	}
	return id
}
