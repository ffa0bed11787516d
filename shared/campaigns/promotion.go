package campaigns

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/orgs"
)

// On says when a promotion's credits are given.
type On string

// The moments at which promotions give.
const (
	// Redemption gives credits as soon as the code is redeemed.
	Redemption On = "redemption"
	// FirstPurchase sets a bonus aside when the code is redeemed, and gives it with the organisation's first paid purchase. The bonus is linked to
	// that purchase, so that a refund takes it back in the same ratio.
	FirstPurchase On = "first_purchase"
)

// Bounds of promotions.
const (
	creditsMax  = 1_000_000  // of one redemption: more is a slip of the keyboard
	totalMax    = 10_000_000 // redemptions of one promotion
	perOrgMax   = 1000
	daysMax     = 3653 // ten years
	audienceMax = 200  // organisations, or countries, that a promotion is for
	nameMax     = 200  // bytes
)

// Terms are what a promotion offers, as an operator states it.
type Terms struct {
	// Name is for operators and for the entry in the ledger.
	Name string
	On   On
	// Credits are given by each redemption.
	Credits int64
	// LifeDays is how long the credits can be used, in days of 24 hours from when they are given; 0 for ever.
	LifeDays int64
	// StartsAt and EndsAt are the time in which the code can be redeemed, [start, end). A first purchase must be begun before the end, too.
	StartsAt, EndsAt time.Time
	// TotalMax and PerOrgMax are how often it can be redeemed in all, and by one organisation.
	TotalMax, PerOrgMax int64
	// Orgs and Countries are those it is for; empty for all.
	Orgs, Countries []string
	// Paused stops redemptions.
	Paused bool
}

// Promotion is a code that gives credits.
type Promotion struct {
	Code string
	Terms
	// Redeemed counts redemptions; each has the number that the count had with it.
	Redeemed int64
	// Revision counts changes of the terms, from 1; ChangedBy is who made the last one.
	Revision             int64
	ChangedBy            string
	CreatedAt, UpdatedAt time.Time
}

var codePattern = regexp.MustCompile(`^[A-Z0-9](?:[A-Z0-9-]{2,30})[A-Z0-9]$`)

// NormalCode is a code as it is stored, whatever the case in which it was typed and the space around it; ok is false for what cannot be one.
func NormalCode(typed string) (code string, ok bool) {
	if len(typed) > 100 {
		return "", false
	}
	code = strings.ToUpper(strings.TrimSpace(typed))
	return code, codePattern.MatchString(code)
}

// Check tells everything that is wrong with terms. The error is an *Error, `invalid_request`.
func (t Terms) Check() error {
	var problems []string
	field := ""
	that := func(ok bool, name, problem string, args ...any) {
		if ok {
			return
		}
		if field == "" {
			field = name
		}
		problems = append(problems, name+" "+fmt.Sprintf(problem, args...))
	}
	within := func(name string, n, least, most int64) {
		that(n >= least && n <= most, name, "must be from %d to %d", least, most)
	}
	that(strings.TrimSpace(t.Name) != "" && len(t.Name) <= nameMax && utf8.ValidString(t.Name) && !strings.ContainsFunc(t.Name, unicode.IsControl),
		"name", "must be 1 to %d bytes of text on one line", nameMax)
	that(t.On == Redemption || t.On == FirstPurchase, "on", "must be %q or %q", Redemption, FirstPurchase)
	within("credits", t.Credits, 1, creditsMax)
	within("life_days", t.LifeDays, 0, daysMax)
	that(validMoment(t.StartsAt), "starts_at", "is required, and must be in the years 2000 to 9000")
	that(validMoment(t.EndsAt) && t.EndsAt.After(t.StartsAt), "ends_at", "is required, and must be after starts_at")
	within("total_max", t.TotalMax, 1, totalMax)
	within("per_org_max", t.PerOrgMax, 1, perOrgMax)
	that(t.On != FirstPurchase || t.PerOrgMax <= 1, "per_org_max", "must be 1, because an organisation has one first purchase")
	that(len(t.Orgs) <= audienceMax && !slices.ContainsFunc(t.Orgs, func(o string) bool { return credit.CheckOrg(o) != nil }),
		"orgs", "must be at most %d ids of organisations", audienceMax)
	that(len(t.Countries) <= audienceMax && !slices.ContainsFunc(t.Countries, func(c string) bool { return !orgs.ValidCountry(c) }),
		"countries", "must be ISO 3166-1 alpha-2 codes in capitals, such as ZA")
	return invalid(field, problems)
}

// validMoment reports whether a window can begin or end then.
func validMoment(t time.Time) bool { return t.UTC().Year() >= 2000 && t.UTC().Year() <= 9000 }

// amended is the promotion with other terms. What was redeemed keeps what it was promised. The error is an *Error, `invalid_request`.
func (p Promotion) amended(t Terms, by string, now time.Time) (Promotion, error) {
	if err := t.Check(); err != nil {
		return Promotion{}, err
	}
	switch {
	case p.Redeemed > 0 && t.On != p.On:
		return Promotion{}, invalid("on", []string{"on cannot be changed once the code has been redeemed"})
	case t.TotalMax < p.Redeemed:
		return Promotion{}, invalid("total_max", []string{fmt.Sprintf("total_max cannot be less than the %d redemptions there are; pause the promotion instead", p.Redeemed)})
	}
	if p.Revision == 0 {
		p.CreatedAt = now
	}
	p.Terms, p.ChangedBy, p.UpdatedAt = t, by, now
	p.Revision++
	return p, nil
}

// redeemer is an organisation that enters a code, as far as promotions ask.
type redeemer struct {
	org, country string
	// redeemed is how often it redeemed this promotion.
	redeemed int64
	// bought says that it has paid a purchase; waiting, that a bonus waits for its first one.
	bought, waiting bool
}

// verdict is what becomes of a code that was entered.
type verdict int

const (
	accepted verdict = iota
	// unknown stands for every reason that is not to be told.
	unknown
	// usedUp says that this organisation has redeemed the code as often as it may, or that another bonus waits for its first purchase already.
	usedUp
)

// judge decides whether an organisation can redeem the promotion.
func (p Promotion) judge(r redeemer, now time.Time) verdict {
	switch {
	case p.Paused, now.Before(p.StartsAt), !now.Before(p.EndsAt),
		len(p.Orgs) > 0 && !slices.Contains(p.Orgs, r.org),
		len(p.Countries) > 0 && !slices.Contains(p.Countries, r.country),
		p.On == FirstPurchase && r.bought:
		return unknown
	case r.redeemed >= p.PerOrgMax, p.On == FirstPurchase && r.waiting:
		return usedUp
	case p.Redeemed >= p.TotalMax:
		return unknown
	}
	return accepted
}

// end is when credits given at a moment end; zero for never.
func end(given time.Time, days int64) time.Time {
	if days == 0 {
		return time.Time{}
	}
	return given.Add(time.Duration(days) * 24 * time.Hour)
}
