package audit

import (
	"github.com/fluxori/ai-credits/shared/credit"
	"github.com/fluxori/ai-credits/shared/ledger"
)

// state is what a wallet's entries come to, up to one of them.
type state struct {
	book *credit.Book
	// placed is how many holds the entries placed. The book keeps those that are open; what became of the others has been compared.
	placed int64
	// days are what entries moved on the days that are not compared for good, and compared is the first of these.
	days     map[string]moved
	compared string
	// touched are the grants, and windows the windows of counters, that entries moved and that have not been compared since; all says that
	// everything is to be compared.
	touched map[string]bool
	windows map[string]bool
	all     bool
}

// newState is that of a wallet without entries.
func newState(org string) *state {
	return &state{
		book: credit.NewLongBook(org), days: map[string]moved{}, compared: firstDay, touched: map[string]bool{}, windows: map[string]bool{}, all: true,
	}
}

// mark is up to where the entries are added up.
func (s *state) mark() ledger.Mark { return ledger.Mark{Seq: s.book.Seq, At: s.book.LastAt} }

// settle forgets what has been compared.
func (s *state) settle() {
	s.touched, s.windows, s.all = map[string]bool{}, map[string]bool{}, false
	for id, h := range s.book.Holds {
		if h.State != credit.HoldOpen {
			delete(s.book.Holds, id)
		}
	}
}

// moved is what entries moved on a day: credits by field of the day's roll-up document.
type moved map[string]int64

func (m moved) add(field string, n int64) {
	if n != 0 {
		m[field] += n
	}
}
