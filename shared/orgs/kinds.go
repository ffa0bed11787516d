package orgs

import (
	"slices"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/events"
)

// Kind is what an organisation chooses the channels of: alerts that people see as one.
type Kind string

// The kinds.
const (
	KindLowBalance    Kind = "low_balance"
	KindExpiry        Kind = "expiry"
	KindDebt          Kind = "debt"
	KindLimits        Kind = "limits"
	KindLimitRequests Kind = "limit_requests"
	KindLimitAnswers  Kind = "limit_answers"
	KindPurchases     Kind = "purchases"
	KindRefunds       Kind = "refunds"
	KindDisputes      Kind = "disputes"
	KindTopUps        Kind = "top_ups"
	KindTopUpFailures Kind = "top_up_failures"
	KindStatements    Kind = "statements"
	KindRenewals      Kind = "renewals"
)

// Topic is what an address may leave by one click: kinds that mails speak of as one.
type Topic string

// The topics.
const (
	TopicBalance  Topic = "balance"
	TopicExpiry   Topic = "expiry"
	TopicLimits   Topic = "limits"
	TopicRequests Topic = "requests"
	TopicPayments Topic = "payments"
)

// KindRow is what there is to know of a kind.
type KindRow struct {
	Kind Kind
	// Name is what people call it.
	Name string
	// Topic is what an address leaves to get no more of its mails. Of payments the billing contact is told too, unless the organisation chose otherwise.
	Topic Topic
	// Events are the alerts that are of it.
	Events []credit.EventKind
	// Personal says that its alerts are for one member alone, never for the billing contact.
	Personal bool
	// unchosen are its channels while the organisation has not chosen any. They stand for themselves where people wait for an answer, or where it is
	// about money that was paid or should have been; else they follow what was chosen for a low balance.
	unchosen func(Alerts) []Channel
}

// kinds is the one table of what organisations are told.
var kinds = []KindRow{
	{
		Kind: KindLowBalance, Name: "Low balance", Topic: TopicBalance, unchosen: asLowBalance,
		Events: []credit.EventKind{credit.EventLowBalance},
	},
	{
		Kind: KindDebt, Name: "Credits used up, more owed", Topic: TopicBalance, unchosen: asLowBalance,
		Events: []credit.EventKind{credit.EventDebt, credit.EventDebtCeiling},
	},
	{
		Kind: KindExpiry, Name: "Credits that lapse soon", Topic: TopicExpiry, unchosen: asExpiry,
		Events: []credit.EventKind{credit.EventExpiring},
	},
	{
		Kind: KindLimits, Name: "Limits that fill up", Topic: TopicLimits, unchosen: alwaysOnDashboard,
		Events: []credit.EventKind{credit.EventLimit, credit.EventLimitFull},
	},
	{
		Kind: KindLimitRequests, Name: "Requests for higher limits", Topic: TopicRequests, unchosen: everywhere,
		Events: []credit.EventKind{events.LimitRequested},
	},
	{
		Kind: KindLimitAnswers, Name: "Answers to those who asked for a higher limit", Topic: TopicRequests, Personal: true, unchosen: everywhere,
		Events: []credit.EventKind{events.LimitRequestGranted, events.LimitRequestDeclined},
	},
	{
		Kind: KindPurchases, Name: "Purchases", Topic: TopicPayments, unchosen: asLowBalance,
		Events: []credit.EventKind{credit.EventPurchased},
	},
	{
		Kind: KindRefunds, Name: "Refunds", Topic: TopicPayments, unchosen: asLowBalance,
		Events: []credit.EventKind{credit.EventTakenBack, credit.EventGivenBack},
	},
	{
		Kind: KindDisputes, Name: "Disputed payments", Topic: TopicPayments, unchosen: asLowBalance,
		Events: []credit.EventKind{credit.EventDisputed},
	},
	{
		Kind: KindTopUps, Name: "Auto top-ups", Topic: TopicPayments, unchosen: everywhere,
		Events: []credit.EventKind{events.TopUpMade},
	},
	{
		Kind: KindTopUpFailures, Name: "Auto top-ups that failed", Topic: TopicPayments, unchosen: everywhere,
		Events: []credit.EventKind{events.TopUpDeclined, events.TopUpCapped},
	},
	{
		Kind: KindStatements, Name: "Statements of cycles", Topic: TopicPayments, unchosen: everywhere,
		Events: []credit.EventKind{events.CycleClosed},
	},
	{
		Kind: KindRenewals, Name: "Renewals that did not come", Topic: TopicPayments, unchosen: everywhere,
		Events: []credit.EventKind{events.RenewalMissing},
	},
}

// Kinds lists the kinds, in the order that people are shown them.
func Kinds() []KindRow { return slices.Clone(kinds) }

// KindOf finds the kind of an alert; ok is false for one that organisations are not told.
func KindOf(alert credit.EventKind) (row KindRow, ok bool) {
	return find(func(k KindRow) bool { return slices.Contains(k.Events, alert) })
}

// Row finds what there is to know of a kind.
func (k Kind) Row() (row KindRow, ok bool) {
	return find(func(r KindRow) bool { return r.Kind == k })
}

func find(is func(KindRow) bool) (KindRow, bool) {
	i := slices.IndexFunc(kinds, is)
	if i < 0 {
		return KindRow{}, false
	}
	return kinds[i], true
}

// HasOwnSetting reports whether a kind is set by itself, and not among [Alerts.Chosen].
func (k Kind) HasOwnSetting() bool { return k == KindLowBalance || k == KindExpiry }

func asLowBalance(a Alerts) []Channel {
	if !a.LowBalance.Enabled {
		return nil
	}
	return a.LowBalance.Channels
}

func asExpiry(a Alerts) []Channel {
	if !a.Expiry.Enabled {
		return nil
	}
	return a.Expiry.Channels
}

// alwaysOnDashboard is the feed, and mail if that of a low balance would be sent, switched on or not: who sets a limit wants to be told.
func alwaysOnDashboard(a Alerts) []Channel {
	if slices.Contains(a.LowBalance.Channels, Email) {
		return everywhere(a)
	}
	return []Channel{Dashboard}
}

func everywhere(Alerts) []Channel { return []Channel{Email, Dashboard} }

// Channels are those that alerts of a kind are told by: what was chosen, or what goes without a choice.
func (a Alerts) Channels(k KindRow) []Channel {
	if chosen, ok := a.Chosen[k.Kind]; ok {
		return chosen
	}
	return k.unchosen(a)
}

// TellsContact reports whether the billing contact gets the mails of a kind too.
func (a Alerts) TellsContact(k KindRow) bool {
	if a.Contact == nil {
		return k.Topic == TopicPayments
	}
	return slices.Contains(a.Contact, k.Kind)
}
