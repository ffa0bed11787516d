package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// settled checks, with all faults over and everything delivered, that what is stored is what was told to callers, and what Stripe has.
func (s *simulation) settled(ctx context.Context) error {
	payments := s.w.payments(ctx)
	redeemed := 0
	for _, org := range s.orgs {
		l, err := readLedger(ctx, s.w, org)
		if err != nil {
			return err
		}
		j, err := replay(l)
		if err != nil {
			return err
		}
		entries := map[string]*entryDoc{}
		for i := range l.entries {
			e := &l.entries[i]
			entries[fmt.Sprint(e.System, " ", e.Key)] = e
			if strings.HasPrefix(e.Key, "promotion:"+promotion+":") && e.System {
				redeemed++
			}
		}
		for _, check := range []func() string{
			func() string { return s.told(org, j, entries) },
			func() string { return s.asked(org, l) },
			func() string { return s.paid(org, j, entries, payments) },
			func() string { return s.subscribed(ctx, org, j, entries) },
			func() string { return s.warned(org, l, j) },
		} {
			if broken := check(); broken != "" {
				return &verdict{org: org, rule: broken}
			}
		}
	}
	if redeemed > totalMax {
		return &verdict{org: "all", rule: fmt.Sprintf("the promotion was given %d times; its cap is %d", redeemed, totalMax)}
	}
	return s.emptied(ctx)
}

// told compares what callers know with the entries.
func (s *simulation) told(org string, j *judge, entries map[string]*entryDoc) string {
	kinds := map[string]string{"debit": "debit", "usage": "debit", "hold": "hold", "reverse": "reversal", "adjust": "adjustment"}
	for _, o := range s.history.of(org) {
		if o.Code == wrong {
			return fmt.Sprintf("operation %d, %s %s: %s", o.N, o.Kind, o.ID, o.Detail)
		}
		if o.Kind == "capture" {
			e := entries["true capture:"+o.Subject]
			if o.Outcome == done && o.Detail == "" && (e == nil || e.Credits != o.Credits) {
				return fmt.Sprintf("operation %d: the capture of %s with %d was acknowledged, and is not in the ledger", o.N, o.Subject, o.Credits)
			}
			if o.Outcome == refused && e != nil {
				return fmt.Sprintf("operation %d: the capture of %s was refused (%s), and is in the ledger", o.N, o.Subject, o.Code)
			}
			continue
		}
		kind, ok := kinds[o.Kind]
		if !ok {
			continue
		}
		e := entries["false "+o.ID]
		switch {
		case o.Outcome == done && e == nil:
			return fmt.Sprintf("operation %d: %s %s was acknowledged, and is lost", o.N, o.Kind, o.ID)
		case o.Outcome == refused && e != nil:
			return fmt.Sprintf("operation %d: %s %s was refused (%s), and is in the ledger", o.N, o.Kind, o.ID, o.Code)
		case e == nil:
		case e.Kind != kind:
			return fmt.Sprintf("operation %d: %s %s is a %s in the ledger", o.N, o.Kind, o.ID, e.Kind)
		case o.Credits != 0 && o.Kind != "reverse" && e.Credits != o.Credits:
			return fmt.Sprintf("operation %d: %s %s was of %d credits; the ledger has %d", o.N, o.Kind, o.ID, o.Credits, e.Credits)
		case o.Feature != "" && (e.Feature != o.Feature || e.User != o.User):
			return fmt.Sprintf("operation %d: %s %s was %s for %q; the ledger has %s for %q", o.N, o.Kind, o.ID, o.Feature, o.User, e.Feature, e.User)
		}
	}
	for id, h := range j.holds {
		if !h.settled && s.w.now().After(h.until) {
			return fmt.Sprintf("hold %s ended at %s, and stands", id, h.until)
		}
	}
	return ""
}

// asked looks for entries that nobody asked for.
func (s *simulation) asked(org string, l *ledger) string {
	known := map[string]bool{}
	for _, o := range s.history.of(org) {
		known[o.ID] = true
	}
	for i := range l.entries {
		if e := &l.entries[i]; !e.System && !known[e.Key] {
			return fmt.Sprintf("entry %d, %s %s: nobody of this organisation asked for it", e.Seq, e.Kind, e.Key)
		}
	}
	return ""
}

