package orgs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/lru"
)

// maxAdministrators bounds how many administrators are told something.
const maxAdministrators = 100

// Options are what can be chosen about a Store.
type Options struct {
	// Now is the system's clock, which dates documents. Required.
	Now func() time.Time
	// Staleness is how far [Store.RecentRole] may lag behind. The default is 5 s.
	Staleness time.Duration
	// Timeout bounds each read and each transaction. The default is 5 s.
	Timeout time.Duration
	// RolesMax is how many roles are kept in memory. The default is 10,000.
	RolesMax int
	// TeamsMax and MembersMax bound the teams in use and the members of one organisation. The defaults are 500 and 10,000.
	TeamsMax, MembersMax int
	// TeamsOfMax is how many members' teams are kept in memory. The default is 20,000.
	TeamsOfMax int
	// MachineNow is the machine's clock, by which what is in memory ages. The default is time.Now.
	MachineNow func() time.Time
}

// Store keeps organisations in Firestore. It is safe for concurrent use.
type Store struct {
	client *firestore.Client
	log    *slog.Logger
	opts   Options
	roles  *lru.Cache[roleKey, knownRole]
	// directory is what TeamOf remembers.
	directory directory
}

type roleKey struct{ org, sub string }

// knownRole is a role as it was found at a time.
type knownRole struct {
	role Role
	at   time.Time
}

// NewStore returns a Store on client that reports to log.
func NewStore(client *firestore.Client, log *slog.Logger, opts Options) (*Store, error) {
	if client == nil || log == nil || opts.Now == nil {
		return nil, errors.New("organisations need a client, a logger and a clock")
	}
	if opts.Staleness <= 0 {
		opts.Staleness = 5 * time.Second
	}
	if opts.Timeout <= 0 {
		opts.Timeout = 5 * time.Second
	}
	if opts.RolesMax <= 0 {
		opts.RolesMax = 10_000
	}
	if opts.TeamsMax <= 0 {
		opts.TeamsMax = 500
	}
	if opts.MembersMax <= 0 {
		opts.MembersMax = 10_000
	}
	if opts.TeamsOfMax <= 0 {
		opts.TeamsOfMax = 20_000
	}
	if opts.MachineNow == nil {
		opts.MachineNow = time.Now
	}
	return &Store{
		client: client, log: log, opts: opts, roles: lru.New[roleKey, knownRole](opts.RolesMax), directory: newDirectory(opts.TeamsOfMax),
	}, nil
}

// now is the moment that a document is dated with, in Firestore's precision.
func (s *Store) now() time.Time { return s.opts.Now().UTC().Truncate(time.Microsecond) }

func (s *Store) org(org string) *firestore.DocumentRef { return s.client.Collection("orgs").Doc(org) }

func (s *Store) members(org string) *firestore.CollectionRef { return s.org(org).Collection("members") }

func (s *Store) member(org, sub string) *firestore.DocumentRef {
	return s.members(org).Doc(memberID(sub))
}

// Get returns an organisation. One read. Errors are an *Error, `unknown_org` or `unavailable`.
func (s *Store) Get(ctx context.Context, org string) (Org, error) {
	if credit.CheckOrg(org) != nil {
		return Org{}, UnknownOrg()
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	snapshot, err := s.org(org).Get(ctx)
	return found(snapshot, err, org)
}

// found is an organisation as a read found it.
func found(snapshot *firestore.DocumentSnapshot, err error, org string) (Org, error) {
	if status.Code(err) == codes.NotFound {
		return Org{}, UnknownOrg()
	}
	if err != nil {
		return Org{}, unavailable("read organisation %s: %w", org, err)
	}
	return decodeOrg(snapshot)
}

// change runs a transaction, with a deadline. What it returns of an *Error is the reason; any other failure leaves the outcome unknown.
func (s *Store) change(ctx context.Context, what string, body func(context.Context, *firestore.Transaction) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	err := s.client.RunTransaction(ctx, body)
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return fmt.Errorf("%s: %w", what, err)
	}
	return unavailable("%s: %w", what, err)
}

// put writes a profile, and the default alerts if the organisation is new. A profile that is stored already is not written again.
func (s *Store) put(ctx context.Context, org string, p Profile, currency string) (out Org, created bool, err error) {
	err = s.change(ctx, "write organisation "+org, func(_ context.Context, tx *firestore.Transaction) error {
		snapshot, err := tx.Get(s.org(org))
		created = status.Code(err) == codes.NotFound
		now := s.now()
		out = Org{ID: org, Alerts: DefaultAlerts(), CreatedAt: now}
		if !created {
			if err != nil {
				return err //nolint:wrapcheck // the client decides by the bare error whether to try again
			}
			if out, err = decodeOrg(snapshot); err != nil {
				return err
			}
			if out.Profile == p && out.Currency == currency {
				return nil
			}
		}
		if !sameEmail(out.OwnerEmail, p.OwnerEmail) {
			out.ownerSub = ""
		}
		out.Profile, out.Currency, out.UpdatedAt = p, currency, now
		out.Revision++
		return tx.Set(s.org(org), encodeOrg(out))
	})
	return out, created && err == nil, err
}

// setAlerts writes alert settings. Those that are stored already are not written again.
func (s *Store) setAlerts(ctx context.Context, org string, a Alerts) (out Org, err error) {
	err = s.change(ctx, "write alert settings of "+org, func(_ context.Context, tx *firestore.Transaction) error {
		snapshot, err := tx.Get(s.org(org))
		if status.Code(err) == codes.NotFound {
			return UnknownOrg()
		}
		if err != nil {
			return err //nolint:wrapcheck // the client decides by the bare error whether to try again
		}
		if out, err = decodeOrg(snapshot); err != nil {
			return err
		}
		changed := out.Alerts.after(a)
		if out.Alerts.equal(changed) {
			return nil
		}
		out.Alerts, out.UpdatedAt = changed, s.now()
		out.Revision++
		return tx.Set(s.org(org), encodeOrg(out))
	})
	return out, err
}
