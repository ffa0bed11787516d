package payments

import (
	"cmp"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
)

// monthsPerYear is how many cycles a yearly line pays for.
const monthsPerYear = 12

// planInvoice decides about a paid invoice. Each line of a plan is a grant for its period, a yearly one month by month; of prorations only the
// positive one of an upgrade is. What a line costs does not matter: a coupon, a trial or the free plan is paid by nothing.
func planInvoice(e Event, k Known) Decision {
	in := e.Invoice
	if in.Subscription == "" {
		return Decision{} // the receipt of a purchase
	}
	org := cmp.Or(in.Org, k.Subscription.Org, k.CustomerOrg)
	d := Decision{Org: org}
	switch {
	case credit.CheckOrg(org) != nil:
		d.Doubt = doubt(UnknownOrg, "neither the subscription nor its customer names an organisation: %q", org)
		return d
	case k.Payment != nil && k.Payment.Org != org:
		d.Doubt = doubt(WrongOrg, "the invoice names %q, its payment is of %q", org, k.Payment.Org)
		return d
	case in.Truncated: // what is missing may be the other half of a change
		d.Doubt = doubt(Malformed, "the invoice has more than the %d lines that were read", len(in.Lines))
		return d
	}
	d.Fact = &Fact{
		Moment: Moment{At: e.At, What: e.Type, Event: e.ID}, Status: Paid, Org: org, Payment: in.payment(),
		Invoice: in.ID, Subscription: in.Subscription, Amount: in.Paid, Tax: in.Tax,
		Currency: catalogue.Currency(strings.ToUpper(in.Currency)),
	}
	w := billing{Decision: d, invoice: in, known: k}
	for _, l := range in.Lines {
		if l.Item != "" && !l.Proration && l.Quantity > 0 {
			w.cycle(l)
		}
	}
	for _, group := range prorations(in.Lines) {
		w.upgrade(group)
	}
	w.inOrder()
	return w.Decision
}

// billing is the work on one invoice.
type billing struct {
	Decision
	invoice *Invoice
	known   Known
}

// wonder notes the first doubt; the rest of the invoice is settled nevertheless.
func (w *billing) wonder(d *Doubt) {
	if w.Doubt == nil {
		w.Doubt = d
	}
}

// plan finds what a line sells: the plan and the credits of one cycle.
func (w *billing) plan(l Line) (catalogue.PlanPrice, int64, bool) {
	p, err := w.known.Prices.PlanByStripePrice(l.Price)
	switch {
	case err != nil:
		w.wonder(doubt(UnknownPrice, "line %s has the price %q", l.ID, l.Price))
	case !strings.EqualFold(l.Currency, string(p.Currency)):
		w.wonder(doubt(WrongCurrency, "line %s is in %s, its price in %s", l.ID, l.Currency, p.Currency))
	case p.Plan.CreditsPerCycle > 0 && l.Quantity > credit.MaxCredits/p.Plan.CreditsPerCycle:
		w.wonder(doubt(Malformed, "line %s has the quantity %d", l.ID, l.Quantity))
	default:
		return p, p.Plan.CreditsPerCycle * l.Quantity, true
	}
	return catalogue.PlanPrice{}, 0, false
}

// cycle grants what a line that pays for a whole period includes.
func (w *billing) cycle(l Line) {
	p, credits, ok := w.plan(l)
	switch {
	case !ok:
	case !l.Period.Start.Before(l.Period.End):
		w.wonder(doubt(Malformed, "line %s pays for no time", l.ID))
	default:
		w.open(l, p)
		w.PaidUntil = latest(w.PaidUntil, l.Period.End)
		w.grantMonths(l, l.Period, p, credits)
	}
}

// open adds the cycles that a line pays for. The first line of a period names its plan.
func (w *billing) open(l Line, p catalogue.PlanPrice) {
	for _, month := range months(l.Period, p.Interval) {
		i := slices.IndexFunc(w.Cycles, func(c Cycle) bool { return c.Period.Start.Equal(month.Start) })
		if i >= 0 {
			w.Cycles[i].Items = append(w.Cycles[i].Items, l.Item)
			continue
		}
		w.Cycles = append(w.Cycles, Cycle{
			Org: w.Org, Subscription: w.invoice.Subscription, Plan: p.Plan.ID, PlanName: p.Plan.Name, Invoice: w.invoice.ID,
			Items: []string{l.Item}, Period: month, CloseAt: month.End.Add(w.known.Grace),
		})
	}
}

