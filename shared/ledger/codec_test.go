package ledger

import (
	"reflect"
	"testing"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/fluxori/ai-credits/shared/credit"
)

// TestAGrantIsReadAsItWasWritten holds for a grant of which every field says something.
func TestAGrantIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 8, 0, 0, 1000, time.UTC)
	want := credit.Grant{
		Terms: credit.Terms{
			ID: "gr_1", Source: credit.Promotion, Granted: 100, Priority: -3, EffectiveAt: at, ExpiresAt: at.Add(time.Hour), UsableUntil: at.Add(2 * time.Hour),
			Payment: "pi_1", Item: "si_1", Campaign: "WELCOME50", LinkedTo: "gr_0",
		},
		CreatedAt: at, Free: 50, Held: 7, Expired: 11, ClawedBack: 13, TakenOwn: 5, TakenElsewhere: 3, Started: true, Frozen: true, Moves: 17, Place: credit.Aside,
	}
	for _, v := range []reflect.Value{reflect.ValueOf(want.Terms), reflect.ValueOf(want)} {
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Errorf("%s says nothing", v.Type().Field(i).Name)
			}
		}
	}
	got, err := decodeGrantRecord(&pb.Document{Fields: encodeGrantRecord("acme", &want)})
	if err != nil || !reflect.DeepEqual(*got, want) {
		t.Errorf("read %+v, %v; written was %+v", got, err, want)
	}
}
