package payments

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/fluxori/ai-credits/shared/coded"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// keyLife is how long an order's key is remembered.
const keyLife = 90 * 24 * time.Hour

// orderKey is the record purchaseKeys/{hash of organisation and key}: it tells which purchase an order became.
type orderKey struct {
	V         int64     `firestore:"v"`
	Org       string    `firestore:"org"`
	Reference string    `firestore:"reference"`
	Content   string    `firestore:"content"` // what was ordered
	ExpireAt  time.Time `firestore:"expire_at"`
}

func (s store) orderKey(o Order) *firestore.DocumentRef {
	sum := sha256.Sum256([]byte(o.Org + "/" + o.Key)) // an organisation's id has no slash
	return s.client.Collection("purchaseKeys").Doc(hex.EncodeToString(sum[:20]))
}

// content is what must be equal for two orders under one key to be the same.
func (o Order) content() string { return o.Package + "/" + strconv.FormatInt(o.Credits, 10) }

// ordered finds the purchase that an order became before.
func (s store) ordered(ctx context.Context, o Order) (p Purchase, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	snapshot, err := s.orderKey(o).Get(ctx)
	switch {
	case status.Code(err) == codes.NotFound:
		return Purchase{}, false, nil
	case err != nil:
		return Purchase{}, false, storeDown(fmt.Errorf("read an order's key: %w", err))
	}
	var k orderKey
	if err := decode(snapshot, &k); err != nil {
		return Purchase{}, false, err
	}
	if k.Content != o.content() {
		return Purchase{}, false, conflict("This key was used for another order.")
	}
	r, err := s.load(ctx, k.Reference, "")
	switch {
	case err != nil:
		return Purchase{}, false, err
	case r.purchase == nil:
		return Purchase{}, false, fmt.Errorf("the order's purchase %s is not there", k.Reference)
	}
	return *r.purchase, true, nil
}

// order records a purchase under a new reference, with the order's key. When the key is taken meanwhile, by the same order or by this very
// commit whose answer was lost, that purchase is the one.
func (s store) order(ctx context.Context, o Order, p Purchase) (out Purchase, found bool, err error) {
	key := orderKey{V: schemaVersion, Org: o.Org, Content: o.content(), ExpireAt: p.CreatedAt.Add(keyLife)}
	tried := map[string]bool{}
	err = s.insist(ctx, func(ctx context.Context) error {
		if len(tried) > 0 {
			if out, found, err = s.ordered(ctx, o); found || err != nil {
				return err
			}
		}
		p.Reference = NewReference()
		key.Reference = p.Reference
		tried[p.Reference] = true
		out = p
		return s.commit(ctx, []write{
			func(tx *firestore.Transaction) error {
				return tx.Create(s.purchases().Doc(p.Reference), purchaseDocument{V: schemaVersion, Purchase: p})
			},
			func(tx *firestore.Transaction) error { return tx.Create(s.orderKey(o), key) },
		})
	})
	return out, found && !tried[out.Reference], err
}

func conflict(public string) *Error {
	return &Error{coded.Reason{Is: "idempotency_conflict", Says: public}}
}
