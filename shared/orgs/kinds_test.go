package orgs_test

import (
	"slices"
	"testing"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/orgs"
)

// TestTheTableOfKindsHasEachAlertOnce keeps the one table complete: the domain's alerts are all in it, none twice, and each row says everything.
func TestTheTableOfKindsHasEachAlertOnce(t *testing.T) {
	t.Parallel()
	seen := map[credit.EventKind]orgs.Kind{}
	for _, row := range orgs.Kinds() {
		if got, ok := row.Kind.Row(); !ok || got.Name != row.Name || row.Name == "" || row.Topic == "" || len(row.Events) == 0 {
			t.Errorf("%+v is not whole, or not found", row)
		}
		for _, e := range row.Events {
			if other, twice := seen[e]; twice {
				t.Errorf("%s is of %s and of %s", e, other, row.Kind)
			}
			seen[e] = row.Kind
			if got, ok := orgs.KindOf(e); !ok || got.Kind != row.Kind {
				t.Errorf("%s is of %s, want %s", e, got.Kind, row.Kind)
			}
		}
	}
	for _, e := range []credit.EventKind{
		credit.EventLowBalance, credit.EventDebt, credit.EventDebtCeiling, credit.EventExpiring, credit.EventLimit, credit.EventLimitFull,
		credit.EventPurchased, credit.EventTakenBack, credit.EventDisputed, credit.EventGivenBack,
	} {
		if seen[e] == "" || !e.Alert() {
			t.Errorf("%s is an alert (%v) of the kind %q", e, e.Alert(), seen[e])
		}
	}
	if row, ok := orgs.KindOf(credit.EventTopUpDue); ok {
		t.Errorf("nobody is told that a top-up is due, but it is of %s", row.Kind)
	}
}

// TestWhatNobodyChoseIsAsItWasBeforeThereWereKinds: the low balance's setting speaks for money that moved, limits stay in the feed, and what
// somebody waits for comes by both.
func TestWhatNobodyChoseIsAsItWasBeforeThereWereKinds(t *testing.T) {
	t.Parallel()
	email, feed := []orgs.Channel{orgs.Email}, []orgs.Channel{orgs.Dashboard}
	both := []orgs.Channel{orgs.Email, orgs.Dashboard}
	for name, tc := range map[string]struct {
		low              orgs.LowBalance
		follows, limited []orgs.Channel
	}{
		"on by mail": {orgs.LowBalance{Enabled: true, Channels: email}, email, both},
		"on in feed": {orgs.LowBalance{Enabled: true, Channels: feed}, feed, feed},
		"off":        {orgs.LowBalance{Channels: email}, nil, both},
	} {
		a := orgs.Alerts{LowBalance: tc.low, Expiry: orgs.Expiry{Enabled: true, Channels: feed}}
		for _, row := range orgs.Kinds() {
			want := both
			switch row.Kind {
			case orgs.KindLowBalance, orgs.KindDebt, orgs.KindPurchases, orgs.KindRefunds, orgs.KindDisputes:
				want = tc.follows
			case orgs.KindLimits:
				want = tc.limited
			case orgs.KindExpiry:
				want = feed
			case orgs.KindLimitRequests, orgs.KindLimitAnswers, orgs.KindTopUps, orgs.KindTopUpFailures, orgs.KindStatements, orgs.KindRenewals:
			}
			if got := a.Channels(row); !slices.Equal(got, want) {
				t.Errorf("%s: %s goes to %v, want %v", name, row.Kind, got, want)
			}
		}
	}
}
