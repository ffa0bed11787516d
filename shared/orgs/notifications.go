package orgs

import (
	"context"
	"slices"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fluxori/ai-credits/shared/credit"
)

// maxPage is how many notifications are read at once, at most.
const maxPage = 500

// Page says which part of the feed is wanted.
type Page struct {
	// AfterAt and AfterID are those of the last notification that was seen; zero for the newest.
	AfterAt time.Time
	AfterID string
	// For are the audiences whose notifications are wanted, at most 10; none for all there are.
	For []Audience
	// Limit is how many are wanted, from 1 to 500.
	Limit int
}

func (s *Store) notifications(org string) *firestore.CollectionRef {
	return s.org(org).Collection("notifications")
}

// AddNotification adds a notification to the feed, and reports whether it was not there before: one with its id stays as it is. The
// organisation is not looked for. Errors are an *Error, `invalid_request`, `unknown_org` or `unavailable`.
func (s *Store) AddNotification(ctx context.Context, org string, n Notification) (added bool, err error) {
	if credit.CheckOrg(org) != nil {
		return false, UnknownOrg()
	}
	if err := n.check(); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	_, err = s.notifications(org).Doc(n.ID).Create(ctx, encodeNotification(n))
	switch status.Code(err) {
	case codes.OK:
		return true, nil
	case codes.AlreadyExists:
		return false, nil
	default:
		return false, unavailable("add notification %s of %s: %w", n.ID, org, err)
	}
}

// Notifications returns a part of the feed, newest first. A read for each. Errors are an *Error, `unavailable`.
func (s *Store) Notifications(ctx context.Context, org string, p Page) ([]Notification, error) {
	if credit.CheckOrg(org) != nil {
		return nil, UnknownOrg()
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	q := s.notifications(org).OrderBy("at", firestore.Desc).OrderBy(firestore.DocumentID, firestore.Desc)
	if len(p.For) > 0 {
		q = q.Where("audience", "in", p.For)
	}
	if p.AfterID != "" {
		if !validNotificationID(p.AfterID) {
			return nil, notFound("page")
		}
		q = q.StartAfter(p.AfterAt, s.notifications(org).Doc(p.AfterID))
	}
	snapshots, err := q.Limit(min(max(p.Limit, 1), maxPage)).Documents(ctx).GetAll()
	if err != nil {
		return nil, unavailable("read the notifications of %s: %w", org, err)
	}
	out := make([]Notification, len(snapshots))
	for i, snapshot := range snapshots {
		if out[i], err = decodeNotification(snapshot); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// MarkRead states that a notification was read, by whom and when; the first to read it stands. Whoever reads is of some audiences, and no other
// notification is found; none stands for all. It returns the notification as it is then. Errors are an *Error, `not_found` or `unavailable`.
func (s *Store) MarkRead(ctx context.Context, org, id, by string, of ...Audience) (out Notification, err error) {
	if credit.CheckOrg(org) != nil || !validNotificationID(id) {
		return Notification{}, notFound("notification")
	}
	err = s.change(ctx, "mark a notification of "+org+" as read", func(_ context.Context, tx *firestore.Transaction) error {
		ref := s.notifications(org).Doc(id)
		snapshot, err := tx.Get(ref)
		if status.Code(err) == codes.NotFound {
			return notFound("notification")
		}
		if err != nil {
			return err //nolint:wrapcheck // the client decides by the bare error whether to try again
		}
		if out, err = decodeNotification(snapshot); err != nil {
			return err
		}
		if len(of) > 0 && !slices.Contains(of, out.Audience) {
			return notFound("notification")
		}
		if !out.ReadAt.IsZero() {
			return nil
		}
		out.ReadAt, out.ReadBy = s.now(), by
		return tx.Update(ref, []firestore.Update{{Path: "read_at", Value: out.ReadAt}, {Path: "read_by", Value: by}})
	})
	if err != nil {
		return Notification{}, err
	}
	return out, nil
}
