package payments

import (
	"context"
	"fmt"
	"time"

	"github.com/fluxori/ai-credits/shared/credit"
)

// Bonuses gives what campaigns promised for an organisation's purchases.
type Bonuses interface {
	// PurchasePaid gives the bonuses of a purchase that has been paid and granted, and lists them all. It is asked again whenever the
	// purchase's event comes again, and then lists the same, giving nothing twice. Every error passes.
	PurchasePaid(ctx context.Context, p PaidPurchase) ([]Bonus, error)
}

// PaidPurchase is a purchase that money was paid for.
type PaidPurchase struct {
	Org, Reference string
	// Payment is the payment intent, Grant the id of the grant that the purchase became.
	Payment, Grant string
	// Begun is when it was ordered.
	Begun time.Time
}

// Bonus is a grant that a purchase brought beside its own credits, maybe to another organisation. Those in the buyer's wallet are linked to the
// purchase's grant, so that a clawback of it takes them along; those in others' wallets must be clawed back by themselves.
type Bonus struct {
	Org     string        `firestore:"org"`
	ID      string        `firestore:"id"`
	Source  credit.Source `firestore:"source"`
	Credits int64         `firestore:"credits"`
}

// reward gives the bonuses of a purchase that has been granted, and adds them to what the records learn. What cost nothing brings none.
func (r *Receiver) reward(ctx context.Context, bought *Purchase, f *Fact) error {
	if r.opts.Bonuses == nil || bought == nil || f == nil || f.Reference == "" || f.Status != Paid || f.Amount <= f.Tax || len(f.Grants) != 1 {
		return nil
	}
	given, err := r.opts.Bonuses.PurchasePaid(ctx, PaidPurchase{
		Org: f.Org, Reference: f.Reference, Payment: f.Payment, Grant: f.Grants[0].ID, Begun: bought.CreatedAt,
	})
	if err != nil {
		return fmt.Errorf("give the bonuses of purchase %s: %w", f.Reference, err)
	}
	f.Bonuses = given
	return nil
}
