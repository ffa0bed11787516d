package spend_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/ledger"
	"github.com/fluxori/ai-credits/shared/spend"
)

// priceList is a catalogue's versions in memory, the last one in force.
type priceList struct {
	versions []*catalogue.Catalogue
	down     error
}

var _ spend.Prices = (*priceList)(nil)

func (p *priceList) Current(context.Context) (*catalogue.Catalogue, error) {
	if p.down != nil {
		return nil, p.down
	}
	return p.versions[len(p.versions)-1], nil
}

func (p *priceList) Version(_ context.Context, version int64) (*catalogue.Catalogue, error) {
	if p.down != nil {
		return nil, p.down
	}
	for _, c := range p.versions {
		if c.Version() == version {
			return c, nil
		}
	}
	return nil, errors.New("no such version")
}

// change publishes a version that differs from the last one.
func (p *priceList) change(t *testing.T, edit func(*catalogue.Document)) {
	t.Helper()
	d := p.versions[len(p.versions)-1].Document()
	d.Version++
	d.Features = slices.Clone(d.Features)
	edit(&d)
	c, err := catalogue.New(d)
	if err != nil {
		t.Fatal(err)
	}
	p.versions = append(p.versions, c)
}

// open gives a spender with the seeded prices, and an organisation with 100 credits.
func open(t *testing.T) (*spend.Spender, *priceList, *ledger.Ledger) {
	t.Helper()
	e := engine.New(t, engine.Embedded())
	now := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	l, err := ledger.New(e.Raw, e.Database(), ledger.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	zone := "Africa/Johannesburg"
	for _, c := range []credit.Command{
		credit.Configure{Zone: &zone},
		credit.NewGrant{Key: credit.SystemKey("grant", "pi_1"), Terms: credit.Terms{Source: credit.Purchase, Granted: 100}},
	} {
		if _, err := l.Do(t.Context(), "acme", c); err != nil {
			t.Fatal(err)
		}
	}
	seed, err := catalogue.Seed()
	if err != nil {
		t.Fatal(err)
	}
	prices := &priceList{versions: []*catalogue.Catalogue{seed}}
	s, err := spend.New(prices, l)
	if err != nil {
		t.Fatal(err)
	}
	return s, prices, l
}

func request(id, feature string, credits int64) spend.Request {
	return spend.Request{EventID: id, Ask: spend.Ask{OrgID: "acme", Feature: feature, Credits: &credits}}
}

// wantCode checks the code that an error tells callers.
func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var coded interface{ Code() string }
	if !errors.As(err, &coded) || coded.Code() != code {
		t.Errorf("%v, want %s", err, code)
	}
}

func dearer(d *catalogue.Document) {
	for i := range d.Features {
		if d.Features[i].ID == "custom-query" {
			d.Features[i].Price = catalogue.Range{Min: 30, Max: 60}
		}
	}
}

func withdrawn(d *catalogue.Document) {
	d.Features = slices.DeleteFunc(d.Features, func(f catalogue.Feature) bool { return f.ID == "custom-query" })
}

func TestThePriceIsThatOfTheDecisionOrOfTheQuote(t *testing.T) {
	t.Parallel()
	s, prices, _ := open(t)
	prices.change(t, dearer)
	_, err := s.Debit(t.Context(), request("now", "custom-query", 20), "svc")
	wantCode(t, err, "credits_out_of_range")
	pinned, first := request("pinned", "custom-query", 20), int64(1)
	pinned.PriceVersion = &first
	r, err := s.Debit(t.Context(), pinned, "svc")
	if err != nil || r.Entry.Credits != 20 || r.Entry.Work.PriceVersion != 1 || r.Entry.Actor != "svc" {
		t.Errorf("pinned to version 1: %+v, %v", r.Entry, err)
	}
	if r, err := s.Debit(t.Context(), request("dear", "custom-query", 60), "svc"); err != nil || r.Entry.Work.PriceVersion != 2 {
		t.Errorf("at today's price: %+v, %v", r.Entry, err)
	}
}

func TestWhatWasChargedOnceKeepsItsResult(t *testing.T) {
	t.Parallel()
	s, prices, l := open(t)
	do := func(r spend.Request) (ledger.Result, error) { return s.Debit(t.Context(), r, "svc") }
	first, err := do(request("e", "custom-query", 20))
	if err != nil {
		t.Fatal(err)
	}
	again := func(when string) {
		t.Helper()
		if r, err := do(request("e", "custom-query", 20)); err != nil || !r.Replayed || r.Entry.Seq != first.Entry.Seq {
			t.Errorf("%s: %+v, %v", when, r, err)
		}
		if r, err := s.Usage(t.Context(), request("e", "custom-query", 20), "svc", true); err != nil || !r.Replayed {
			t.Errorf("%s, as usage: %+v, %v", when, r, err)
		}
		_, err := do(request("e", "custom-query", 21))
		wantCode(t, err, credit.CodeConflict)
	}
	prices.change(t, dearer)
	again("its credits are out of range now")
	_, err = do(request("other", "custom-query", 20))
	wantCode(t, err, "credits_out_of_range")
	prices.change(t, withdrawn)
	again("its feature is no longer sold")
	_, err = do(request("other", "custom-query", 20))
	wantCode(t, err, "unknown_feature")
	if w, err := l.View(t.Context(), "acme"); err != nil || w.Available != 80 {
		t.Errorf("%d are left (%v), want 80", w.Available, err)
	}
}

