package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
)

// walletVerbs are the verbs by which support changes a wallet by hand.
func walletVerbs() []verb {
	setFrozen := func(name, summary string, what func(organisation) string) verb {
		return verb{
			name: name, operands: []string{"ORG"}, who: support, asks: true, summary: summary, example: name + ` kalahari-crafts -reason "Ticket 4711"`,
			prepare: func(t *tool, flags *flag.FlagSet) action {
				c := t.changeFlags(flags)
				return func(ctx context.Context, o []string) error { return c.setFrozen(ctx, o[0], name, what) }
			},
		}
	}
	return []verb{
		{
			name: "adjust", operands: []string{"ORG"}, who: support, asks: true, summary: "add credits by hand, or take them where they are there to be taken",
			example: `adjust kalahari-crafts -add 50 -reason "Report of 3 March was empty"`,
			prepare: func(t *tool, flags *flag.FlagSet) action {
				c := t.changeFlags(flags)
				add := flags.Int64("add", 0, "how many credits to add")
				take := flags.Int64("take", 0, "how many credits to take")
				return func(ctx context.Context, o []string) error { return c.adjust(ctx, o[0], *add, *take) }
			},
		},
		setFrozen("freeze", "have a wallet refuse debits and holds", func(o organisation) string {
			return "This freezes the wallet of " + o.label() + ": its debits and holds are refused from now on."
		}),
		setFrozen("thaw", "have a wallet take debits and holds again", func(o organisation) string {
			return "This thaws the wallet of " + o.label() + ": its debits and holds are taken again."
		}),
	}
}

// change is something that support does to a wallet, with a reason and a key.
type change struct {
	*account
	reason, key string
}

func (t *tool) changeFlags(flags *flag.FlagSet) *change {
	c := &change{account: t.account(flags, support)}
	flags.StringVar(&c.reason, "reason", "", "why; it stands in the ledger")
	flags.StringVar(&c.key, "key", "", "the key of an earlier attempt, to repeat it; otherwise one is chosen and printed")
	return c
}

func (c *change) adjust(ctx context.Context, org string, add, take int64) error {
	if add < 0 || take < 0 || (add == 0) == (take == 0) {
		return fmt.Errorf("%w: say how many credits to -add or to -take, above 0", errUsage)
	}
	if c.reason == "" {
		return fmt.Errorf("%w: -reason is missing", errUsage)
	}
	o, _, err := c.organisation(ctx, org)
	if err != nil {
		return err
	}
	b, _, err := read[balance](ctx, c.account, in(org, "balance"), nil)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("This takes %s credits from %s.\navailable %s → %s", credits(take), o.label(), credits(b.Available), credits(b.Available-take))
	if add > 0 {
		repaid := min(b.Debt, add)
		what = fmt.Sprintf("This adds %s credits to %s.\navailable %s → %s", credits(add), o.label(), credits(b.Available), credits(b.Available+add-repaid))
		if repaid > 0 {
			what += fmt.Sprintf(", debt %s → %s", credits(b.Debt), credits(b.Debt-repaid))
		}
	}
	return c.carryOut(ctx, o, "adjustments", what, map[string]any{"credits": add - take, "reason": c.reason})
}

func (c *change) setFrozen(ctx context.Context, org, verb string, what func(organisation) string) error {
	if c.reason == "" {
		return fmt.Errorf("%w: -reason is missing", errUsage)
	}
	o, _, err := c.organisation(ctx, org)
	if err != nil {
		return err
	}
	return c.carryOut(ctx, o, verb, what(o), map[string]any{"reason": c.reason})
}

// carryOut asks, does it under a key, and tells the entry.
func (c *change) carryOut(ctx context.Context, o organisation, path, what string, body any) error {
	if err := c.confirm(ctx, what+"\nreason: "+clean(c.reason), o.OrgID); err != nil {
		return err
	}
	e, data, err := send[entry](ctx, c.account, http.MethodPost, in(o.OrgID, path), body, c.chosenKey(c.key))
	if err != nil {
		return err
	}
	if c.json {
		return c.print(data)
	}
	fmt.Fprintln(c.out, done(e.Replayed))
	return c.tell(e.facts(o.zone())...)
}

// done says whether something was done now, or before under the same key.
func done(replayed bool) string {
	if replayed {
		return "Done before, under this key:"
	}
	return "Done:"
}
