package credit_test

import (
	"strings"
	"testing"

	"github.com/fluxori/ai-credits/shared/credit"
)

// FuzzIDs takes any texts for ids: what is taken for one can stand in a document's path, comes back, and no two keys share a document.
func FuzzIDs(f *testing.F) {
	f.Fuzz(func(t *testing.T, org, event, hold string) {
		if of, doc, err := credit.ParseHoldID(hold); err == nil {
			if of+"."+doc != hold || credit.CheckOrg(of) != nil || strings.ContainsAny(hold, "/\x00") {
				t.Fatalf("%q is read as %q of %q", hold, doc, of)
			}
		}
		if credit.CheckOrg(org) != nil {
			return
		}
		if strings.Trim(org, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || len(org) > 64 {
			t.Fatalf("%q counts as an organisation", org)
		}
		id := credit.HoldID(org, event)
		of, doc, err := credit.ParseHoldID(id)
		if err != nil || of != org || credit.CallerDoc(doc) != credit.CallerKey(event).Doc() {
			t.Fatalf("the hold %q of %q is %q of %q, %v", event, org, doc, of, err)
		}
		if credit.CallerKey(event).Doc() == credit.SystemKey(event).Doc() || event != hold && credit.CallerKey(event).Doc() == credit.CallerKey(hold).Doc() {
			t.Fatalf("%q and %q share a document", event, hold)
		}
	})
}
