package credit_test

import (
	"slices"
	"testing"

	"github.com/fluxori/ai-credits/shared/credit"
)

func TestAGrantsOwnRecordIsWrittenWhenMoreThanItsCreditsChange(t *testing.T) {
	t.Parallel()
	p, line, next := paidBy("p"), paidBy("in:1"), paidBy("in:2")
	for _, tt := range []struct {
		name    string
		command credit.Command
		want    []string
	}{
		{"born", buy("new", 1), []string{paidBy("new")}},
		{"drawn on", debit("e", 1), nil},
		{"spent", debit("e", 50), []string{line}},
		{"clawed back", refund("p", 10), []string{p}},
		{"frozen", freeze("p", true), []string{p}},
		{"without its grace", subscribe("2", 7, 10, 20), []string{line, next}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := opened(t)
			b.must(buy("p", 100), day)
			b.must(subscribe("1", 50, 0, 10), day)
			b.commit(true)
			b.must(tt.command, day)
			var got []string
			for _, g := range b.state.Dirty() {
				got = append(got, g.ID)
			}
			slices.Sort(tt.want)
			if !slices.Equal(got, tt.want) {
				t.Errorf("to be written are %v; want %v", got, tt.want)
			}
			if len(b.state.Forget().Dirty()) != 0 {
				t.Error("after the commit something is to be written still")
			}
		})
	}
}
