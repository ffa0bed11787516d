package main

import (
	"context"
	"slices"
)

// tries is how often a smaller plan is run before it is held to keep the rules: a run is not wholly repeatable.
const tries = 3

// shrink looks for a smaller plan that breaks a rule too: fewer rounds, organisations, operations and kinds of faults.
func (n *runner) shrink(ctx context.Context, r report) report {
	for smaller := true; smaller && ctx.Err() == nil; {
		smaller = false
		for _, p := range simpler(r.Plan) {
			if found, ok := n.breaks(ctx, p); ok {
				r, smaller = found, true
				break
			}
		}
	}
	return r
}

// simpler are plans that are a step smaller, the boldest first.
func simpler(p plan) []plan {
	var out []plan
	with := func(change func(*plan)) {
		next := p
		next.Without = slices.Clone(p.Without)
		change(&next)
		out = append(out, next)
	}
	if p.Rounds > 1 {
		with(func(n *plan) { n.Operations, n.Rounds = n.Operations/n.Rounds, 1 })
		with(func(n *plan) { n.Operations, n.Rounds = n.Operations*(n.Rounds-1)/n.Rounds, n.Rounds-1 })
	}
	if p.Orgs > 1 {
		with(func(n *plan) { n.Orgs-- })
	}
	if p.Operations > 20 {
		with(func(n *plan) { n.Operations /= 2 })
		with(func(n *plan) { n.Operations = n.Operations * 4 / 5 })
	}
	for _, k := range kinds {
		if !slices.Contains(p.Without, k) {
			with(func(n *plan) { n.Without = append(n.Without, k) })
		}
	}
	return out
}

// breaks runs a plan a few times, until it breaks a rule.
func (n *runner) breaks(ctx context.Context, p plan) (report, bool) {
	for range tries {
		if r := n.run(ctx, p); r.Broken != "" && ctx.Err() == nil {
			return r, true
		}
	}
	return report{}, false
}
