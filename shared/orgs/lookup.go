package orgs

import (
	"context"
	"strings"

	"cloud.google.com/go/firestore"
)

// longestKey sorts after all that a text can go on with.
const longestKey = "\uf8ff"

// NamePage asks for organisations by the beginning of their names.
type NamePage struct {
	// Prefix is what the name begins with, without regard to case; empty for all.
	Prefix string
	// After is the last organisation of the page before; empty for the first page.
	After string
	Limit int
}

// FindByName returns organisations whose names begin with a text, by name. One query, and a read
// to go on after a page. Errors are an *Error, `invalid_request` or `unavailable`, and `unknown_org` for a page after none.
func (s *Store) FindByName(ctx context.Context, p NamePage) ([]Org, error) {
	if !plain(p.Prefix, maxName) {
		return nil, refused("name", "no_name", "name must be at most %d bytes of text without control characters.", maxName)
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	key := strings.ToLower(p.Prefix)
	q := s.client.Collection("orgs").Where("name_key", ">=", key).Where("name_key", "<", key+longestKey).OrderBy("name_key", firestore.Asc)
	q = q.OrderBy(firestore.DocumentID, firestore.Asc).Limit(p.Limit)
	if p.After != "" {
		last, err := s.Get(ctx, p.After)
		if err != nil {
			return nil, err
		}
		q = q.StartAfter(strings.ToLower(last.Name), last.ID)
	}
	snapshots, err := q.Documents(ctx).GetAll()
	if err != nil {
		return nil, unavailable("find organisations by name: %w", err)
	}
	out := make([]Org, 0, len(snapshots))
	for _, snapshot := range snapshots {
		o, err := decodeOrg(snapshot)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}
