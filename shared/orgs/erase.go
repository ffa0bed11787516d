package orgs

import "context"

// maxErasePages bounds how many pages of teams one call looks through.
const maxErasePages = 100

// EraseTexts calls those teams by their ids whose names hold what holds says. It returns how many, and may be repeated. Errors are an *Error,
// `unknown_org` or `unavailable`.
func (s *Store) EraseTexts(ctx context.Context, org, _ string, holds func(text string) bool) (changed int, err error) {
	for _, archived := range []bool{false, true} {
		p := TeamPage{Archived: archived, Limit: maxPage}
		for range maxErasePages {
			page, err := s.Teams(ctx, org, p)
			if err != nil {
				return changed, err
			}
			for _, t := range page {
				if t.Name == t.ID || !holds(t.Name) {
					continue
				}
				if _, _, err := s.ChangeTeam(ctx, org, TeamChange{ID: t.ID, Name: t.ID}); err != nil {
					return changed, err
				}
				changed++
			}
			if len(page) < maxPage {
				break
			}
			p.After = page[len(page)-1].ID
		}
	}
	return changed, nil
}
