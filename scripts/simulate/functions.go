package main

// The functions that run; each registers itself.
import (
	_ "github.com/fluxori/ai-credits/functions/account"
	_ "github.com/fluxori/ai-credits/functions/alerts"
	_ "github.com/fluxori/ai-credits/functions/audit"
	_ "github.com/fluxori/ai-credits/functions/autotopup"
	_ "github.com/fluxori/ai-credits/functions/billingcycle"
	_ "github.com/fluxori/ai-credits/functions/debit"
	_ "github.com/fluxori/ai-credits/functions/expiry"
	_ "github.com/fluxori/ai-credits/functions/outbox"
	_ "github.com/fluxori/ai-credits/functions/purchasewebhook"
	_ "github.com/fluxori/ai-credits/functions/reconcile"
	_ "github.com/fluxori/ai-credits/functions/usage"
)