// paid compares an organisation's purchases with what Stripe has of them.
func (s *simulation) paid(org string, j *judge, entries map[string]*entryDoc, payments []payment) string {
	credits := map[string]int64{}
	for _, o := range s.history.of(org) {
		if o.Kind == "purchase" && o.Outcome == done {
			credits[o.Subject] = o.Credits
		}
	}
	purchases := 0
	for _, g := range j.lots {
		if g.Source == "purchase" {
			purchases++
		}
	}
	for _, p := range payments {
		if p.org != org {
			continue
		}
		purchases--
		e := entries["true grant:"+p.intent]
		if e == nil || e.Born == nil {
			return fmt.Sprintf("payment %s is paid, and not credited", p.intent)
		}
		g := j.lots[e.Born.ID]
		if g.Granted != credits[p.reference] {
			return fmt.Sprintf("payment %s brought %d credits; %d were bought", p.intent, g.Granted, credits[p.reference])
		}
		target := min(g.Granted, (p.refunded+p.lost)*g.Granted/p.paid)
		if g.moved != target {
			return fmt.Sprintf("of payment %s (%d paid, %d refunded, %d lost) %d credits of %d are clawed back; it should be %d",
				p.intent, p.paid, p.refunded, p.lost, g.moved, g.Granted, target)
		}
		if g.Frozen != p.disputed {
			return fmt.Sprintf("payment %s: disputed is %t, frozen is %t", p.intent, p.disputed, g.Frozen)
		}
	}
	if purchases != 0 {
		return fmt.Sprintf("%d purchases more in the ledger than at Stripe", purchases)
	}
	return ""
}

// subscribed compares an organisation's subscription credits with the invoices that Stripe has as paid.
func (s *simulation) subscribed(ctx context.Context, org string, j *judge, entries map[string]*entryDoc) string {
	type line struct {
		ID        string `json:"id"`
		Amount    int64  `json:"amount"`
		Proration bool   `json:"proration"`
	}
	type invoice struct {
		ID    string `json:"id"`
		Lines struct {
			Data []line `json:"data"`
		} `json:"lines"`
	}
	customer := s.customers[org]
	if customer == "" {
		return ""
	}
	grants := 0
	for _, g := range j.lots {
		if g.Source == "subscription" {
			grants++
		}
	}
	for _, in := range stripeList[invoice](ctx, s.w, "/v1/invoices", url.Values{"customer": {customer}, "status": {"paid"}}) {
		for _, ln := range in.Lines.Data {
			if ln.Proration || ln.Amount != planAmount {
				continue
			}
			grants--
			if entries["true grant:"+in.ID+":"+ln.ID] == nil {
				return fmt.Sprintf("line %s of invoice %s is paid, and not credited", ln.ID, in.ID)
			}
		}
	}
	if grants != 0 {
		return fmt.Sprintf("%d subscription grants more than paid lines", grants)
	}
	return ""
}

// warned compares the low-balance alerts with the crossings.
func (s *simulation) warned(org string, l *ledger, j *judge) string {
	j.low.close()
	ids := map[string]bool{}
	for _, raw := range s.w.heard.of("credit-alerts") {
		var alert struct {
			ID string `json:"id"`
		}
		must(json.Unmarshal(raw, &alert))
		if strings.HasPrefix(alert.ID, "low:"+org+":") {
			ids[alert.ID] = true
		}
	}
	if l.wallet.Low.N != j.low.n {
		return fmt.Sprintf("%d low-balance alerts were raised; the entries have %d crossings", l.wallet.Low.N, j.low.n)
	}
	for n := int64(1); n <= j.low.n; n++ {
		if !ids[fmt.Sprintf("low:%s:%d", org, n)] {
			return fmt.Sprintf("low-balance alert %d of %d was never published", n, j.low.n)
		}
	}
	if int64(len(ids)) != j.low.n {
		return fmt.Sprintf("%d low-balance alerts were published; the entries have %d crossings", len(ids), j.low.n)
	}
	return ""
}

// emptied checks that nothing waits any more, and that nothing was put aside but what had to be.
func (s *simulation) emptied(ctx context.Context) error {
	type rest struct {
		ID string `firestore:"id"`
	}
	outbox, err := readAll[rest](ctx, s.w.store.Collection("outbox"))
	if err != nil {
		return err
	}
	if len(outbox) > 0 {
		return &verdict{org: "all", rule: fmt.Sprintf("%d events wait in the outbox", len(outbox))}
	}
	type letter struct {
		Code string `firestore:"code"`
		Data []byte `firestore:"data"`
	}
	letters, err := readAll[letter](ctx, s.w.store.Collection("deadLetters"))
	if err != nil {
		return err
	}
	for _, l := range letters {
		if !strings.Contains(string(l.Data), `"hold_id"`) || l.Code != "hold_settled" {
			return &verdict{org: "all", rule: fmt.Sprintf("a message was put aside (%s): %s", l.Code, l.Data)}
		}
	}
	quarantined, err := readAll[letter](ctx, s.w.store.Collection("quarantine"))
	if err != nil {
		return err
	}
	if len(quarantined) > 0 {
		return &verdict{org: "all", rule: fmt.Sprintf("%d events of Stripe's are in quarantine", len(quarantined))}
	}
	return nil
}
