package needs

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// outcome is how a test that asked for something went on.
type outcome struct {
	testing.TB // for Helper and Context

	verdict string // "skipped", "failed", or "" when it may run
	message string
}

// stopped is what a recorded skip or failure panics with, to end the asker as testing does.
type stopped struct{}

func (o *outcome) Skipf(format string, args ...any)  { o.end("skipped", format, args) }
func (o *outcome) Fatalf(format string, args ...any) { o.end("failed", format, args) }

func (o *outcome) end(verdict, format string, args []any) {
	o.verdict, o.message = verdict, fmt.Sprintf(format, args...)
	panic(stopped{})
}

// ask runs need as a test would and tells how it ended.
func ask(t *testing.T, need func(testing.TB)) *outcome {
	t.Helper()
	o := &outcome{TB: t}
	func() {
		defer func() {
			if r := recover(); r != nil && r != (stopped{}) {
				panic(r)
			}
		}()
		need(o)
	}()
	return o
}

func variables(m map[string]string) environment {
	return func(name string) string { return m[name] }
}

func TestAnUnmetNeedSkipsUnlessAllIsRequired(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		env      map[string]string
		need     func(testing.TB, environment)
		verdict  string
		mentions string
	}{
		{"Firestore, unset", nil, addressOf(firestoreEmulator), "skipped", "CREDITS_TEST_EMULATOR"},
		{"Firestore, required", map[string]string{requireAll: "1"}, addressOf(firestoreEmulator), "failed", "CREDITS_TEST_EMULATOR"},
		{"Pub/Sub, unset", nil, addressOf(pubsubEmulator), "skipped", "CREDITS_TEST_PUBSUB_EMULATOR"},
		{"Pub/Sub, required", map[string]string{requireAll: "1"}, addressOf(pubsubEmulator), "failed", "CREDITS_TEST_PUBSUB_EMULATOR"},
		{"Terraform, unset", nil, checker, "skipped", "CREDITS_TEST_TERRAFORM"},
		{"Terraform, required", map[string]string{requireAll: "1"}, checker, "failed", "CREDITS_TEST_TERRAFORM"},
		{"Terraform, set", map[string]string{requireAll: "1", terraform: "registry"}, checker, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := ask(t, func(tb testing.TB) {
				tb.Helper()
				tc.need(tb, variables(tc.env))
			})
			if o.verdict != tc.verdict || !strings.Contains(o.message, tc.mentions) {
				t.Errorf("%q, %q; want %q and a mention of %q", o.verdict, o.message, tc.verdict, tc.mentions)
			}
		})
	}
}

func TestLongRunsAreAskedForByName(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		full, requireAll string
		want             bool
	}{{"", "", false}, {"yes", "", false}, {"1", "", true}, {"", "1", false}, {"1", "1", true}} {
		if got := thorough(variables(map[string]string{full: tc.full, requireAll: tc.requireAll})); got != tc.want {
			t.Errorf("with %s=%q and %s=%q: %t", full, tc.full, requireAll, tc.requireAll, got)
		}
	}
}

func checker(tb testing.TB, env environment) {
	tb.Helper()
	checkerOf(tb, env)
}

func addressOf(e *emulator) func(testing.TB, environment) {
	return func(tb testing.TB, env environment) {
		tb.Helper()
		e.address(tb, env)
	}
}

func TestANamedEmulatorIsUsedOnlyIfItAnswers(t *testing.T) {
	t.Parallel()
	healthy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "Ok") }))
	t.Cleanup(healthy.Close)
	where := strings.TrimPrefix(healthy.URL, "http://")
	var got string
	o := ask(t, func(tb testing.TB) {
		tb.Helper()
		got = firestoreEmulator.address(tb, variables(map[string]string{firestoreEmulator.variable: where}))
	})
	if o.verdict != "" || got != where {
		t.Errorf("address %q, %q, %q; want %q", got, o.verdict, o.message, where)
	}

	broken := newEmulator("a broken emulator", "BROKEN", nil)
	broken.start = func() (string, error) { return "", os.ErrNotExist }
	o = ask(t, func(tb testing.TB) {
		tb.Helper()
		broken.address(tb, variables(map[string]string{"BROKEN": startOwn}))
	})
	if o.verdict != "failed" || !strings.Contains(o.message, "a broken emulator") {
		t.Errorf("one that does not start: %q, %q; want a failure that names it", o.verdict, o.message)
	}
}

func TestAnAddressThatDoesNotAnswerFails(t *testing.T) {
	t.Parallel()
	ill := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "ill", http.StatusTeapot) }))
	t.Cleanup(ill.Close)
	named := newEmulator("an emulator", "NAMED", nil)
	named.patience = 100 * time.Millisecond
	o := ask(t, func(tb testing.TB) {
		tb.Helper()
		named.address(tb, variables(map[string]string{"NAMED": strings.TrimPrefix(ill.URL, "http://")}))
	})
	if o.verdict != "failed" || !strings.Contains(o.message, "418") {
		t.Errorf("%q, %q; want a failure that tells the answer", o.verdict, o.message)
	}
}

func TestOutputIsKeptFromItsEnd(t *testing.T) {
	t.Parallel()
	var o tail
	for range 3 {
		fmt.Fprint(&o, strings.Repeat("x", outputKept/2))
	}
	fmt.Fprint(&o, "end")
	if got := o.String(); len(got) != outputKept || !strings.HasSuffix(got, "xend") {
		t.Errorf("%d bytes kept, ending in %q; want %d and the last ones", len(got), got[len(got)-4:], outputKept)
	}
}

func TestEmulatorsOfThisMachineAnswer(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		need func(testing.TB) string
	}{{"Firestore", FirestoreEmulator}, {"Pub/Sub", PubSubEmulator}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			addr := tc.need(t)
			if again := tc.need(t); again != addr {
				t.Errorf("a second request got %s, the first %s: one serves all tests of a binary", again, addr)
			}
			if err := probe(t.Context(), addr); err != nil {
				t.Error(err)
			}
		})
	}
}
