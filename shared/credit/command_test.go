package credit_test

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
)

func TestMalformedCommandsAreTurnedAway(t *testing.T) {
	t.Parallel()
	grant := func(edit func(*credit.NewGrant)) credit.NewGrant {
		c := subscribe("1", 10, 0, 10)
		edit(&c)
		return c
	}
	zone := func(z string) credit.Configure { return credit.Configure{Zone: &z} }
	for _, tt := range []struct {
		name    string
		command credit.Command
		refusal bool // told to the caller; otherwise a mistake of our own
	}{
		{"no credits", debit("e", 0), true},
		{"negative credits", debit("e", -1), true},
		{"too many credits", debit("e", credit.MaxCredits+1), true},
		{"no event id", debit("", 1), true},
		{"an event id of 129 bytes", debit(strings.Repeat("x", 129), 1), true},
		{"an event id with a control character", debit("a\nb", 1), true},
		{"an event id that is not UTF-8", debit("a\xff", 1), true},
		{"no feature", credit.Debit{EventID: "e", Credits: 1}, true},
		{"a user id of 129 bytes", credit.Debit{EventID: "e", Credits: 1, Work: credit.Work{Feature: "f", User: strings.Repeat("x", 129)}}, true},
		{"a team id with a control character", credit.Debit{EventID: "e", Credits: 1, Work: credit.Work{Feature: "f", Team: "\x00"}}, true},
		{"metadata over 2 KiB", credit.Debit{EventID: "e", Credits: 1, Work: credit.Work{Feature: "f"}, Metadata: strings.Repeat("x", 2049)}, true},
		{"metadata that is not UTF-8", credit.Debit{EventID: "e", Credits: 1, Work: credit.Work{Feature: "f"}, Metadata: "{\"a\":\"\xff\"}"}, true},
		{"work that occurred before the year 1", credit.Debit{EventID: "e", Credits: 1, Work: credit.Work{Feature: "f", OccurredAt: time.Date(0, 12, 31, 0, 0, 0, 0, time.UTC)}}, true},
		{"work that occurred in UTC after the year 9999", credit.Debit{EventID: "e", Credits: 1, Work: credit.Work{
			Feature: "f", OccurredAt: time.Date(9999, 12, 31, 23, 0, 0, 0, time.FixedZone("", -2*3600)),
		}}, true},
		{"an adjustment that ends after the year 9999", credit.Adjust{EventID: "a", Credits: 1, ExpiresAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, true},
		{"a grant that is usable after the year 9999", grant(func(c *credit.NewGrant) { c.Terms.UsableUntil = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }), true},
		{"a reason that is not UTF-8", credit.Adjust{EventID: "a", Credits: 1, Reason: "\xff"}, true},
		{"an adjustment of nothing", adjust("a", 0), true},
		{"an adjustment of the smallest number", adjust("a", math.MinInt64), true},
		{"a reason over 1 KiB", credit.Adjust{EventID: "a", Credits: 1, Reason: strings.Repeat("x", 1025)}, true},
		{"a reversal of less than nothing", reverse("r", "e", -1), true},
		{"a reversal of too many credits", reverse("r", "e", credit.MaxCredits+1), true},
		{"a reversal of no debit", reverse("r", "", 1), true},
		{"a freeze with too long a reason", credit.FreezeWallet{Frozen: true, Reason: strings.Repeat("x", 1025)}, true},
		{"a renewal awaited until before the period's end", credit.AwaitRenewal{Items: []string{"si"}, End: hour(2), Until: hour(1)}, false},
		{"a renewal of no items", credit.AwaitRenewal{End: hour(1), Until: hour(1)}, false},
		{"a renewal of a nameless item", credit.AwaitRenewal{Items: []string{""}, End: hour(1), Until: hour(1)}, false},
		{"a renewal of a period that ends before it begins", credit.AwaitRenewal{Items: []string{"si"}, Start: hour(1), End: hour(1), Until: hour(1)}, false},
		{"a renewal of no period", credit.AwaitRenewal{Items: []string{"si"}}, false},
		{"a renewal with too long a reason", credit.AwaitRenewal{Items: []string{"si"}, End: hour(1), Until: hour(1), Reason: strings.Repeat("x", 1025)}, true},
		{"a grant's freeze with too long a reason", credit.FreezeGrant{Reason: strings.Repeat("x", 1025)}, true},
		{"an unknown time zone", zone("Mars/Olympus"), true},
		{"the machine's time zone", zone("Local"), true},
		{"no time zone", zone(""), true},
		{"a negative threshold", alertAt(-1), true},
		{"a negative ceiling", ceiling(-1), true},
		{"a grant of nothing", grant(func(c *credit.NewGrant) { c.Terms.Granted = 0 }), true},
		{"a grant under a caller's key", grant(func(c *credit.NewGrant) { c.Key.System = false }), false},
		{"a grant without a key", grant(func(c *credit.NewGrant) { c.Key.ID = "" }), false},
		{"a grant of unknown source", grant(func(c *credit.NewGrant) { c.Terms.Source = "gift" }), false},
		{"a purchase that expires", grant(func(c *credit.NewGrant) { c.Terms.Source = credit.Purchase }), false},
		{"a promotion with a grace", grant(func(c *credit.NewGrant) { c.Terms.Source = credit.Promotion }), false},
		{"a grace that ends before the end", grant(func(c *credit.NewGrant) { c.Terms.UsableUntil = hour(9) }), false},
		{"a grace without an end", grant(func(c *credit.NewGrant) { c.Terms.ExpiresAt = time.Time{} }), false},
		{"an end before the start", grant(func(c *credit.NewGrant) { c.Terms.EffectiveAt = hour(10) }), false},
		{"an end within the start's microsecond", grant(func(c *credit.NewGrant) {
			c.Terms.EffectiveAt = hour(10).Add(-time.Nanosecond)
			c.Terms.ExpiresAt = hour(10).Add(-2)
		}), false},
		{"a clawback of less than nothing", refundOf("p", -1, 100), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := opened(t)
			before := b.state.Wallet
			_, err := b.do(tt.command, day)
			var refusal *credit.Refusal
			if err == nil || errors.As(err, &refusal) != tt.refusal {
				t.Errorf("%+v gives %v", tt.command, err)
			}
			if tt.refusal && refusal.Code() != credit.CodeInvalid {
				t.Errorf("%+v is refused as %s", tt.command, refusal.Code())
			}
			if !reflect.DeepEqual(b.state.Wallet, before) {
				t.Errorf("%+v changed the wallet to %+v", tt.command, b.state.Wallet)
			}
		})
	}
}

