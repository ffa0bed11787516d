package credit_test

import (
	"errors"
	"reflect"

	"github.com/fluxori/ai-credits/shared/credit"
)

// again replays the batch from what is stored, with nothing cached but counters: the entries must be the same.
func (b *bank) again() {
	b.Helper()
	fork := newBank(b.failer)
	fork.store, fork.duePage, fork.waitPage = b.store, b.duePage, b.waitPage
	fork.forget()
	fork.state.KeepCounters(b.began) // a journal goes as far as the counters that it knows
	for _, o := range b.ops {
		fork.once(o)
	}
	if !reflect.DeepEqual(fork.batch, b.batch) {
		b.Fatalf("the same commands on the stored wallet give %d entries that differ from the batch's %d", len(fork.batch), len(b.batch))
	}
}

// once does one call of the domain, loading what it asks for.
func (b *bank) once(o op) {
	b.Helper()
	for range 1000 {
		var next *credit.State
		var out *credit.Outcome
		var more bool
		var err error
		if o.command == nil {
			next, out, more, err = credit.Journal(b.state, o.at)
		} else {
			next, out, err = credit.Decide(b.state, o.command, o.at)
		}
		var missing *credit.Missing
		if !errors.As(err, &missing) {
			if err != nil {
				b.Fatalf("%T, done before, now fails: %v", o.command, err)
			}
			b.gather(next, out, o)
			if !more { // what was known to the batch may have to be loaded here in the middle of the journal
				return
			}
			continue
		}
		b.load(missing)
	}
	b.Fatalf("%T: no answer", o.command)
}
