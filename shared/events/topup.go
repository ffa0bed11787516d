package events

import "github.com/fluxori/ai-credits/shared/credit"

// The kinds of alerts about auto top-ups. They are raised where cards are charged, not by the domain.
const (
	TopUpMade     credit.EventKind = "top_up_made"
	TopUpDeclined credit.EventKind = "top_up_declined"
	TopUpCapped   credit.EventKind = "top_up_capped"
)