func TestAnyPrintableEventIDIsTaken(t *testing.T) {
	t.Parallel()
	docs := map[string]string{}
	for _, id := range []string{"e", "a/b", "..", "__x__", "grant:pi_1", strings.Repeat("x", 128), "ü", " "} {
		if err := credit.Check(debit(id, 1)); err != nil {
			t.Errorf("%q: %v", id, err)
		}
		for _, k := range []credit.Key{credit.CallerKey(id), credit.SystemKey(id)} {
			doc := k.Doc()
			if other, taken := docs[doc]; taken || strings.ContainsAny(doc, "/.") || len(doc) != 42 {
				t.Errorf("%+v is kept as %q, as is %q", k, doc, other)
			}
			docs[doc] = id
		}
	}
}

func TestContentHashTellsContentsApart(t *testing.T) {
	t.Parallel()
	n, m := int64(1), int64(2)
	base := credit.Content{Kind: credit.KindDebit, Org: "o", User: "u", Team: "t", Feature: "f", Credits: &n}
	seen := map[string]credit.Content{base.Hash(): base}
	for _, edit := range []func(*credit.Content){
		func(c *credit.Content) { c.Kind = credit.KindAdjustment },
		func(c *credit.Content) { c.Org = "p" },
		func(c *credit.Content) { c.User = "v" },
		func(c *credit.Content) { c.Team = "" },
		func(c *credit.Content) { c.User, c.Team = "ut", "" },
		func(c *credit.Content) { c.Feature = "g" },
		func(c *credit.Content) { c.Credits = &m },
		func(c *credit.Content) { c.Credits = nil },
		func(c *credit.Content) { c.Credits, c.Units = nil, &n },
		func(c *credit.Content) { c.Units = &n },
		func(c *credit.Content) { c.Subject = "e" },
	} {
		c := base
		edit(&c)
		if other, taken := seen[c.Hash()]; taken {
			t.Errorf("%+v and %+v have one hash", c, other)
		}
		seen[c.Hash()] = c
	}
	same := int64(1)
	again := base
	again.Credits = &same
	if again.Hash() != base.Hash() {
		t.Error("equal contents have two hashes")
	}
}