func TestWithoutPricesNothingIsCharged(t *testing.T) {
	t.Parallel()
	s, prices, l := open(t)
	prices.down = errors.New("the store does not answer")
	if _, err := s.Debit(t.Context(), request("e", "custom-query", 20), "svc"); !errors.Is(err, prices.down) {
		t.Errorf("a debit: %v", err)
	}
	if _, err := s.Usage(t.Context(), request("e", "custom-query", 20), "svc", false); !errors.Is(err, prices.down) {
		t.Errorf("usage: %v", err)
	}
	if w, err := l.View(t.Context(), "acme"); err != nil || w.Available != 100 {
		t.Errorf("%d are left (%v), want 100", w.Available, err)
	}
}

func TestUsageOwesWhatIsNotThere(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t)
	for i, want := range []credit.Figures{{Available: 50}, {}, {Debt: 50}} {
		r, err := s.Usage(t.Context(), spend.Request{EventID: string(rune('a' + i)), Ask: spend.Ask{OrgID: "acme", Feature: "market-trend-report"}}, "svc", false)
		if err != nil || r.After != want {
			t.Errorf("report %d: %+v, %v, want %+v", i, r.After, err, want)
		}
	}
	_, err := s.Debit(t.Context(), request("e", "custom-query", 10), "svc")
	wantCode(t, err, credit.CodeInDebt)
}

func TestWhatMakesNoSenseIsRefusedBeforeItIsPriced(t *testing.T) {
	t.Parallel()
	s, prices, _ := open(t)
	prices.down = errors.New("must not be asked")
	for name, edit := range map[string]func(*spend.Request){
		"no event id":           func(r *spend.Request) { r.EventID = "" },
		"an event id of a line": func(r *spend.Request) { r.EventID = "a\nb" },
		"no organisation":       func(r *spend.Request) { r.OrgID = "" },
		"a path":                func(r *spend.Request) { r.OrgID = "acme/entries" },
		"metadata of a list":    func(r *spend.Request) { r.Metadata = []byte(`[1]`) },
	} {
		r := request("e", "custom-query", 10)
		edit(&r)
		if _, err := s.Debit(t.Context(), r, "svc"); err != nil {
			wantCode(t, err, credit.CodeInvalid)
		} else {
			t.Errorf("%s is charged", name)
		}
	}
	zero, reversal := int64(0), spend.Reversal{EventID: "r", OrgID: "acme", DebitEventID: "e", Reason: "failed"}
	for name, edit := range map[string]func(*spend.Reversal){
		"no reason":        func(r *spend.Reversal) { r.Reason = "" },
		"no credits":       func(r *spend.Reversal) { r.Credits = &zero },
		"no debit":         func(r *spend.Reversal) { r.DebitEventID = "" },
		"no id of its own": func(r *spend.Reversal) { r.EventID = "" },
	} {
		r := reversal
		edit(&r)
		if _, err := s.Reverse(t.Context(), r, "svc"); err != nil {
			wantCode(t, err, credit.CodeInvalid)
		} else {
			t.Errorf("%s: reversed", name)
		}
	}
}

func TestACheckChangesNothing(t *testing.T) {
	t.Parallel()
	s, _, l := open(t)
	q, reasons, err := s.Check(t.Context(), spend.Ask{OrgID: "acme", Feature: "bulk-pricing"})
	if err != nil || q.Credits != 100 || len(reasons) != 0 {
		t.Errorf("%+v, %v, %v", q, reasons, err)
	}
	if _, err := s.Debit(t.Context(), request("e", "custom-query", 10), "svc"); err != nil {
		t.Fatal(err)
	}
	if _, reasons, err = s.Check(t.Context(), spend.Ask{OrgID: "acme", Feature: "bulk-pricing"}); err != nil || len(reasons) != 1 || reasons[0].Code() != credit.CodeInsufficient {
		t.Errorf("%v, %v", reasons, err)
	}
	_, _, err = s.Check(t.Context(), spend.Ask{OrgID: "nobody", Feature: "bulk-pricing"})
	wantCode(t, err, credit.CodeUnknownOrg)
	if es, err := l.Entries(t.Context(), "acme", time.Time{}, 10); err != nil || len(es) != 2 {
		t.Errorf("%d entries (%v), want the grant and the debit", len(es), err)
	}
}
