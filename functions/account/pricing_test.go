package account

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/fluxori/ai-credits/shared/catalogue"
)

// seedWith is the seed, in force in these tests, with a change: what an operator sends.
func seedWith(t testing.TB, change func(*catalogue.Document)) string {
	t.Helper()
	seed, err := catalogue.Seed()
	if err != nil {
		t.Fatal(err)
	}
	document := seed.Document()
	change(&document)
	data, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestACatalogueIsLookedAtProposedAndPublished(t *testing.T) {
	t.Parallel()
	s := start(t)
	platform := s.platform(t)
	first := s.must(t, platform, http.MethodGet, "/operations/catalogue", "")
	if first.body["in_force"] != true || first.body["version"] != 1.0 || first.body["published_by"] != nil {
		t.Errorf("%s", first.raw)
	}
	dearer := seedWith(t, func(d *catalogue.Document) { d.Packages[0].Prices["USD"] = 649 })
	p := s.must(t, platform, http.MethodPost, "/operations/catalogue/proposals", dearer)
	if want := `"changes":[{"place":"packages/credits-100/prices/USD","before":"599","after":"649"}],"broken":[],"published":false`; !strings.Contains(p.raw, want) {
		t.Errorf("%s, want %s", p.raw, want)
	}
	if got := s.must(t, platform, http.MethodGet, "/operations/catalogue", ""); got.body["version"] != 1.0 {
		t.Errorf("a proposal was put in force: %s", got.raw)
	}
	for i, want := range []int{http.StatusCreated, http.StatusOK} {
		if got := s.must(t, platform, http.MethodPost, "/operations/catalogue", dearer); got.status != want || got.body["version"] != 2.0 || got.body["published"] != true {
			t.Errorf("time %d: %d %s", i, got.status, got.raw)
		}
	}
	now := s.must(t, platform, http.MethodGet, "/operations/catalogue", "")
	if now.body["version"] != 2.0 || now.body["published_by"] == nil {
		t.Errorf("%s", now.raw)
	}
	if old := s.must(t, platform, http.MethodGet, "/operations/catalogue?version=1", ""); old.body["in_force"] != false {
		t.Errorf("%s", old.raw)
	}
	if got := s.call(t, platform, http.MethodGet, "/operations/catalogue?version=9", ""); got.code() != "not_found" {
		t.Errorf("%d %s", got.status, got.raw)
	}
	if got := s.call(t, platform, http.MethodGet, "/operations/catalogue?version=x", ""); got.code() != "invalid_request" {
		t.Errorf("%d %s", got.status, got.raw)
	}
}

func TestACatalogueThatIsWrongIsRefusedWithAllThatIs(t *testing.T) {
	t.Parallel()
	s := start(t)
	platform := s.platform(t)
	wrong := seedWith(t, func(d *catalogue.Document) {
		d.Packages = append(d.Packages, d.Packages[0])
		d.Packages[1].Prices["ZAR"] = 0
		delete(d.Packages[2].Prices, "EUR")
	})
	broken := seedWith(t, func(d *catalogue.Document) { d.Features, d.CountryCurrencies["ZA"] = d.Features[1:], "USD" })
	for path, c := range map[string]struct {
		body string
		want int
	}{
		"/operations/catalogue/proposals": {wrong, 3}, "/operations/catalogue": {broken, 2},
	} {
		got := s.call(t, platform, http.MethodPost, path, c.body)
		problems, _ := got.body["problems"].([]any)
		if got.code() != "invalid_request" || len(problems) != c.want {
			t.Errorf("%s: %d %s, want %d problems", path, got.status, got.raw, c.want)
		}
	}
	if got := s.must(t, platform, http.MethodPost, "/operations/catalogue/proposals", broken); fmt.Sprint(got.body["broken"]) == "[]" {
		t.Errorf("what would break is not told: %s", got.raw)
	}
	large := strings.Repeat(" ", catalogue.DocumentMax) + "{}"
	if got := s.call(t, platform, http.MethodPost, "/operations/catalogue", large); got.code() != "too_large" {
		t.Errorf("%d %s", got.status, got.raw)
	}
	if got := s.call(t, platform, http.MethodPost, "/operations/catalogue", "{"); got.code() != "invalid_request" {
		t.Errorf("%d %s", got.status, got.raw)
	}
}

// TestOfTwoOperatorsWhoPublishAtOnceOneDoes has both change the same version.
func TestOfTwoOperatorsWhoPublishAtOnceOneDoes(t *testing.T) {
	t.Parallel()
	s := start(t)
	platform := s.platform(t)
	bodies := make([]string, 4)
	answers := make([]answer, len(bodies))
	var wg sync.WaitGroup
	for i := range bodies {
		bodies[i] = seedWith(t, func(d *catalogue.Document) { d.Packages[0].Prices["USD"] = int64(700 + i) })
		wg.Go(func() { answers[i] = s.call(t, platform, http.MethodPost, "/operations/catalogue", bodies[i]) })
	}
	wg.Wait()
	won := 0
	for i, a := range answers {
		switch {
		case a.status == http.StatusCreated:
			won++
			now := s.must(t, platform, http.MethodGet, "/operations/catalogue", "")
			if want := fmt.Sprintf(`"USD":%d`, 700+i); now.body["version"] != 2.0 || !strings.Contains(now.raw, want) {
				t.Errorf("operator %d was told it is in force, and it is %s", i, now.raw)
			}
		case a.code() != "invalid_request" || a.body["current"] != 2.0:
			t.Errorf("operator %d: %d %s", i, a.status, a.raw)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d were published", won, len(bodies))
	}
}
