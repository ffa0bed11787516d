package spend_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/fluxori/ai-credits/shared/spend"
	"github.com/fluxori/ai-credits/shared/strictjson"
)

// FuzzBodies reads anything as the body of each request to spend, which is also the data of usage messages. What is taken comes back as it was.
func FuzzBodies(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte) {
		comesBack[spend.Request](t, body)
		comesBack[spend.HoldRequest](t, body)
		comesBack[spend.Capture](t, body)
	})
}

func comesBack[T any](t *testing.T, body []byte) {
	t.Helper()
	const most = 16 << 10
	first, err := strictjson.Unmarshal[T](body, most)
	if err != nil {
		return
	}
	written, err := json.Marshal(first)
	if err != nil {
		t.Fatalf("%+v cannot be written: %v", first, err)
	}
	again, err := strictjson.Unmarshal[T](written, 8*most)
	if err != nil || !reflect.DeepEqual(first, again) {
		t.Fatalf("%s came back as %+v, %v; was %+v", body, again, err, first)
	}
}
