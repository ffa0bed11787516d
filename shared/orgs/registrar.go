package orgs

import (
	"context"
	"errors"
	"fmt"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/ledger"
)

// Wallets carries out commands on wallets, as a *ledger.Ledger does.
type Wallets interface {
	Do(ctx context.Context, org string, c credit.Command) (ledger.Result, error)
}

// Currencies knows the catalogue in force, as a *catalogue.Store does.
type Currencies interface {
	Current(ctx context.Context) (*catalogue.Catalogue, error)
}

// Registrar registers and changes organisations: the document first, then the wallet.
//
// If it fails in between, the document has the change and the wallet does not have it yet. The same call repeated finds the document as it
// should be, and tells the wallet all the same. Calls at once reach the wallet in any order: the revision makes the later stand.
type Registrar struct {
	store      *Store
	wallets    Wallets
	currencies Currencies
}

// NewRegistrar returns a Registrar.
func NewRegistrar(store *Store, wallets Wallets, currencies Currencies) (*Registrar, error) {
	if store == nil || wallets == nil || currencies == nil {
		return nil, errors.New("registering organisations needs a store, wallets and currencies")
	}
	return &Registrar{store: store, wallets: wallets, currencies: currencies}, nil
}

// Put makes an organisation's profile what it says, and reports whether the organisation is new; then it has the default alerts and an
// empty wallet. Errors are an *Error, `invalid_request` or `unavailable`, the catalogue's, or the ledger's.
func (r *Registrar) Put(ctx context.Context, org string, p Profile) (out Org, created bool, err error) {
	if err := credit.CheckOrg(org); err != nil {
		return Org{}, false, fmt.Errorf("organisation %q: %w", org, err)
	}
	if p.Zone == "" {
		p.Zone = DefaultZone
	}
	if err := p.Check(); err != nil {
		return Org{}, false, err
	}
	current, err := r.currencies.Current(ctx)
	if err != nil {
		return Org{}, false, fmt.Errorf("find the currency of %s: %w", p.Country, err)
	}
	out, created, err = r.store.put(ctx, org, p, string(current.CurrencyOf(p.Country)))
	if err != nil {
		return Org{}, false, err
	}
	return out, created, r.tell(ctx, out)
}

// SetAlerts makes an organisation's alert settings what it says; kinds that it has no choice for, and a billing contact that it says nothing of, stay as
// they are. Errors are an *Error, `invalid_request`, `unknown_org` or `unavailable`,
// or the ledger's.
func (r *Registrar) SetAlerts(ctx context.Context, org string, a Alerts) (Org, error) {
	if credit.CheckOrg(org) != nil {
		return Org{}, UnknownOrg()
	}
	if err := a.Check(); err != nil {
		return Org{}, err
	}
	out, err := r.store.setAlerts(ctx, org, a.ordered())
	if err != nil {
		return Org{}, err
	}
	return out, r.tell(ctx, out)
}

// tell makes the wallet's settings those of the document.
func (r *Registrar) tell(ctx context.Context, o Org) error {
	if _, err := r.wallets.Do(ctx, o.ID, o.Configure()); err != nil {
		return fmt.Errorf("tell the wallet of %s its settings of revision %d: %w", o.ID, o.Revision, err)
	}
	return nil
}
