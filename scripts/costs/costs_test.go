package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheReadmeShowsWhatIsComputed(t *testing.T) {
	t.Parallel()
	text, err := report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	shown, err := between(string(readme), text)
	if err != nil {
		t.Fatal(err)
	}
	if shown != string(readme) {
		t.Errorf("README.md shows something else; run go run ./scripts/costs -write scripts/costs/README.md:\n%s", text)
	}
}

func TestTheTablesAreWrittenBetweenTheirMarks(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "README.md")
	if err := os.WriteFile(path, []byte("before\n"+begin+"old\n"+end+"after\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var told strings.Builder
	if err := run(nil, &told); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{"-write", path}, io.Discard); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if want := "before\n" + begin + told.String() + end + "after\n"; err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := between("no marks", "text"); err == nil {
		t.Error("a file without marks is written to")
	}
}

func TestPartsOfAUnitAreRoundedUp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ bytes, unit, nanos, want int64 }{
		{0, gib, 1000, 0},
		{gib, gib, 1000, 1000},
		{1, gib, 1_000_000, 1000},
		{gib + gib/2, gib, 1000, 1500},
		{100_000 * tib, tib, messageTiBNanos, 100_000 * messageTiBNanos},
	} {
		if got := priceOf(c.bytes, c.unit, c.nanos); got != c.want {
			t.Errorf("%d bytes of %d at %d cost %d, want %d", c.bytes, c.unit, c.nanos, got, c.want)
		}
	}
}

func TestAmountsAreShownInCentsRoundedUp(t *testing.T) {
	t.Parallel()
	for nanos, want := range map[int64]string{0: "0.00", 1: "0.01", 10_000_000: "0.01", 10_000_001: "0.02", 1_234_567_000_000_000: "1,234,567.00"} {
		if got := dollars(nanos); got != want {
			t.Errorf("%d is shown as %s, want %s", nanos, got, want)
		}
	}
}

func TestMoreOrganisationsCostMoreAndEachLess(t *testing.T) {
	t.Parallel()
	c, err := count(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f, err := always()
	if err != nil {
		t.Fatal(err)
	}
	for i := range sizes[1:] {
		less, more := month(c, f, sizes[i]).total(), month(c, f, sizes[i+1]).total()
		if more <= less || more/sizes[i+1] >= less/sizes[i] {
			t.Errorf("%d organisations cost %d, %d cost %d", sizes[i], less, sizes[i+1], more)
		}
	}
}
