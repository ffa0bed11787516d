package ledger_test

import (
	"testing"

	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/ledger"
)

func TestTheLatestSettingsStandInWhateverOrderTheyArrive(t *testing.T) {
	t.Parallel()
	threshold := func(credits int64) *credit.Threshold { return &credit.Threshold{On: true, Credits: credits} }
	for _, c := range []struct {
		name  string
		order []credit.Configure
		want  int64
	}{
		{"in order", []credit.Configure{{Revision: 1, LowBalance: threshold(10)}, {Revision: 2, LowBalance: threshold(20)}}, 20},
		{"the later first", []credit.Configure{{Revision: 2, LowBalance: threshold(20)}, {Revision: 1, LowBalance: threshold(10)}}, 20},
		{"one repeated", []credit.Configure{{Revision: 2, LowBalance: threshold(20)}, {Revision: 2, LowBalance: threshold(20)}}, 20},
		{"without a revision", []credit.Configure{{Revision: 2, LowBalance: threshold(20)}, {LowBalance: threshold(30)}}, 30},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			db := openStore(t)
			configure(t, db.ledger(t, ledger.Options{}), "acme")
			for _, command := range c.order {
				// A ledger of its own for each, so that the revision is read back from the store.
				if _, err := db.ledger(t, ledger.Options{}).Do(t.Context(), "acme", command); err != nil {
					t.Fatal(err)
				}
			}
			w, err := db.ledger(t, ledger.Options{}).View(t.Context(), "acme")
			if err != nil || w.Low.Threshold != c.want {
				t.Errorf("the threshold is %d (%v), want %d", w.Low.Threshold, err, c.want)
			}
		})
	}
}
