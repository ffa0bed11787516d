package notify

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/versioned"
)

const (
	// schemaVersion is the form of the documents that this release reads and writes.
	schemaVersion = 1
	// leaseLife is for how long whoever took an alert has it to itself: longer than a request may last.
	leaseLife = 90 * time.Second
	// keptFor is how long it is known that an alert was told: longer than Pub/Sub keeps messages.
	keptFor = 90 * 24 * time.Hour
	// storeTimeout bounds each read and write.
	storeTimeout = 5 * time.Second
)

// delivery is the document orgs/{org}/deliveries/{hash of the alert's id}: how an alert is to be told, decided when it was first met, and
// how far that has come.
type delivery struct {
	V         int64  `firestore:"v"`
	Alert     string `firestore:"alert"`
	Dashboard bool   `firestore:"dashboard"`
	Email     bool   `firestore:"email"`
	Done      bool   `firestore:"done"`
	// Lease and LeaseUntil say who is at it.
	Lease      string    `firestore:"lease,omitempty"`
	LeaseUntil time.Time `firestore:"lease_until,omitempty"`
	// Settled lists the addresses, hashed, that the mail was sent to or that were refused for good.
	Settled  []string  `firestore:"settled,omitempty"`
	At       time.Time `firestore:"at"`
	ExpireAt time.Time `firestore:"expire_at"`
}

// claim is a delivery that this process has to itself.
type claim struct {
	delivery
	ref *firestore.DocumentRef
}

// errDone says that an alert has been told already.
var errDone = errors.New("told already")

// alertHash names an alert where its id cannot stand as it is.
func alertHash(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:16])
}

// addressHash stands for an address, so that none is kept here.
func addressHash(address string) string { return alertHash("address:" + strings.ToLower(address)) }

// claim takes an alert, with the channels that are chosen now if it is met for the first time. errDone says that nothing is left to do; an
// *Error, `unavailable`, that somebody else is at it.
func (n *Notifier) claim(ctx context.Context, org, alert string, dashboard, email bool) (*claim, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	ref := n.client.Collection("orgs").Doc(org).Collection("deliveries").Doc(alertHash(alert))
	now, machine := n.now().UTC().Truncate(time.Microsecond), n.machineNow()
	c := &claim{ref: ref, delivery: delivery{
		V: schemaVersion, Alert: alert, Dashboard: dashboard, Email: email, Done: !dashboard && !email,
		Lease: rand.Text(), LeaseUntil: machine.Add(leaseLife), At: now, ExpireAt: now.Add(keptFor),
	}}
	_, err := ref.Create(ctx, c.delivery)
	if status.Code(err) == codes.AlreadyExists {
		err = n.takeOver(ctx, c, machine)
	}
	switch {
	case errors.Is(err, errDone), err == nil && c.Done:
		return nil, errDone
	case err != nil:
		return nil, unavailable(fmt.Errorf("claim alert %s of %s: %w", alert, org, err))
	}
	return c, nil
}

// takeOver takes an alert that was met before, unless somebody is at it. It is a transaction, so that of two who come at once one has it. A
// claim whose first write was applied but not acknowledged is recognised by its lease.
func (n *Notifier) takeOver(ctx context.Context, c *claim, machine time.Time) error {
	mine := c.Lease
	return n.client.RunTransaction(ctx, func(_ context.Context, tx *firestore.Transaction) error {
		snapshot, err := tx.Get(c.ref)
		if err != nil {
			return err //nolint:wrapcheck // the client decides by the bare error whether to try again
		}
		var d delivery
		if err := versioned.Read(snapshot, schemaVersion, &d); err != nil {
			return err
		}
		c.delivery = d
		switch {
		case d.Done:
			return errDone
		case d.Lease == mine:
			return nil
		case machine.Before(d.LeaseUntil):
			return fmt.Errorf("somebody is at it until %v", d.LeaseUntil)
		}
		c.Lease, c.LeaseUntil = mine, machine.Add(leaseLife)
		return tx.Update(c.ref, []firestore.Update{{Path: "lease", Value: c.Lease}, {Path: "lease_until", Value: c.LeaseUntil}})
	})
}

// has reports whether an address is settled.
func (c *claim) has(address string) bool { return slices.Contains(c.Settled, addressHash(address)) }

// settle records that nothing more is to be done for an address. It is written though the request has run out of time: the mail is out.
func (c *claim) settle(ctx context.Context, address string) error {
	return c.update(ctx, firestore.Update{Path: "settled", Value: firestore.ArrayUnion(addressHash(address))})
}

// finish records that the alert is told.
func (c *claim) finish(ctx context.Context) error {
	return c.update(ctx, firestore.Update{Path: "done", Value: true})
}

// release lets the next delivery of the alert try at once.
func (c *claim) release(ctx context.Context) error {
	return c.update(ctx, firestore.Update{Path: "lease_until", Value: time.Unix(0, 0).UTC()})
}

func (c *claim) update(ctx context.Context, u firestore.Update) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	if _, err := c.ref.Update(ctx, []firestore.Update{u}); err != nil {
		return unavailable(fmt.Errorf("record %s of %s: %w", u.Path, c.ref.Path, err))
	}
	return nil
}
