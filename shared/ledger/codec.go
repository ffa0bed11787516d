package ledger

import (
	"fmt"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/fluxori/ai-credits/shared/credit"
)

// schemaVersion is the version of every document that this package writes. Readers of a version ship before its writers.
const schemaVersion = 1

// lanes is how many index ranges a wallet's entries are spread over, so that no index grows at one end too fast.
const lanes = 24

// stored is a wallet document: the wallet, and what the commit path keeps beside it.
type stored struct {
	wallet credit.Wallet
	batch  string // of the last commit
	usage  rollup
	turns  turns
}

// checkVersion refuses a document that a newer release wrote.
func checkVersion(r reader) error {
	if v := r.num("v"); v > schemaVersion {
		return unavailable(fmt.Errorf("%s has version %d; this release knows %d", r.name, v, schemaVersion))
	}
	return nil
}

func encodeWallet(s *stored) fields {
	w := &s.wallet
	f := fields{"v": intValue(schemaVersion)}
	live := make([]*pb.Value, len(w.Live))
	for i, g := range w.Live {
		live[i] = mapValue(encodeGrant(g))
	}
	roster := make([]*pb.Value, len(s.turns.roster))
	for i, process := range s.turns.roster {
		roster[i] = stringValue(process)
	}
	return f.str("org", w.Org).str("zone", w.Zone).num("settings_revision", w.SettingsRevision).num("seq", w.Seq).time("at", w.LastAt).
		num("available", w.Available).num("held", w.Held).num("debt", w.Debt).
		flag("frozen", w.Frozen).str("frozen_reason", w.FrozenReason).
		list("grants", live).
		group("waiting", encodeSum(w.Waiting)).group("pending", encodeSum(w.Pending)).group("aside", encodeSum(w.Aside)).
		num("open_holds", w.OpenHolds).time("next_due_at", w.NextDueAt).
		group("low_balance", fields{}.flag("on", w.Low.On).num("threshold", w.Low.Threshold).flag("below", w.Low.Below).num("n", w.Low.N)).
		group("top_up", fields{}.flag("on", w.TopUp.On).num("threshold", w.TopUp.Threshold).flag("below", w.TopUp.Below).num("n", w.TopUp.N).
			num("revision", w.TopUp.Revision)).
		group("debt_alerts", fields{}.num("ceiling", w.DebtAlerts.Ceiling).flag("over", w.DebtAlerts.Over).num("n", w.DebtAlerts.N)).
		num("repayments", w.Repayments).num("moves", w.Moves).
		group("limits", encodeLimits(w.Limits)).list("windows", encodeWindows(w.Windows)).
		num("limit_changes", w.LimitChanges).num("limit_alerts", w.LimitAlerts).
		str("batch", s.batch).
		group("usage", fields{}.str("day", s.usage.day).num("part", s.usage.part).num("cells", s.usage.cells)).str("unfolded", s.usage.unfolded).
		str("zoned", s.usage.zoned).
		str("writer", s.turns.writer).list("roster", roster)
}

func decodeWallet(d *pb.Document) (*stored, error) {
	r := readDocument(d)
	if err := checkVersion(r); err != nil {
		return nil, err
	}
	low, topUp, debt, usage := r.group("low_balance"), r.group("top_up"), r.group("debt_alerts"), r.group("usage")
	s := &stored{
		batch: r.str("batch"),
		turns: turns{writer: r.str("writer"), roster: r.strings("roster")},
		usage: rollup{day: usage.str("day"), part: usage.num("part"), cells: usage.num("cells"), unfolded: r.str("unfolded"), zoned: r.str("zoned")},
		wallet: credit.Wallet{
			Org: r.str("org"), Zone: r.str("zone"), SettingsRevision: r.num("settings_revision"), Seq: r.num("seq"), LastAt: r.time("at"),
			Figures:      credit.Figures{Available: r.num("available"), Held: r.num("held"), Debt: r.num("debt")},
			Frozen:       r.flag("frozen"),
			FrozenReason: r.str("frozen_reason"),
			Waiting:      decodeSum(r.group("waiting")), Pending: decodeSum(r.group("pending")), Aside: decodeSum(r.group("aside")),
			OpenHolds: r.num("open_holds"),
			NextDueAt: r.time("next_due_at"),
			Low:       credit.LowBalance{On: low.flag("on"), Threshold: low.num("threshold"), Below: low.flag("below"), N: low.num("n")},
			TopUp: credit.TopUpWatch{
				LowBalance: credit.LowBalance{On: topUp.flag("on"), Threshold: topUp.num("threshold"), Below: topUp.flag("below"), N: topUp.num("n")},
				Revision:   topUp.num("revision"),
			},
			DebtAlerts: credit.DebtWatch{Ceiling: debt.num("ceiling"), Over: debt.flag("over"), N: debt.num("n")},
			Repayments: r.num("repayments"),
			Moves:      r.num("moves"),
			Limits:     decodeLimits(r.group("limits")), Windows: decodeWindows(r.groups("windows")),
			LimitChanges: r.num("limit_changes"), LimitAlerts: r.num("limit_alerts"),
		},
	}
	for _, g := range r.groups("grants") {
		grant := decodeGrant(g)
		grant.Place = credit.InWallet
		s.wallet.Live = append(s.wallet.Live, grant)
	}
	return s, *r.err
}

func encodeSum(s credit.Sum) fields {
	return fields{}.num("count", s.Count).num("free", s.Free).num("held", s.Held)
}

func decodeSum(r reader) credit.Sum {
	return credit.Sum{Count: r.num("count"), Free: r.num("free"), Held: r.num("held")}
}