func TestOnlyCommandsThatLeaveAnEntryOfTheirOwnAreKeyed(t *testing.T) {
	t.Parallel()
	content := credit.Content{Kind: credit.KindDebit}
	for _, tt := range []struct {
		command credit.Command
		key     credit.Key
		hash    string
	}{
		{credit.Debit{EventID: "e", Content: content}, credit.CallerKey("e"), content.Hash()},
		{credit.Adjust{EventID: "e", Content: content}, credit.CallerKey("e"), content.Hash()},
		{credit.Reverse{EventID: "e", Content: content}, credit.CallerKey("e"), content.Hash()},
		{buy("p", 1), credit.SystemKey("grant", "p"), ""},
		{refund("p", 1), credit.Key{}, ""},
		{freeze("p", true), credit.Key{}, ""},
		{credit.FreezeWallet{}, credit.Key{}, ""},
		{credit.Configure{}, credit.Key{}, ""},
	} {
		key, hash, ok := credit.KeyOf(tt.command)
		if key != tt.key || hash != tt.hash || ok != (tt.key != credit.Key{}) {
			t.Errorf("%T has the key %+v, %q, %t", tt.command, key, hash, ok)
		}
	}
}

func TestEntriesOfTargetsAreNumberedPerSubject(t *testing.T) {
	t.Parallel()
	p := paidBy("p")
	b := play(t, 0, buy("p", 100), refund("p", 10), freeze("p", true), refund("p", 20), freeze("p", false), refund("p", 0),
		credit.FreezeWallet{Frozen: true}, credit.FreezeWallet{}, usage("e", 200), adjust("a", 100))
	var ids []string
	for _, e := range b.entries {
		if e.Key.System {
			ids = append(ids, e.Key.ID)
		}
	}
	want := []string{
		"grant:p", "clawback:" + p + ":1", "freeze:" + p + ":2", "clawback:" + p + ":3", "thaw:" + p + ":4", "restore:" + p + ":5",
		"freeze:wallet:1", "thaw:wallet:2", "repayment:acme:1",
	}
	if !reflect.DeepEqual(ids, want) {
		t.Errorf("the system's keys are %v; want %v", ids, want)
	}
}

func TestAWalletIsBounded(t *testing.T) {
	t.Parallel()
	w := credit.NewWallet(org, "UTC")
	w.Debt = credit.MaxBalance - 5
	next, _, err := credit.Decide(credit.NewState(w), usage("e", 5), day)
	if err != nil {
		t.Fatal(err)
	}
	var refusal *credit.Refusal
	if _, _, err = credit.Decide(next, usage("f", 1), day); !errors.As(err, &refusal) {
		t.Errorf("beyond its bound a wallet gives %v", err)
	}
}

func TestSettingsChangeOnlyWhatIsNamed(t *testing.T) {
	t.Parallel()
	zone := "Europe/Amsterdam"
	b := play(t, 0, alertAt(10), ceiling(20), credit.Configure{Zone: &zone})
	if w := b.wallet; w.Zone != zone || !w.Low.On || w.Low.Threshold != 10 || w.DebtAlerts.Ceiling != 20 || w.Seq != 0 {
		t.Errorf("the wallet is %+v", w)
	}
}

func TestUnknownCommandIsAnError(t *testing.T) {
	t.Parallel()
	type stranger struct{ credit.Debit }
	if _, _, err := credit.Decide(credit.NewState(credit.NewWallet(org, "UTC")), stranger{debit("e", 1)}, day); err == nil {
		t.Error("a command of no known kind is done")
	}
}

func TestMissingSaysWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	b := play(t, 0, buy("p", 10))
	for _, tt := range []struct {
		command credit.Command
		want    credit.Missing
	}{
		{refund("q", 1), credit.Missing{Grants: []string{paidBy("q")}}},
		{freeze("q", true), credit.Missing{Grants: []string{paidBy("q")}}},
		{refund("p", 1), credit.Missing{Linked: paidBy("p")}},
		{reverse("r", "e", 0), credit.Missing{Debit: "e"}},
		{subscribeKeyed("1", "si_7"), credit.Missing{Item: "si_7"}},
		{await(1, 1), credit.Missing{Item: "si"}},
	} {
		command, want := tt.command, tt.want
		_, _, err := credit.Decide(b.state, command, day)
		var missing *credit.Missing
		if !errors.As(err, &missing) || !reflect.DeepEqual(*missing, want) {
			t.Errorf("%T gives %v; want %+v", command, err, want)
		}
		if err != nil && !strings.Contains(err.Error(), fmt.Sprintf("%+v", want)) {
			t.Errorf("%v does not say what is missing", err)
		}
	}
}

func subscribeKeyed(line, of string) credit.NewGrant { return item(subscribe(line, 1, 0, 1), of) }
