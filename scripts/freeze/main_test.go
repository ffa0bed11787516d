package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/fluxori/ai-credits/shared/limits"
	"github.com/fluxori/ai-credits/shared/wiring"
)

func frozen(t *testing.T, args ...string) []string {
	t.Helper()
	var did []string
	err := run(t.Context(), args, io.Discard, func(_ context.Context, step []string) error {
		did = append(did, strings.Join(step, " "))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return did
}

func TestEveryFunctionAndPushIsFrozenAndThawed(t *testing.T) {
	t.Parallel()
	table, err := limits.Load()
	if err != nil {
		t.Fatal(err)
	}
	list, err := wiring.Load()
	if err != nil {
		t.Fatal(err)
	}
	on, off := frozen(t, "-project", "credits-test", "on"), frozen(t, "-project", "credits-test", "off")
	if want := len(table.Functions) + len(list.Subscriptions); len(on) != want || len(off) != want {
		t.Fatalf("%d and %d steps, want %d", len(on), len(off), want)
	}
	for _, f := range table.Functions {
		step := "run services update " + f.Name + " --project=credits-test --region=europe-west4 --update-env-vars=FROZEN="
		if !slices.Contains(on, step+"true --quiet") || !slices.Contains(off, step+"false --quiet") {
			t.Errorf("%s is not among\n%s", f.Name, strings.Join(on, "\n"))
		}
	}
	for _, s := range list.Subscriptions {
		step := "pubsub subscriptions modify-push-config " + s.Name + " --project=credits-test --push-endpoint="
		address := "https://europe-west4-credits-test.cloudfunctions.net/" + s.Function
		if !slices.Contains(on, step) || !slices.Contains(off, step+address+s.Path+
			" --push-auth-service-account=push@credits-test.iam.gserviceaccount.com --push-auth-token-audience="+address) {
			t.Errorf("%s is not among\n%s", s.Name, strings.Join(off, "\n"))
		}
	}
}

func TestNothingIsDoneWhenOnlyAsked(t *testing.T) {
	t.Parallel()
	if did := frozen(t, "-n", "-project", "credits-test", "on"); len(did) != 0 {
		t.Errorf("did %v", did)
	}
}

func TestAStepThatFailsKeepsNoOtherFromBeingDone(t *testing.T) {
	t.Parallel()
	var did int
	broken := errors.New("no such service")
	err := run(t.Context(), []string{"-project", "credits-test", "on"}, io.Discard, func(_ context.Context, step []string) error {
		did++
		if slices.Contains(step, "usage") {
			return broken
		}
		return nil
	})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "update usage") || did != len(frozen(t, "-project", "credits-test", "on")) {
		t.Errorf("%d steps, then %v", did, err)
	}
}

func TestWhatIsNotClearIsRefused(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"on"}, {"-project", "credits-test"}, {"-project", "credits-test", "maybe"}, {"-project", "credits test", "on"}, {"-project", "credits-test", "on", "off"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			err := run(t.Context(), args, io.Discard, func(context.Context, []string) error {
				t.Error("it did something")
				return nil
			})
			if err == nil {
				t.Error("no error")
			}
		})
	}
}
