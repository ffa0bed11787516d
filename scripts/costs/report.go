package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/fluxori/ai-credits/shared/limits"
	"github.com/fluxori/ai-credits/shared/wiring"
)

// sizes are the numbers of organisations in the table.
var sizes = []int64{10, 1_000, 100_000}

// bill is what a month costs, in nano-dollars.
type bill struct {
	documents, stored, compute, messages, watching, fixed int64
}

func (b bill) total() int64 {
	return b.documents + b.stored + b.compute + b.messages + b.watching + b.fixed
}

// fixed is what is paid whether anybody comes or not: jobs with their runs, instances that are kept, secrets.
type fixed struct {
	jobs, runs, keptMilliCPU, keptMiB, secrets int64
}

// secretsKept are the secrets, each in two versions.
const secretsKept = 5 * 2

func always() (fixed, error) {
	list, err := wiring.Load()
	if err != nil {
		return fixed{}, err
	}
	table, err := limits.Load()
	if err != nil {
		return fixed{}, err
	}
	f := fixed{jobs: int64(len(list.Jobs)), secrets: secretsKept}
	for _, j := range list.Jobs {
		// A month of 30 days, from any day on.
		from := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
		for at := j.Next(from); at.Before(from.AddDate(0, 0, 30)); at = j.Next(at) {
			f.runs++
		}
	}
	for _, row := range table.Functions {
		f.keptMilliCPU += int64(row.MinInstances) * int64(row.CPUMillis)
		f.keptMiB += int64(row.MinInstances) * int64(row.MemoryMiB)
	}
	return f, nil
}

// runNanos is what n requests cost at Cloud Run if each has an instance of one processor and 256 MiB to itself: instances that serve many at
// once cost less.
func runNanos(n int64) int64 {
	return n*requestNanos + n*requestMillis*cpuSecondNanos/1000 + n*requestMillis*gibSecondNanos/4/1000
}

// month is what a number of organisations costs.
func month(c counted, f fixed, orgs int64) bill {
	kept := orgs * (debits + usageEvents + grants) * monthsKept * entryBytes
	return bill{
		documents: c.debit.nanos(orgs*(debits+usageEvents)) + c.view.nanos(orgs*(checks+balances)) + c.page.nanos(orgs*entryPages) + c.grant.nanos(orgs*grants),
		stored:    priceOf(kept, gib, storedGiBNanos+recoveredGiBNanos) + priceOf(kept, gib, backupGiBNanos)*backupsKept,
		compute:   runNanos(orgs * requests),
		messages:  priceOf(orgs*messages*2*messageBytes, tib, messageTiBNanos),
		watching:  priceOf(orgs*requests*logLineBytes, gib, logGiBNanos) + min(orgs*requests, senders*monthSeconds/60)*samplesSent*sampleNanos,
		fixed: f.jobs*jobNanos + runNanos(f.runs) + f.secrets*secretNanos + f.runs*samplesSent*sampleNanos +
			f.keptMilliCPU*monthSeconds*idleSecondNanos/1000 + f.keptMiB*monthSeconds*gibSecondNanos/1024,
	}
}

// report is the tables, as README.md shows them.
func report(ctx context.Context) (string, error) {
	c, err := count(ctx)
	if err != nil {
		return "", err
	}
	f, err := always()
	if err != nil {
		return "", err
	}
	var out strings.Builder
	out.WriteString("| request | reads | writes | deletes | $ per million |\n|---|---|---|---|---|\n")
	for _, o := range []operations{c.debit, c.view, c.page, c.grant} {
		fmt.Fprintf(&out, "| %s | %s | %s | %s | %s |\n", o.what, per(o.reads, o.requests), per(o.writes, o.requests), per(o.deletes, o.requests), dollars(o.nanos(1_000_000)))
	}
	out.WriteString("\n| organisations | documents | stored, with backups | compute | messages | logs and figures | fixed | $ a month | $ per organisation |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, orgs := range sizes {
		b := month(c, f, orgs)
		fmt.Fprintf(&out, "| %s | %s | %s | %s | %s | %s | %s | **%s** | %s |\n", thousands(orgs), dollars(b.documents), dollars(b.stored), dollars(b.compute),
			dollars(b.messages), dollars(b.watching), dollars(b.fixed), dollars(b.total()), dollars(b.total()/orgs))
	}
	return out.String(), nil
}

// per is a ratio with two places, rounded up.
func per(n, of int64) string {
	hundredths := (n*100 + of - 1) / of
	return fmt.Sprintf("%d.%02d", hundredths/100, hundredths%100)
}

// dollars shows nano-dollars in whole cents, rounded up.
func dollars(nanos int64) string {
	cents := (nanos + 9_999_999) / 10_000_000
	return fmt.Sprintf("%s.%02d", thousands(cents/100), cents%100)
}

// thousands groups digits.
func thousands(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
