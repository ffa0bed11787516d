package credit_test

import (
	"fmt"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
)

// An organisation has 500 credits of its plan's cycle and buys 300. It spends 200, which come from the plan, because they expire first. When
// the period and its grace are over, the rest of the plan's credits lapse; what was bought stays.
func Example() {
	start := time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)
	end := start.AddDate(0, 1, 0)
	state := credit.NewState(credit.NewWallet("acme", "Africa/Johannesburg"))
	state.LoadItem("si_plan") // there is no earlier grant of this subscription item

	do := func(c credit.Command, at time.Time) {
		next, out, err := credit.Decide(state, c, at)
		if err != nil {
			fmt.Println(err)
			return
		}
		state = next
		show(out.Entries)
	}
	do(credit.NewGrant{
		Key: credit.SystemKey("grant", "in_1", "il_1"),
		Terms: credit.Terms{
			Source: credit.Subscription, Granted: 500, Item: "si_plan",
			EffectiveAt: start, ExpiresAt: end, UsableUntil: end.Add(2 * time.Hour),
		},
	}, start)
	do(credit.NewGrant{Key: credit.SystemKey("grant", "pi_1"), Terms: credit.Terms{Source: credit.Purchase, Granted: 300}}, start.Add(time.Hour))
	do(credit.Debit{EventID: "job-1", Credits: 200, Work: credit.Work{Feature: "bulk-pricing"}}, start.Add(2*time.Hour))
	do(credit.Debit{EventID: "job-2", Credits: 601, Work: credit.Work{Feature: "bulk-pricing"}}, start.Add(3*time.Hour))

	// Nothing touches the wallet for a month and more; the expiry bears the moment at which it happened.
	next, out, _, err := credit.Journal(state, end.AddDate(0, 0, 3))
	if err != nil {
		fmt.Println(err)
		return
	}
	state = next
	show(out.Entries)
	fmt.Println("available:", state.Available)
	// Output:
	// 01 Mar 00:00 grant    500, available 500
	// 01 Mar 01:00 grant    300, available 800
	// 01 Mar 02:00 debit    200, available 600
	// insufficient_credits: there are not enough credits
	// 01 Apr 02:00 expiry   300, available 300
	// available: 300
}

func show(entries []*credit.Entry) {
	for _, e := range entries {
		fmt.Printf("%s %-8s %d, available %d\n", e.At.Format("02 Jan 15:04"), e.Kind, e.Credits, e.After.Available)
	}
}