// encodeGrant is a grant as it stands in the wallet document.
func encodeGrant(g *credit.Grant) fields {
	return encodeTerms(&g.Terms).time("created_at", g.CreatedAt).
		num("free", g.Free).num("held", g.Held).num("expired", g.Expired).num("clawed_back", g.ClawedBack).
		num("taken_own", g.TakenOwn).num("taken_elsewhere", g.TakenElsewhere).
		flag("started", g.Started).flag("frozen", g.Frozen).num("moves", g.Moves)
}

// encodeGrantRecord is a grant's own document: what the wallet holds of it, and the fields that find it.
func encodeGrantRecord(org string, g *credit.Grant) fields {
	f := encodeGrant(g).str("org", org).str("place", string(g.Place))
	f["v"] = intValue(schemaVersion)
	switch g.Place {
	case credit.Waiting:
		f.str("order", credit.OrderKey(g))
	case credit.InWallet, credit.Reserved, credit.Gone:
		return f // the wallet's own, its holds', or done with: not to be found as due
	case credit.Pending, credit.Aside:
	}
	if at, ok := g.DueAt(); ok {
		f.time("due_at", at)
	}
	return f
}

func decodeGrant(r reader) *credit.Grant {
	return &credit.Grant{
		Terms: decodeTerms(r), CreatedAt: r.time("created_at"),
		Free: r.num("free"), Held: r.num("held"), Expired: r.num("expired"), ClawedBack: r.num("clawed_back"),
		TakenOwn: r.num("taken_own"), TakenElsewhere: r.num("taken_elsewhere"),
		Started: r.flag("started"), Frozen: r.flag("frozen"), Moves: r.num("moves"), Place: credit.Place(r.str("place")),
	}
}

func decodeGrantRecord(d *pb.Document) (*credit.Grant, error) {
	r := readDocument(d)
	if err := checkVersion(r); err != nil {
		return nil, err
	}
	return decodeGrant(r), *r.err
}

func encodeTerms(t *credit.Terms) fields {
	return fields{}.str("id", t.ID).str("source", string(t.Source)).num("granted", t.Granted).num("priority", int64(t.Priority)).
		time("effective_at", t.EffectiveAt).time("expires_at", t.ExpiresAt).time("usable_until", t.UsableUntil).
		str("payment", t.Payment).str("item", t.Item).str("campaign", t.Campaign).str("linked_to", t.LinkedTo)
}

func decodeTerms(r reader) credit.Terms {
	return credit.Terms{
		ID: r.str("id"), Source: credit.Source(r.str("source")), Granted: r.num("granted"), Priority: int32(r.num("priority")),
		EffectiveAt: r.time("effective_at"), ExpiresAt: r.time("expires_at"), UsableUntil: r.time("usable_until"),
		Payment: r.str("payment"), Item: r.str("item"), Campaign: r.str("campaign"), LinkedTo: r.str("linked_to"),
	}
}

// entryFields is about how many fields a debit's entry has.
const entryFields = 24

// encodeEntry is an entry's document. reverses names the document of the debit that a reversal undoes, so that they can be found.
func encodeEntry(org, batch string, e *credit.Entry) fields {
	changes := make([]*pb.Value, len(e.Changes))
	for i, c := range e.Changes {
		changes[i] = mapValue(fields{}.str("grant", c.Grant).str("source", string(c.Source)).num("free", c.Free).num("held", c.Held))
	}
	closed := make([]*pb.Value, len(e.Closed))
	for i, id := range e.Closed {
		closed[i] = stringValue(id)
	}
	f := make(fields, entryFields)
	f["v"], f["lane"] = intValue(schemaVersion), intValue(e.Seq%lanes)
	f.str("org", org).str("batch", batch).str("key", e.Key.ID).flag("system", e.Key.System).str("kind", string(e.Kind)).
		num("seq", e.Seq).time("at", e.At).str("hash", e.Hash).num("credits", e.Credits).str("subject", e.Subject).
		list("changes", changes).num("debt", e.Debt).
		group("after", fields{}.num("available", e.After.Available).num("held", e.After.Held).num("debt", e.After.Debt)).
		str("actor", e.Actor).str("reason", e.Reason).str("metadata", e.Metadata).list("closed", closed).time("until", e.Until)
	encodeWork(f, e.Work)
	f.list("counts", encodeCounts(e.Counts))
	if e.Born != nil {
		f.group("born", encodeTerms(e.Born))
	}
	if e.Kind == credit.KindReversal {
		f.str("reverses", credit.CallerKey(e.Subject).Doc())
	}
	return f
}

// decodeEntry reads an entry, and the id of the batch that wrote it.
func decodeEntry(d *pb.Document) (e *credit.Entry, batch string, err error) {
	r := readDocument(d)
	if err := checkVersion(r); err != nil {
		return nil, "", err
	}
	after := r.group("after")
	e = &credit.Entry{
		Key: credit.Key{ID: r.str("key"), System: r.flag("system")}, Kind: credit.Kind(r.str("kind")),
		Seq: r.num("seq"), At: r.time("at"), Hash: r.str("hash"), Credits: r.num("credits"), Subject: r.str("subject"),
		Debt:  r.num("debt"),
		After: credit.Figures{Available: after.num("available"), Held: after.num("held"), Debt: after.num("debt")},
		Work:  decodeWork(r),
		Actor: r.str("actor"), Reason: r.str("reason"), Metadata: r.str("metadata"), Closed: r.strings("closed"), Until: r.time("until"),
	}
	for _, c := range r.groups("changes") {
		e.Changes = append(e.Changes, credit.Change{Grant: c.str("grant"), Source: credit.Source(c.str("source")), Free: c.num("free"), Held: c.num("held")})
	}
	e.Counts = decodeCounts(r)
	if born := r.group("born"); born.m != nil {
		terms := decodeTerms(born)
		e.Born = &terms
	}
	return e, r.str("batch"), *r.err
}
