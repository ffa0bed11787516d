package catalogue

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// changesMax bounds how many differences between two versions are told.
const changesMax = 1000

// Proposal is a version that could be published, beside the one it would follow. An operator looks at it before publishing.
type Proposal struct {
	// From is the version that the Document was made from.
	From int64
	// To is what would be published, under the next number. A version that somebody else published meanwhile has that number, so Publish refuses
	// it then.
	To *Catalogue
	// Published says that this very version was published already, so that there is nothing to do.
	Published bool
	// Changes are the differences, in the order of their places: what comes and what goes, value by value. None means that nothing but the
	// number would change.
	Changes []Change
	// Broken tells what would break, and why Publish would refuse; none for nothing.
	Broken []string
}

// Change is one difference between two versions.
type Change struct {
	// Place is where: "packages/credits-500/prices/ZAR". Items of lists are named by their id, else by their number from 0.
	Place string
	// Before and After are the values as JSON; empty where there is none.
	Before, After string
}

// Propose reads a Document as JSON and compares it with the version that it was made from, which its version states: the one in force, or none
// for whichever is. The proposal has the next number. Who took a version, changed it, and was overtaken by another's publication is refused, so
// nobody's change is undone unseen. It writes nothing.
//
// Errors are a *strictjson.Error or an *InvalidError about the document; an *Error, `invalid_request` if the version it was made from is not in
// force, or `unavailable`, also when nothing has been seeded.
func (s *Store) Propose(ctx context.Context, data []byte) (Proposal, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	current, err := s.readCurrent(ctx)
	if err != nil {
		return Proposal{}, unavailable(err)
	}
	document, err := decodeDocument(data)
	if err != nil {
		return Proposal{}, err
	}
	p := Proposal{From: document.Version}
	if p.From == 0 {
		p.From = current.Version()
	}
	document.Version = p.From + 1
	if p.To, err = New(document); err != nil {
		return Proposal{}, err
	}
	if p.From != current.Version() {
		p.Published, err = s.isPublished(ctx, p.To, current.Version())
		return p, err
	}
	if p.Changes, err = Compare(current, p.To); err != nil {
		return Proposal{}, err
	}
	p.Broken = current.brokenBy(p.To)
	return p, nil
}

// isPublished reports whether c is what is published under its number; if not, c was made from a version that is not in force, which is the error.
func (s *Store) isPublished(ctx context.Context, c *Catalogue, current int64) (bool, error) {
	if c.Version() > current {
		return false, notInForce(c.Version()-1, current)
	}
	published, err := s.Version(ctx, c.Version())
	if err != nil {
		// Numbers may have been left out by whoever seeded with a higher one.
		if reason, ok := errors.AsType[*Error](err); ok && reason.Code() == "unavailable" {
			return false, err
		}
		return false, notInForce(c.Version()-1, current)
	}
	is, err := published.encode()
	if err != nil {
		return false, err
	}
	wanted, err := c.encode()
	if err != nil {
		return false, err
	}
	if !bytes.Equal(is, wanted) {
		return false, notInForce(c.Version()-1, current)
	}
	return true, nil
}

// Compare lists the differences between two versions, but for their numbers: at most 1,000, in the order of their places.
func Compare(before, after *Catalogue) ([]Change, error) {
	old, err := before.values()
	if err != nil {
		return nil, err
	}
	now, err := after.values()
	if err != nil {
		return nil, err
	}
	var out []Change
	for place, value := range old {
		if now[place] != value {
			out = append(out, Change{Place: place, Before: value, After: now[place]})
		}
	}
	for place, value := range now {
		if _, ok := old[place]; !ok {
			out = append(out, Change{Place: place, After: value})
		}
	}
	slices.SortFunc(out, func(a, b Change) int { return bytes.Compare([]byte(a.Place), []byte(b.Place)) })
	return out[:min(len(out), changesMax)], nil
}

// values are all single values of a version, but for its number, by their places.
func (c *Catalogue) values() (map[string]string, error) {
	data, err := c.encode()
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var document map[string]any
	if err := decoder.Decode(&document); err != nil {
		return nil, fmt.Errorf("read catalogue %d again: %w", c.Version(), err)
	}
	delete(document, "version")
	out := map[string]string{}
	for name, value := range document {
		flatten(out, name, value)
	}
	return out, nil
}

// flatten adds a value, or what is in it, under its place. A version's nesting is that of Document, a handful deep.
func flatten(out map[string]string, place string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			flatten(out, place+"/"+name, inner)
		}
	case []any:
		for i, item := range v {
			flatten(out, place+"/"+itemName(i, item), item)
		}
	case string:
		out[place] = strconv.Quote(v)
	default:
		out[place] = fmt.Sprint(v)
	}
}

// itemName names an item of a list by its id; a price that is no longer sold by Stripe's; others by their place in the list.
func itemName(i int, item any) string {
	object, ok := item.(map[string]any)
	if !ok {
		return strconv.Itoa(i)
	}
	for _, name := range []string{"id", "stripe_price"} {
		if id, ok := object[name].(string); ok {
			return id
		}
	}
	return strconv.Itoa(i)
}

// brokenBy tells what the next version would break for those who rely on c.
//
//   - A Stripe price that subscribers may still pay is dropped, or sells another plan, currency or interval: their invoices would grant nothing,
//     or something else.
//   - A feature is dropped: services that hold credits for it, or report its use, would be refused.
//   - A country that is named has another currency: its organisations' customers at Stripe are bound to the old one by their subscriptions.
func (c *Catalogue) brokenBy(next *Catalogue) []string {
	var out []string
	for id, price := range c.stripePrices {
		switch now, ok := next.stripePrices[id]; {
		case !ok:
			out = append(out, fmt.Sprintf("plans drop the Stripe price %q of %q, which subscribers may still pay: keep it among former_prices", id, price.Plan.ID))
		case now.Plan.ID != price.Plan.ID || now.Currency != price.Currency || now.Interval != price.Interval:
			out = append(out, fmt.Sprintf("the Stripe price %q sold %q by the %s in %s, and would sell %q by the %s in %s: make another at Stripe",
				id, price.Plan.ID, price.Interval, price.Currency, now.Plan.ID, now.Interval, now.Currency))
		}
	}
	for id := range c.features {
		if _, ok := next.features[id]; !ok {
			out = append(out, fmt.Sprintf("features drop %q, which services may still ask for: make it unavailable instead", id))
		}
	}
	for country, currency := range c.document.CountryCurrencies {
		if now := next.CurrencyOf(country); now != currency {
			out = append(out, fmt.Sprintf("country_currencies.%s is %s, and was %s: organisations there have prices and customers in it", country, now, currency))
		}
	}
	slices.Sort(out)
	return out[:min(len(out), problemsMax)]
}