// upgrade grants, on the positive line, floor((new − old) × time left ÷ period) of the changes made at one moment.
func (w *billing) upgrade(lines []Line) {
	i := slices.IndexFunc(lines, func(l Line) bool { return l.Amount > 0 })
	if i < 0 {
		return
	}
	var of catalogue.PlanPrice
	var more int64
	for n, l := range lines {
		p, credits, ok := w.plan(l)
		switch {
		case !ok:
			return
		case n == i:
			of = p
		}
		if l.Amount > 0 {
			more += credits
		} else {
			more -= credits
		}
	}
	if more <= 0 {
		return
	}
	months := 1
	if of.Interval == catalogue.Year {
		months = monthsPerYear
	}
	if whole, known := w.known.Subscription.periodEnding(lines[i].Period, months, w.invoice.Period); known {
		w.grantMonths(lines[i], whole, of, more)
		return
	}
	w.wonder(doubt(UnknownPeriod, "line %s prorates a period that ended", lines[i].ID))
}

// prorations groups an invoice's prorations by their period: those of one change of a subscription have one. Credits and charges of nothing
// are left out.
func prorations(lines []Line) [][]Line {
	var out [][]Line
	for _, l := range lines {
		if l.Item == "" || !l.Proration || l.Amount == 0 || l.Quantity <= 0 {
			continue
		}
		i := slices.IndexFunc(out, func(group []Line) bool {
			return group[0].Period.Start.Equal(l.Period.Start) && group[0].Period.End.Equal(l.Period.End)
		})
		if i < 0 {
			out = append(out, []Line{l})
			continue
		}
		out[i] = append(out[i], l)
	}
	return out
}

// grantMonths grants a line's credits, so many per month of the whole period, for the part of each month that the line covers. The first grant
// has the line's key, those of later months their number beside it.
func (w *billing) grantMonths(l Line, whole Period, p catalogue.PlanPrice, perMonth int64) {
	n := 0
	for _, month := range months(whole, p.Interval) {
		part := Period{Start: latest(month.Start, l.Period.Start), End: month.End}
		if !part.Start.Before(part.End) {
			continue
		}
		key := []string{"grant", w.invoice.ID, l.ID}
		if n > 0 {
			key = append(key, strconv.Itoa(n))
		}
		n++
		credits := share(perMonth, part.seconds(), month.seconds())
		if credits == 0 {
			continue
		}
		usable := part.End
		if part.End.Equal(l.Period.End) {
			usable = w.known.Subscription.usableUntil(part.End, w.known.Grace)
		}
		w.grant(credit.NewGrant{
			Key: credit.SystemKey(key...),
			Terms: credit.Terms{
				Source: credit.Subscription, Granted: credits, EffectiveAt: part.Start, ExpiresAt: part.End, UsableUntil: usable,
				Payment: w.invoice.payment(), Item: l.Item,
			},
			Follows: w.known.Subscription.follows(l.Item), Prorated: l.Proration,
			Reason: "plan " + p.Plan.ID + ", invoice " + w.invoice.ID,
		})
	}
}

// inOrder lets earlier periods be granted before later ones, which end their grace.
func (w *billing) inOrder() {
	slices.SortStableFunc(w.Grants, func(a, b credit.NewGrant) int {
		return a.Terms.EffectiveAt.Compare(b.Terms.EffectiveAt)
	})
}

// share is floor(credits × part ÷ whole), where part is at most whole.
func share(credits, part, whole int64) int64 {
	high, low := bits.Mul64(uint64(credits), uint64(part))
	out, _ := bits.Div64(high, low, uint64(whole))
	return int64(out)
}

// months divides a period into the cycles that its plan grants by: one, or of a year twelve, each as many months after the period's start.
// The last ends with the period, whatever its length.
func months(whole Period, interval catalogue.Interval) []Period {
	cycles := 1
	if interval == catalogue.Year {
		cycles = monthsPerYear
	}
	var out []Period
	start := whole.Start
	for n := 1; n < cycles; n++ {
		end := addMonths(whole.Start, n)
		if !end.Before(whole.End) {
			break
		}
		out = append(out, Period{Start: start, End: end})
		start = end
	}
	return append(out, Period{Start: start, End: whole.End})
}

// addMonths is the same day and time some months later, or the month's last day when it has no such day, in UTC as Stripe counts.
func addMonths(t time.Time, n int) time.Time {
	t = t.UTC()
	first := time.Date(t.Year(), t.Month()+time.Month(n), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(t.Day(), last)-1)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
