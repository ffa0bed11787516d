// Package needs is where a test says what it needs beyond the Go toolchain: an emulator of Google's, a program, or the time
// for a long run. A test whose emulator is not there is skipped, with a sentence that says what is missing; one that
// takes long tries less.
//
// Invariants:
//   - This is the only package that skips tests, so a list of what a run left out is a list of its callers.
//   - With CREDITS_TEST_REQUIRE_ALL=1, which continuous integration sets, nothing is skipped: an unmet need fails the test.
//   - What was asked for and cannot be had (an address that does not answer, an emulator that does not start) always
//     fails the test.
//
// It does not own clients, projects or topics: callers get an address and do the rest.
package needs

import (
	"os"
	"os/exec"
	"testing"
)

const (
	// requireAll names the variable that turns every skip into a failure.
	requireAll = "CREDITS_TEST_REQUIRE_ALL"
	// full names the variable that allows long runs.
	full = "CREDITS_TEST_FULL"
)

// environment looks up a variable, as os.Getenv does; "" means unset.
type environment func(name string) string

// FirestoreEmulator returns the host:port of Google's Firestore emulator. CREDITS_TEST_EMULATOR says which: a host:port
// where one runs already, or "start" to start one, which then serves all tests of this binary and dies with it.
// When it is unset, the test is skipped.
func FirestoreEmulator(tb testing.TB) string {
	tb.Helper()
	return firestoreEmulator.address(tb, os.Getenv)
}

// PubSubEmulator returns the host:port of Google's Pub/Sub emulator, which CREDITS_TEST_PUBSUB_EMULATOR names in the
// way that FirestoreEmulator describes.
func PubSubEmulator(tb testing.TB) string {
	tb.Helper()
	return pubsubEmulator.address(tb, os.Getenv)
}

// Program returns the path of a program such as bash. Where it is missing, the test is skipped.
func Program(tb testing.TB, name string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		absent(tb, os.Getenv, name+" on the PATH")
	}
	return path
}

// StripeMock returns the URL of stripe-mock, Stripe's own server of sample answers, which checks requests against Stripe's description of its
// API. It is started from the PATH, serves all tests of this binary, and dies with it. Where it is missing, the test is skipped.
func StripeMock(tb testing.TB) string {
	tb.Helper()
	program := Program(tb, "stripe-mock")
	url, err := stripeMock(program)
	if err != nil {
		tb.Fatalf("%s: %v", program, err)
	}
	return url
}

// Thorough reports whether tests are to take the time for all they can try, rather than for a part: with CREDITS_TEST_FULL=1.
// Continuous integration sets it in a run of its own, without the race detector, under which a part must do.
func Thorough() bool { return thorough(os.Getenv) }

func thorough(env environment) bool { return env(full) == "1" }

// absent ends the test because it needs what is not there.
func absent(tb testing.TB, env environment, need string) {
	tb.Helper()
	if env(requireAll) == "1" {
		tb.Fatalf("this test needs %s, and %s=1 forbids skipping it", need, requireAll)
	}
	tb.Skipf("this test needs %s; continuous integration runs it", need)
}
