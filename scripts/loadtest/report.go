package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// row is a phase's figures.
type row struct {
	Phase  string
	Rate   int // debits charged a second
	Sent   int // requests sent a second; those of an open loop whether or not they found a place
	Micros latencies
	// PerDebit counts thousandths of RPCs and documents for each debit charged.
	PerDebit struct{ RPCs, Reads, Writes, Deletes int64 }
	// CostMicros is what a million debits cost at list prices, in micro-dollars.
	CostMicros int64
	// Shares are the thousandths of the work that each driver did.
	Shares []int
	// SlowestP99 is the highest p99 of a driver, in microseconds.
	SlowestP99 uint32
	Told       map[string]int
}

// report is what a run found.
type report struct {
	Plan plan
	Rows []row
	// MemoryKB is the most that a process had resident, the highest of those of a name.
	MemoryKB   map[string]int64
	Violations []string
}

func newReport(p plan) *report { return &report{Plan: p, MemoryKB: map[string]int64{}} }

// memory notes how much a process had resident.
func (r *report) memory(p *process) { r.MemoryKB[p.name] = max(r.MemoryKB[p.name], p.peakKB.Load()) }

var outcomeNames = [...]string{
	acknowledged: "acknowledged", replayed: "replayed", refused: "refused", unknown: "unknown", wrong: "wrong", unsent: "unsent", begun: "begun",
}

// add works a phase's figures out. Rates are of the answers that came within the phase.
func (r *report) add(ph phase, h *heard, took time.Duration, u used, c checked) row {
	out := row{Phase: ph.name, Told: map[string]int{}}
	var micros []uint32
	byDriver := map[int][]uint32{}
	charged, inTime := int64(0), int64(0)
	end := h.began.Add(took).UnixMicro()
	for _, rec := range h.records {
		out.Told[outcomeNames[rec.outcome]]++
		if rec.outcome != acknowledged && rec.outcome != replayed {
			continue
		}
		if rec.outcome == acknowledged {
			charged++
		}
		if rec.end() <= end {
			inTime++
		}
		if int(rec.wallet) >= ph.watched {
			micros = append(micros, rec.latency)
		}
		byDriver[int(rec.driver)] = append(byDriver[int(rec.driver)], rec.latency)
	}
	answered := charged + int64(out.Told[outcomeNames[replayed]])
	if ph.via == viaPubSub {
		micros, charged, answered, inTime = c.latencies, c.charged, c.charged, c.charged
	}
	out.Micros = newLatencies(micros)
	perSecond := func(n int64) int { return int(n * int64(time.Second) / max(1, int64(took))) }
	out.Rate, out.Sent = perSecond(inTime), perSecond(int64(len(h.records)))
	if charged > 0 {
		milli := func(n int64) int64 { return n * 1000 / charged }
		out.PerDebit.RPCs, out.PerDebit.Reads, out.PerDebit.Writes, out.PerDebit.Deletes = milli(u.RPCs), milli(u.Reads), milli(u.Writes), milli(u.Deletes)
	}
	out.CostMicros = u.costMicros(charged)
	for i := range len(byDriver) {
		out.Shares = append(out.Shares, len(byDriver[i])*1000/max(1, int(answered)))
		out.SlowestP99 = max(out.SlowestP99, newLatencies(byDriver[i]).P99)
	}
	for _, v := range c.violations {
		r.Violations = append(r.Violations, ph.name+": "+v)
	}
	r.Rows = append(r.Rows, out)
	return out
}

func (r *report) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

func (r *report) writeTable(w io.Writer) error {
	p := r.Plan
	fmt.Fprintf(w, "via %s, profile %s over %d wallets, %d processes with %d callers each, delay %s, %v a phase\n\n",
		p.Via, p.Profile, p.Wallets, p.Processes, p.Callers, p.Delay, p.Duration)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "phase\tdebits/s\tsent/s\tp50 ms\tp95\tp99\tRPCs\treads\twrites/debit\t$/million\tshares %\tslowest p99\ttold\t")
	for _, x := range r.Rows {
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", x.Phase, x.Rate, x.Sent,
			decimals(int64(x.Micros.P50), 1), decimals(int64(x.Micros.P95), 1), decimals(int64(x.Micros.P99), 1),
			decimals(x.PerDebit.RPCs, 3), decimals(x.PerDebit.Reads, 3), decimals(x.PerDebit.Writes+x.PerDebit.Deletes, 3),
			decimals(x.CostMicros/1000, 2), shares(x.Shares), decimals(int64(x.SlowestP99), 1), told(x.Told))
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	fmt.Fprintln(w, "\nmemory, MiB resident at most:")
	for _, name := range sorted(r.MemoryKB) {
		fmt.Fprintf(w, "  %s %d\n", name, r.MemoryKB[name]/1024)
	}
	if len(r.Violations) == 0 {
		fmt.Fprintln(w, "\nevery invariant holds: each wallet equals its entries, acknowledged is charged once, refused is not, none was refused early")
		return nil
	}
	fmt.Fprintln(w, "\nINVARIANTS THAT DO NOT HOLD:")
	for _, v := range r.Violations {
		fmt.Fprintln(w, "  "+v)
	}
	return nil
}

// decimals writes thousandths with up to three decimals.
func decimals(milli int64, digits int) string {
	s := fmt.Sprintf("%d.%03d", milli/1000, milli%1000)
	return s[:len(s)-3+digits]
}

func shares(milli []int) string {
	out := make([]string, len(milli))
	for i, m := range milli {
		out[i] = fmt.Sprint((m + 5) / 10)
	}
	return strings.Join(out, "+")
}

// told lists the answers other than plain ones.
func told(counts map[string]int) string {
	var out []string
	for _, name := range sorted(counts) {
		if name != outcomeNames[acknowledged] {
			out = append(out, fmt.Sprintf("%d %s", counts[name], name))
		}
	}
	return strings.Join(out, ", ")
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
