package ledger

import (
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/fluxori/ai-credits/shared/credit"
)

// encodeHold is a hold's document. expires_at is there while it is open, so that what is due is found by it; ends_at always. The holds of a busy
// wallet end in the order of their placing, so their index is spread over lanes as that of the entries is.
func encodeHold(org string, h *credit.Hold) fields {
	allocations := make([]*pb.Value, len(h.Allocations))
	for i, a := range h.Allocations {
		allocations[i] = mapValue(fields{}.str("grant", a.Grant).str("source", string(a.Source)).num("credits", a.Credits))
	}
	f := fields{"v": intValue(schemaVersion)}.str("org", org).str("id", h.ID).str("event_id", h.EventID).num("credits", h.Credits).
		list("allocations", allocations).time("placed_at", h.PlacedAt).time("ends_at", h.ExpiresAt).str("state", string(h.State)).
		num("captured", h.Captured).num("extensions", h.Extensions)
	f.list("counts", encodeCounts(h.Counts))
	encodeWork(f, h.Work)
	if h.State == credit.HoldOpen {
		f.time("expires_at", h.ExpiresAt)
		f["lane"] = intValue(h.PlacedAt.UnixMicro() % lanes)
	}
	return f
}

func decodeHold(d *pb.Document) (*credit.Hold, error) {
	r := readDocument(d)
	if err := checkVersion(r); err != nil {
		return nil, err
	}
	h := &credit.Hold{
		ID: r.str("id"), EventID: r.str("event_id"), Work: decodeWork(r), Credits: r.num("credits"), PlacedAt: r.time("placed_at"),
		ExpiresAt: r.time("ends_at"), State: credit.HoldState(r.str("state")), Captured: r.num("captured"), Extensions: r.num("extensions"),
	}
	for _, a := range r.groups("allocations") {
		h.Allocations = append(h.Allocations, credit.Allocation{Grant: a.str("grant"), Source: credit.Source(a.str("source")), Credits: a.num("credits")})
	}
	h.Counts = decodeCounts(r)
	return h, *r.err
}

// encodeWork adds what a debit or hold is for.
func encodeWork(f fields, w credit.Work) {
	f.str("user", w.User).str("team", w.Team).str("feature", w.Feature).num("price_version", w.PriceVersion).time("occurred_at", w.OccurredAt)
	if w.Units != nil {
		f["units"] = intValue(*w.Units)
	}
}

func decodeWork(r reader) credit.Work {
	w := credit.Work{
		User: r.str("user"), Team: r.str("team"), Feature: r.str("feature"), PriceVersion: r.num("price_version"), OccurredAt: r.time("occurred_at"),
	}
	if _, ok := r.m["units"]; ok {
		units := r.num("units")
		w.Units = &units
	}
	return w
}
