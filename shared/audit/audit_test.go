package audit

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/ledger"
)

const hour, day = time.Hour, 24 * time.Hour

// records is a log that may be read while it is written.
type records struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *records) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(b)
}

func (r *records) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// system is a database with a ledger, its auditor and its clock.
type system struct {
	*engine.Engine
	ledger  *ledger.Ledger
	auditor *Auditor
	log     *records
	micros  atomic.Int64
}

func open(t testing.TB, e *engine.Engine) *system {
	t.Helper()
	s := &system{Engine: e, log: &records{}}
	s.micros.Store(time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC).UnixMicro())
	s.ledger = s.process(t)
	var err error
	s.auditor, err = New(Options{Documents: e.Client, Ledger: s.process(t), Log: slog.New(slog.NewJSONHandler(s.log, nil)), Now: s.now})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *system) now() time.Time          { return time.UnixMicro(s.micros.Load()).UTC() }
func (s *system) advance(d time.Duration) { s.micros.Add(d.Microseconds()) }

// process is a ledger of its own on the database.
func (s *system) process(t testing.TB) *ledger.Ledger {
	t.Helper()
	l, err := ledger.New(s.Raw, s.Database(), ledger.Options{Now: s.now, Deadline: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (s *system) do(t testing.TB, org string, commands ...credit.Command) {
	t.Helper()
	for _, c := range commands {
		s.advance(time.Minute)
		if _, err := s.ledger.Do(t.Context(), org, c); err != nil {
			t.Fatalf("%T of %s: %v", c, org, err)
		}
	}
}

// audit looks at a wallet.
func (s *system) audit(t testing.TB, org string, whole bool) Report {
	t.Helper()
	r, err := s.auditor.Wallet(t.Context(), org, Request{Whole: whole})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// agrees fails unless a wallet's figures agree.
func (s *system) agrees(t testing.TB, org string, whole bool) Report {
	t.Helper()
	r := s.audit(t, org, whole)
	if r.Finding != nil || r.More {
		t.Fatalf("%+v: %v\n%s", r, r.Finding, s.log)
	}
	return r
}

func ptr[T any](v T) *T { return &v }

func purchase(key string, credits int64) credit.NewGrant {
	return credit.NewGrant{Key: credit.SystemKey("grant", key), Terms: credit.Terms{Source: credit.Purchase, Granted: credits, Payment: key}}
}

func bought(key string) string { return credit.GrantID(credit.SystemKey("grant", key)) }

func work(user string) credit.Work {
	return credit.Work{Feature: "custom-query", Team: "sales", User: user, PriceVersion: 1}
}

func content(org string, kind credit.Kind, credits int64) credit.Content {
	return credit.Content{Kind: kind, Org: org, Feature: "custom-query", Credits: &credits}
}

func debit(org, id string, credits int64) credit.Debit {
	return credit.Debit{EventID: id, Credits: credits, Content: content(org, credit.KindDebit, credits), Work: work("sipho")}
}

func hold(org, id string, credits int64) credit.PlaceHold {
	return credit.PlaceHold{EventID: id, Credits: credits, Content: content(org, credit.KindHold, credits), Work: work("lerato"), TTL: 15 * time.Minute}
}

// live gives an organisation a wallet with some of everything behind it: purchases, promotions that start later, limits, debits, holds in
// each state, a reversal, a dispute, a refund and its failure, debt and its repayment, an expiry.
func (s *system) live(t testing.TB, org string) {
	t.Helper()
	s.do(t, org, credit.Configure{Zone: ptr("Africa/Johannesburg"), LowBalance: &credit.Threshold{On: true, Credits: 50}})
	s.do(t, org, purchase("pi_1", 1000), purchase("pi_2", 200))
	s.do(t, org, credit.SetLimits{Changes: []credit.LimitChange{
		{Subject: credit.Subject{Scope: credit.ScopeOrganisation}, Limit: &credit.Limit{Credits: 1_000_000_000}},
		{Subject: credit.Subject{Scope: credit.ScopeUser, ID: "sipho"}, Limit: &credit.Limit{Credits: 900_000_000}},
	}})
	s.do(t, org,
		credit.NewGrant{Key: credit.SystemKey("promotion", "soon", "1"), Terms: credit.Terms{
			Source: credit.Promotion, Granted: 40, EffectiveAt: s.now().Add(3 * hour), ExpiresAt: s.now().Add(30 * hour), UsableUntil: s.now().Add(30 * hour),
		}},
		debit(org, "job-1", 50), debit(org, "job-2", 15), debit(org, "job-3", 25),
		hold(org, "held", 100), hold(org, "captured", 30), hold(org, "released", 20), hold(org, "late", 10),
		credit.Capture{Hold: credit.HoldID(org, "captured"), Credits: 12},
		credit.Release{Hold: credit.HoldID(org, "released")},
		credit.Reverse{EventID: "undo", Debit: "job-1", Credits: 20, Content: credit.Content{Kind: credit.KindReversal, Org: org, Subject: "job-1"}, Reason: "failed"},
		credit.FreezeGrant{Grant: bought("pi_2"), Frozen: true, Reason: "dispute"},
		credit.ClawBack{Grant: bought("pi_1"), Returned: 30, Paid: 100, Reason: "refund"},
		credit.ClawBack{Grant: bought("pi_1"), Returned: 10, Paid: 100, Reason: "refund failed"},
	)
	s.advance(day)
	s.do(t, org, credit.Capture{Hold: credit.HoldID(org, "late"), Credits: 4})
	s.do(t, org, credit.Debit{EventID: "owing", Usage: true, Credits: 2000, Content: content(org, credit.KindDebit, 2000), Work: work("sipho")})
	s.do(t, org, purchase("pi_3", 3000), hold(org, "open", 60), debit(org, "job-4", 5))
	s.advance(4 * day)
	s.do(t, org, hold(org, "open now", 70), debit(org, "job-5", 7), debit(org, "job-6", 8), debit(org, "job-7", 9))
}

func TestAWalletThatAgreesIsVerifiedAndNotReadAgain(t *testing.T) {
	t.Parallel()
	engine.Each(t, func(t *testing.T, e *engine.Engine) {
		s := open(t, e)
		s.live(t, "acme")
		first := s.agrees(t, "acme", false)
		if !first.Whole || first.From != 0 || first.Entries != first.Seq {
			t.Errorf("the first audit %+v did not read everything", first)
		}
		again := s.agrees(t, "acme", false)
		if again.Whole || again.From != first.Seq || again.Entries != 0 {
			t.Errorf("%+v read what was verified", again)
		}
		s.do(t, "acme", debit("acme", "more", 3), credit.Capture{Hold: credit.HoldID("acme", "open now"), Credits: 70}, credit.FreezeGrant{Grant: bought("pi_2"), Reason: "won"})
		if later := s.agrees(t, "acme", false); later.Entries != 3 || later.From != first.Seq {
			t.Errorf("%+v, want what came since", later)
		}
		if whole := s.agrees(t, "acme", true); !whole.Whole || whole.From != 0 {
			t.Errorf("%+v is not whole", whole)
		}
		head, err := s.auditor.store.head(t.Context(), "acme")
		if err != nil || head.VerifiedSeq != first.Seq+3 || head.WholeAt.IsZero() || head.Finding != nil {
			t.Errorf("the checkpoint %+v, %v", head, err)
		}
	})
}

func TestADamagedCheckpointCountsAsNone(t *testing.T) {
	t.Parallel()
	s := open(t, engine.New(t))
	s.live(t, "acme")
	first := s.agrees(t, "acme", false)
	part := s.Client.Doc("audits/acme/parts/0")
	doc, err := part.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	data := doc.Data()["data"].([]byte)
	data[len(data)/2] ^= 1
	if _, err := part.Set(t.Context(), map[string]any{"v": 1, "org": "acme", "data": data}); err != nil {
		t.Fatal(err)
	}
	if r := s.agrees(t, "acme", false); r.From != 0 || r.Entries != first.Seq {
		t.Errorf("%+v relies on a damaged checkpoint", r)
	}
	if _, err := part.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := s.agrees(t, "acme", false); r.From != 0 {
		t.Errorf("%+v relies on a checkpoint that is gone", r)
	}
}

func TestAnAuditThatRunsOutOfTimeGoesOn(t *testing.T) {
	t.Parallel()
	s := open(t, engine.New(t))
	s.do(t, "acme", credit.Configure{Zone: ptr("Africa/Johannesburg")}, purchase("pi_1", 1_000_000))
	spendMany(t, s, "acme", 2*tailEntries, "many")
	var pages int
	r, err := s.auditor.Wallet(t.Context(), "acme", Request{Time: 1, Progress: func(Progress) { pages++ }})
	if err != nil || !r.More || r.Finding != nil || pages != 1 {
		t.Fatalf("%+v after %d pages, %v", r, pages, err)
	}
	rest := s.agrees(t, "acme", false)
	if rest.From != r.Seq || !rest.Whole {
		t.Errorf("%+v after %+v", rest, r)
	}
}

// spendMany debits a credit many times, under ids that begin alike.
func spendMany(t testing.TB, s *system, org string, n int, ids string) {
	t.Helper()
	var all sync.WaitGroup
	next := atomic.Int64{}
	for range 256 {
		all.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				s.advance(2 * time.Second)
				if _, err := s.ledger.Do(t.Context(), org, debit(org, ids+"-"+text(i), 1)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// patch changes a document behind the ledger's back.
func (s *system) patch(t testing.TB, path string, updates ...firestore.Update) {
	t.Helper()
	if _, err := s.Client.Doc(path).Update(t.Context(), updates); err != nil {
		t.Fatal(err)
	}
}

func (s *system) read(t testing.TB, path string) map[string]any {
	t.Helper()
	d, err := s.Client.Doc(path).Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d.Data()
}

func (s *system) write(t testing.TB, path string, fields map[string]any) {
	t.Helper()
	if _, err := s.Client.Doc(path).Set(t.Context(), fields); err != nil {
		t.Fatal(err)
	}
}

func entryPath(org, id string) string {
	return "wallets/" + org + "/entries/" + credit.CallerKey(id).Doc()
}

// planted is a fault that somebody made behind the ledger's back, and what the audit must say of it.
type planted struct {
	name  string
	plant func(t *testing.T, s *system)
	// event is the caller's id of the entry that must be named; empty for none, or another.
	event string
	seq   func(t *testing.T, s *system) int64
	where string
	field string
	want  string // what is expected, and found
	got   string
}

func seqOf(id string) func(t *testing.T, s *system) int64 {
	return func(t *testing.T, s *system) int64 {
		t.Helper()
		return s.read(t, entryPath("acme", id))["seq"].(int64)
	}
}

func plants() []planted {
	grant := "wallets/acme/grants/" + bought("pi_2")
	return []planted{
		{name: "an entry is lost", plant: func(t *testing.T, s *system) {
			if _, err := s.Client.Doc(entryPath("acme", "job-2")).Delete(t.Context()); err != nil {
				t.Fatal(err)
			}
		}, seq: func(t *testing.T, s *system) int64 { return seqOf("job-3")(t, s) - 1 }, where: "entry", field: "seq"},
		{name: "the last entry is lost", plant: func(t *testing.T, s *system) {
			if _, err := s.Client.Doc(entryPath("acme", "job-7")).Delete(t.Context()); err != nil {
				t.Fatal(err)
			}
		}, seq: func(t *testing.T, s *system) int64 { return seqOf("job-6")(t, s) + 1 }, where: "entry", field: "the last"},
		{name: "a debit is doubled in its figures", plant: func(t *testing.T, s *system) {
			e := s.read(t, entryPath("acme", "job-3"))
			change := e["changes"].([]any)[0].(map[string]any)
			change["free"] = 2 * change["free"].(int64)
			s.patch(t, entryPath("acme", "job-3"), firestore.Update{Path: "changes", Value: e["changes"]})
		}, event: "job-3", where: "entry", field: "after.available"},
		{name: "a debit is doubled as an entry", plant: func(t *testing.T, s *system) {
			e := s.read(t, entryPath("acme", "job-3"))
			e["key"], e["at"] = "job-3 again", e["at"].(time.Time).Add(time.Microsecond)
			s.write(t, entryPath("acme", "job-3 again"), e)
		}, event: "job-3 again", where: "entry", field: "seq"},
		{name: "a debit is doubled after the last", plant: func(t *testing.T, s *system) {
			e := s.read(t, entryPath("acme", "job-7"))
			e["key"], e["at"], e["seq"] = "job-7 again", e["at"].(time.Time).Add(time.Microsecond), e["seq"].(int64)+1
			s.write(t, entryPath("acme", "job-7 again"), e)
		}, event: "job-7 again", where: "entry", field: "seq"},
		{name: "an entry is doubled where no reader looks", plant: func(t *testing.T, s *system) {
			e := s.read(t, entryPath("acme", "job-3"))
			delete(e, "lane")
			s.write(t, "wallets/acme/entries/c_hidden", e)
		}, where: "entries", field: "number"},
		{name: "two entries change places", plant: func(t *testing.T, s *system) {
			a, b := s.read(t, entryPath("acme", "job-2")), s.read(t, entryPath("acme", "job-3"))
			s.patch(t, entryPath("acme", "job-2"), firestore.Update{Path: "seq", Value: b["seq"]})
			s.patch(t, entryPath("acme", "job-3"), firestore.Update{Path: "seq", Value: a["seq"]})
		}, where: "entry", field: "seq", seq: func(t *testing.T, s *system) int64 { return seqOf("job-3")(t, s) }},
		{name: "an entry is another organisation's", plant: func(t *testing.T, s *system) {
			s.patch(t, entryPath("acme", "job-3"), firestore.Update{Path: "org", Value: "globex"})
		}, event: "job-3", where: "entry", field: "org", want: "acme", got: "globex"},
		{name: "an entry bears another's id", plant: func(t *testing.T, s *system) {
			s.patch(t, entryPath("acme", "job-3"), firestore.Update{Path: "key", Value: "job-99"})
		}, event: "job-3", where: "entry", field: "id"},
		{name: "an entry cannot be read", plant: func(t *testing.T, s *system) {
			s.patch(t, entryPath("acme", "job-3"), firestore.Update{Path: "credits", Value: "many"})
		}, where: "documents", field: "form"},
		{name: "the wallet has a credit more", plant: func(t *testing.T, s *system) {
			s.patch(t, "wallets/acme", firestore.Update{Path: "available", Value: s.read(t, "wallets/acme")["available"].(int64) + 1})
		}, event: "job-7", where: "wallet", field: "available"},
		{name: "a grant in the wallet has a credit more", plant: func(t *testing.T, s *system) {
			w := s.read(t, "wallets/acme")
			g := w["grants"].([]any)[0].(map[string]any)
			g["free"] = g["free"].(int64) + 1
			s.patch(t, "wallets/acme", firestore.Update{Path: "grants", Value: w["grants"]})
		}, where: "grant " + bought("pi_3"), field: "free", event: "job-7"},
		{name: "a grant outside the wallet has a credit more", plant: func(t *testing.T, s *system) {
			s.patch(t, grant, firestore.Update{Path: "free", Value: s.read(t, grant)["free"].(int64) + 1})
		}, where: "grant " + bought("pi_2"), field: "free"},
		{name: "a grant was granted more", plant: func(t *testing.T, s *system) {
			s.patch(t, grant, firestore.Update{Path: "granted", Value: 201})
		}, where: "grant " + bought("pi_2"), field: "granted", want: "200", got: "201"},
		{name: "a grant is lost", plant: func(t *testing.T, s *system) {
			if _, err := s.Client.Doc(grant).Delete(t.Context()); err != nil {
				t.Fatal(err)
			}
		}, where: "grant " + bought("pi_2"), field: "record", got: none},
		{name: "a grant comes from nowhere", plant: func(t *testing.T, s *system) {
			g := s.read(t, grant)
			g["id"] = "gr_nowhere"
			s.write(t, "wallets/acme/grants/gr_nowhere", g)
		}, where: "grant gr_nowhere", field: "record", want: none},
		{name: "a roll-up is off by one", plant: func(t *testing.T, s *system) {
			s.patch(t, "wallets/acme/usage/2026-03-01-0", firestore.Update{
				FieldPath: []string{"cells", strings.Join([]string{"custom-query", "sales", "sipho"}, separator)}, Value: firestore.Increment(1),
			})
		}, where: "usage 2026-03-01", field: "cells custom-query/sales/sipho"},
		{name: "today's roll-up is off by one", plant: func(t *testing.T, s *system) {
			s.patch(t, "wallets/acme/usage/2026-03-06-0", firestore.Update{
				FieldPath: []string{"cells", strings.Join([]string{"custom-query", "sales", "sipho"}, separator)}, Value: firestore.Increment(-1),
			})
		}, where: "usage 2026-03-06", field: "cells custom-query/sales/sipho", event: "job-7"},
		{name: "a flow is off by one", plant: func(t *testing.T, s *system) {
			s.patch(t, "wallets/acme/usage/2026-03-06-0", firestore.Update{
				FieldPath: []string{"flows", strings.Join([]string{"usable", "debit", ""}, separator)}, Value: firestore.Increment(1),
			})
		}, where: "usage 2026-03-06", field: "flows usable/debit/", event: "job-7"},
		{name: "a counter is off", plant: func(t *testing.T, s *system) {
			s.patch(t, "wallets/acme/counters/2026-03-0", firestore.Update{FieldPath: []string{"by", "user:sipho"}, Value: 1})
		}, where: "counter 2026-03 user sipho", field: "used", got: "1", event: "job-7"},
		{name: "a counter is lost", plant: func(t *testing.T, s *system) {
			s.patch(t, "wallets/acme/counters/2026-03-0", firestore.Update{FieldPath: []string{"by", "user:sipho"}, Value: firestore.Delete})
		}, where: "counter 2026-03 user sipho", field: "used", got: none, event: "job-7"},
		{name: "an open hold is lost", plant: func(t *testing.T, s *system) { s.deleteHold(t, "open now") },
			where: "hold " + credit.HoldID("acme", "open now"), field: "record", got: none, event: "open now"},
		{name: "a settled hold is lost", plant: func(t *testing.T, s *system) { s.deleteHold(t, "captured") },
			where: "hold " + credit.HoldID("acme", "captured"), field: "record", got: none},
		{name: "a hold sets more aside", plant: func(t *testing.T, s *system) {
			s.patch(t, holdPath(t, "open now"), firestore.Update{Path: "credits", Value: 71})
		}, where: "hold " + credit.HoldID("acme", "open now"), field: "credits", want: "70", got: "71", event: "open now"},
		{name: "debt is forgotten in an entry", plant: func(t *testing.T, s *system) {
			s.patch(t, entryPath("acme", "owing"), firestore.Update{Path: "debt", Value: 0})
		}, event: "owing", where: "entry", field: "after.debt"},
		{name: "the wallet is thawed behind the ledger's back", plant: func(t *testing.T, s *system) {
			s.do(t, "acme", credit.FreezeWallet{Frozen: true, Reason: "fraud"})
			s.patch(t, "wallets/acme", firestore.Update{Path: "frozen", Value: false})
		}, where: "wallet", field: "frozen", want: "true", got: "false"},
	}
}

func holdPath(t *testing.T, event string) string {
	t.Helper()
	_, doc, err := credit.ParseHoldID(credit.HoldID("acme", event))
	if err != nil {
		t.Fatal(err)
	}
	return "wallets/acme/holds/" + doc
}

func (s *system) deleteHold(t *testing.T, event string) {
	t.Helper()
	if _, err := s.Client.Doc(holdPath(t, event)).Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestEveryPlantedFaultIsFound(t *testing.T) {
	t.Parallel()
	engine.Each(t, func(t *testing.T, e *engine.Engine) {
		for _, p := range plants() {
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				which := engine.Embedded()
				if e.IsEmulator {
					which = engine.Emulator()
				}
				open(t, engine.New(t, which)).finds(t, p)
			})
		}
	})
}

// finds plants a fault, and looks for it.
func (s *system) finds(t *testing.T, p planted) {
	t.Helper()
	s.live(t, "acme")
	p.plant(t, s)
	var seq int64
	switch {
	case p.seq != nil:
		seq = p.seq(t, s)
	case p.event != "":
		seq = s.read(t, entryPath("acme", p.event))["seq"].(int64)
	}
	r := s.audit(t, "acme", false)
	f := r.Finding
	switch {
	case f == nil:
		t.Fatalf("nothing is found: %+v", r)
	case f.Org != "acme" || f.Where != p.where || f.Field != p.field || p.want != "" && f.Expected != p.want || p.got != "" && f.Found != p.got:
		t.Errorf("found %v", f)
	case seq != 0 && f.Seq != seq, p.event != "" && f.Entry != credit.CallerKey(p.event).Doc():
		t.Errorf("the entry is %d %s, want %d %q", f.Seq, f.Entry, seq, p.event)
	}
	if log := s.log.String(); strings.Count(log, `"alert":"audit_mismatch"`) != 1 || !strings.Contains(log, mismatch) {
		t.Errorf("told: %s", log)
	}
	if w := s.read(t, "wallets/acme"); !r.Frozen || w["frozen"] != true || !strings.HasPrefix(w["frozen_reason"].(string), "audit: ") && p.field != "frozen" {
		t.Errorf("the wallet is not frozen: %v %v, %+v", w["frozen"], w["frozen_reason"], r)
	}
	if again := s.audit(t, "acme", false); again.Finding == nil && p.field != "frozen" { // the audit's own freeze mended that
		t.Error("it is not found again")
	}
}

func TestWhatWasVerifiedIsComparedAgainWhereItMoves(t *testing.T) {
	t.Parallel()
	s := open(t, engine.New(t))
	s.live(t, "acme")
	s.agrees(t, "acme", false)
	path := "wallets/acme/grants/" + bought("pi_1") // which is spent, and moves no more
	s.patch(t, path, firestore.Update{Path: "clawed_back", Value: 99})
	s.agrees(t, "acme", false)
	s.do(t, "acme", credit.ClawBack{Grant: bought("pi_1"), Returned: 11, Paid: 100, Reason: "refund"})
	if f := s.audit(t, "acme", true).Finding; f == nil || f.Where != "grant "+bought("pi_1") {
		t.Errorf("%v", f)
	}
}

// TestTrafficBesideTheAuditRaisesNoAlarm runs on the embedded engine alone: what Google's emulator reads in one call, or in one read-only
// transaction, it does not read at one moment, as Firestore does.
func TestTrafficBesideTheAuditRaisesNoAlarm(t *testing.T) {
	t.Parallel()
	s := open(t, engine.New(t, engine.Embedded()))
	s.live(t, "acme")
	s.do(t, "acme", purchase("pi_more", 1_000_000))
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	var done atomic.Int64
	for i := range 8 {
		l := s.process(t)
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				id := text(i) + "-" + text(n)
				h := hold("acme", "h"+id, 3)
				for _, c := range []credit.Command{
					debit("acme", "d"+id, 2), h, credit.Capture{Hold: credit.HoldID("acme", h.EventID), Credits: 1},
					credit.Reverse{EventID: "r" + id, Debit: "d" + id, Content: credit.Content{Kind: credit.KindReversal, Org: "acme", Subject: "d" + id}, Reason: "failed"},
				} {
					s.advance(time.Second)
					if _, err := l.Do(context.WithoutCancel(ctx), "acme", c); err != nil && ctx.Err() == nil {
						t.Errorf("%T: %v", c, err)
						return
					}
					done.Add(1)
				}
			}
		})
	}
	var entries int64
	for range 12 {
		at := done.Load()
		for done.Load() < at+4 && !t.Failed() {
			time.Sleep(time.Millisecond)
		}
		entries += s.agrees(t, "acme", entries%2 == 1).Entries
	}
	stop()
	all.Wait()
	s.agrees(t, "acme", true)
	if strings.Contains(s.log.String(), "agreed when it was looked at again") {
		t.Errorf("an audit was wrong at first: %s", s.log)
	}
}

func TestAChangeOfZoneRaisesNoAlarm(t *testing.T) {
	t.Parallel()
	s := open(t, engine.New(t, engine.Embedded()))
	s.do(t, "acme", credit.Configure{Zone: ptr("Africa/Johannesburg")}, purchase("pi_1", 100_000))
	for n, zone := range []string{"Pacific/Kiritimati", "Pacific/Pago_Pago", "Africa/Johannesburg", "Asia/Kolkata"} {
		for i := range 40 {
			s.advance(3 * hour)
			s.do(t, "acme", debit("acme", text(n)+"-"+text(i), 1))
			if i%7 == n {
				s.agrees(t, "acme", false)
			}
		}
		s.do(t, "acme", credit.Configure{Zone: &zone})
		s.agrees(t, "acme", true)
		s.do(t, "acme", debit("acme", text(n)+"-after", 1))
		s.agrees(t, "acme", false)
	}
	s.advance(5 * day)
	s.do(t, "acme", debit("acme", "last", 1))
	s.agrees(t, "acme", true)
}

func TestOneOrganisationsFaultIsNotAnothers(t *testing.T) {
	t.Parallel()
	s := open(t, engine.New(t))
	s.live(t, "acme")
	s.live(t, "globex")
	e := s.read(t, entryPath("globex", "job-7"))
	e["at"], e["seq"] = e["at"].(time.Time).Add(time.Microsecond), e["seq"].(int64)+1
	s.write(t, entryPath("acme", "job-7"), e)
	if f := s.audit(t, "acme", false).Finding; f == nil || f.Org != "acme" {
		t.Errorf("%v", f)
	}
	s.agrees(t, "globex", false)
}

func TestWhatIsAcceptedAgreesFromThenOn(t *testing.T) {
	t.Parallel()
	s := open(t, engine.New(t))
	s.live(t, "acme")
	if _, err := s.Client.Doc(entryPath("acme", "job-2")).Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.audit(t, "acme", false).Finding == nil {
		t.Fatal("nothing is found")
	}
	if _, err := s.auditor.Accept(t.Context(), "acme", "ops@fluxori.example", " "); err == nil {
		t.Error("accepted without a reason")
	}
	head, err := s.auditor.Accept(t.Context(), "acme", "ops@fluxori.example", "restored in part on 7 March")
	if err != nil || head.Finding != nil || head.AcceptedBy == "" {
		t.Fatalf("%+v, %v", head, err)
	}
	s.do(t, "acme", credit.FreezeWallet{Reason: "looked into"}, debit("acme", "afterwards", 1), credit.Capture{Hold: credit.HoldID("acme", "open now"), Credits: 9})
	if r := s.agrees(t, "acme", false); r.Entries != 3 {
		t.Errorf("%+v", r)
	}
	s.advance(5 * day)
	s.do(t, "acme", debit("acme", "later", 1))
	s.agrees(t, "acme", false)
	if s.audit(t, "acme", true).Finding == nil {
		t.Error("an audit of the whole does not find it again")
	}
}

func TestASweepTellsOfWhatMovedAndGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	s := open(t, engine.New(t))
	orgs := []string{"a", "b", "c", "d"}
	for _, org := range orgs {
		s.do(t, org, credit.Configure{Zone: ptr("UTC")}, purchase("pi_"+org, 10))
	}
	sweep := func(most int) (told []string) {
		t.Helper()
		if _, _, err := s.auditor.Sweep(t.Context(), most, func(_ context.Context, orgs []string) error {
			told = append(told, orgs...)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return told
	}
	if got := strings.Join(sweep(100), " "); got != "a b c d" {
		t.Errorf("never looked at: %s", got)
	}
	for _, org := range orgs {
		s.agrees(t, org, false)
	}
	if got := sweep(100); len(got) != 0 {
		t.Errorf("verified just now: %v", got)
	}
	s.do(t, "c", debit("c", "job", 1))
	if got := strings.Join(sweep(100), " "); got != "c" {
		t.Errorf("moved: %s", got)
	}
	if _, err := s.Client.Doc("reconciliation/audit").Set(t.Context(), place{V: 1, After: "b"}); err != nil {
		t.Fatal(err)
	}
	s.advance(day)
	if got := strings.Join(sweep(100), " "); got != "c d a b" {
		t.Errorf("from where the last stopped, around: %s", got)
	}
}
