package usage

import (
	"testing"

	"github.com/fluxori/ai-credits/shared/client"
	"github.com/fluxori/ai-credits/shared/credit"
)

// TestWhatAServiceReportsIsChargedForOnce reports by the client, each report twice, as a service does that was not told the first time.
func TestWhatAServiceReportsIsChargedForOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.Fund(t, s.ledger, "acme", 500)
	r := client.NewReporter(s.Messages)
	t.Cleanup(r.Stop)
	if _, err := s.ledger.Do(t.Context(), "acme", credit.PlaceHold{
		EventID: "job", Credits: 40, Work: credit.Work{Feature: "custom-query", PriceVersion: 1}, Actor: "test",
		Content: credit.Content{Kind: credit.KindHold, Org: "acme", Feature: "custom-query"},
	}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.Report(t.Context(), client.Debit{EventID: "done", Work: client.Work{OrgID: "acme", UserID: "u1", Feature: "restock-prediction"}}); err != nil {
			t.Fatal(err)
		}
		if err := r.ReportCapture(t.Context(), credit.HoldID("acme", "job"), 30); err != nil {
			t.Fatal(err)
		}
	}
	s.Quiet(t)
	if got := s.figures(t, "acme"); got != (credit.Figures{Available: 500 - 25 - 30}) || len(s.reasons(t)) != 0 {
		t.Errorf("%+v, put aside %v", got, s.reasons(t))
	}
}
