package limitrequests

import (
	"context"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// erasedText stands where a text was that had to go.
const erasedText = "[erased]"

// maxErasePages bounds how many requests one call looks through: they are kept for 400 days, and a member may make few a day.
const maxErasePages = 200

// EraseTexts takes the words of people out of an organisation's requests: those that a member wrote, of either side, and those that hold what
// holds says. Who asked and decided, and what for, stays. It returns how many requests it changed, and may be repeated. Errors are an *Error,
// `unavailable`.
func (d *Desk) EraseTexts(ctx context.Context, org, sub string, holds func(text string) bool) (changed int, err error) {
	for _, decided := range []bool{false, true} {
		p := Page{Decided: decided, Limit: maxPage}
		for range maxErasePages {
			page, err := d.Requests(ctx, org, p)
			if err != nil {
				return changed, err
			}
			for _, r := range page {
				var updates []firestore.Update
				if r.Reason != "" && r.Reason != erasedText && (r.By == sub || holds(r.Reason)) {
					updates = append(updates, firestore.Update{Path: "reason", Value: erasedText})
				}
				if r.Answer != "" && r.Answer != erasedText && (r.By == sub || r.DecidedBy == sub || holds(r.Answer)) {
					updates = append(updates, firestore.Update{Path: "answer", Value: erasedText})
				}
				if r.SubjectName != erasedText && holds(r.SubjectName) {
					updates = append(updates, firestore.Update{Path: "subject_name", Value: erasedText})
				}
				if len(updates) == 0 {
					continue
				}
				if err := d.erase(ctx, org, r.ID, updates); err != nil {
					return changed, err
				}
				changed++
			}
			if len(page) < maxPage {
				break
			}
			p.AfterAt, p.AfterID = page[len(page)-1].CreatedAt, page[len(page)-1].ID
		}
	}
	return changed, nil
}

func (d *Desk) erase(ctx context.Context, org, id string, updates []firestore.Update) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if _, err := d.request(org, id).Update(ctx, updates); err != nil && status.Code(err) != codes.NotFound {
		return unavailable("erase texts of limit request %s of %s: %w", id, org, err)
	}
	return nil
}
