package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	prices "github.com/fluxori/ai-credits/shared/catalogue"
)

// changed takes the catalogue in force, as an operator does, and writes it to a file with a change.
func (o *operator) changed(change func(*prices.Document)) (file string) {
	o.t.Helper()
	var d prices.Document
	if err := json.Unmarshal([]byte(o.must("catalogue", "document")), &d); err != nil {
		o.t.Fatal(err)
	}
	change(&d)
	data, err := json.Marshal(d)
	if err != nil {
		o.t.Fatal(err)
	}
	file = filepath.Join(o.t.TempDir(), "catalogue.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		o.t.Fatal(err)
	}
	return file
}

func TestTheCatalogueIsChangedStepByStep(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	admin := o.open("shoppers", "Shoppers")
	rand := o.api("GET", "/account/catalogue?country=ZA", admin, "")
	golden(t, "catalogue", o.must("catalogue", "show", "-version", "1"))

	t.Run("all faults are told at once", func(t *testing.T) { //nolint:paralleltest // step by step
		file := o.changed(func(d *prices.Document) {
			d.Packages = append(d.Packages, d.Packages[0])
			d.Packages[1].Prices["ZAR"] = 0
			delete(d.Packages[2].Prices, "EUR")
		})
		for _, verb := range []string{"propose", "publish"} {
			if code := o.run("yes", "catalogue", verb, file); code != exitFailed || o.out.Len() > 0 {
				t.Errorf("%s: %d %s", verb, code, &o.out)
			}
			faults, _, _ := strings.Cut(o.err.String(), "[request")
			golden(t, "catalogue-faults", faults)
		}
	})
	t.Run("what would break is not published", func(t *testing.T) { //nolint:paralleltest // step by step
		file := o.changed(func(d *prices.Document) { d.Features = d.Features[1:] })
		for _, verb := range []string{"propose", "publish"} {
			if code := o.run("yes", "catalogue", verb, file); code != exitFailed || !strings.Contains(o.out.String(), `breaks: features drop "market-trend-report"`) {
				t.Errorf("%s: %d %s%s", verb, code, &o.out, &o.err)
			}
		}
	})
	dearer := o.changed(func(d *prices.Document) { d.Packages[0].Prices["USD"] = 649 })
	t.Run("a change is shown, and asked about", func(t *testing.T) { //nolint:paralleltest // step by step
		if code := o.run("no", "catalogue", "publish", dearer); code != exitFailed || !strings.Contains(o.err.String(), "not confirmed") {
			t.Errorf("%d %s", code, &o.err)
		}
		golden(t, "catalogue-proposal", o.must("catalogue", "propose", dearer))
		if p := o.object("catalogue", "propose", dearer); p["version"] != 2.0 || p["published"] != false {
			t.Errorf("%v", p)
		}
	})
	t.Run("of two operators at once one publishes", func(t *testing.T) { //nolint:paralleltest // step by step
		files := []string{dearer, o.changed(func(d *prices.Document) { d.Packages[0].Prices["USD"] = 699 })}
		var wg sync.WaitGroup
		codes, said := make([]int, len(files)), make([]string, len(files))
		for i, file := range files {
			one := operatorOf(t, o.system)
			wg.Go(func() { codes[i], said[i] = one.run("yes", "catalogue", "publish", file), one.err.String() })
		}
		wg.Wait()
		won := 0
		for i := range files {
			switch {
			case codes[i] == exitDone:
				won++
				if code := o.run("", "catalogue", "publish", files[i]); code != exitDone || !strings.Contains(o.out.String(), "is published already") {
					t.Errorf("the same again: %d %s%s", code, &o.out, &o.err)
				}
			case !strings.Contains(said[i], "invalid_request (400)"):
				t.Errorf("operator %d: %d %s", i, codes[i], said[i])
			default: // and later it is told why
				if code := o.run("yes", "catalogue", "publish", files[i], "-yes"); code != exitFailed || !strings.Contains(o.err.String(), "made from version 1, and version 2 is in force") {
					t.Errorf("operator %d later: %d %s", i, code, &o.err)
				}
			}
		}
		if now := o.object("catalogue", "show"); won != 1 || now["version"] != 2.0 || now["published_by"] != "creditsctl" {
			t.Errorf("%d were published; in force is %v", won, now)
		}
	})
	t.Run("dollars do not move rand", func(t *testing.T) { //nolint:paralleltest // step by step
		var now map[string]any
		o.eventually("the new prices", func() bool {
			now = o.api("GET", "/account/catalogue?country=ZA", admin, "")
			return now["version"] == 2.0
		})
		rand["version"] = 2.0
		was, err := json.Marshal(rand)
		if err != nil {
			t.Fatal(err)
		}
		if is, err := json.Marshal(now); err != nil || string(is) != string(was) {
			t.Errorf("South Africa's prices were\n%s\nand are\n%s", was, is)
		}
	})
}

func TestAPromotionIsMadeAndChanged(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	file := filepath.Join(t.TempDir(), "spring.json")
	terms := func(credits string) {
		t.Helper()
		text := `{"name":"Spring","on":"redemption","credits":` + credits + `,"life_days":90,"starts_at":"2026-01-01T00:00:00Z","ends_at":"2036-01-01T00:00:00Z","total_max":1000,"per_org_max":1}`
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if code := o.run("", "promotions", "get", "SPRING-CTL"); code != exitFailed || !strings.Contains(o.err.String(), "not_found (404)") {
		t.Errorf("%d %s", code, &o.err)
	}
	terms("50")
	if code := o.run("no", "promotions", "put", "SPRING-CTL", file); code != exitFailed || !strings.Contains(o.err.String(), "This makes the promotion SPRING-CTL") {
		t.Errorf("%d %s", code, &o.err)
	}
	if code := o.run("yes", "promotions", "put", "SPRING-CTL", file); code != exitDone {
		t.Fatalf("%d %s", code, &o.err)
	}
	golden(t, "promotion", o.out.String())
	terms("60")
	if code := o.run("yes", "promotions", "put", "SPRING-CTL", file); code != exitDone || !strings.Contains(o.err.String(), "This changes 1 terms") {
		t.Errorf("%d %s", code, &o.err)
	}
	if p := o.object("promotions", "get", "SPRING-CTL"); p["credits"] != 60.0 || p["revision"] != 2.0 {
		t.Errorf("%v", p)
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := o.run("yes", "promotions", "put", "SPRING-CTL", file); code != exitFailed || !strings.Contains(o.err.String(), "is no JSON") {
		t.Errorf("%d %s", code, &o.err)
	}
}
