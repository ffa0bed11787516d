package needs

import (
	"os"
	"os/exec"
	"testing"
)

// Chromium returns the path of a Chromium or Chrome. Where there is none on the PATH, the test is skipped.
func Chromium(tb testing.TB) string {
	tb.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	absent(tb, os.Getenv, "chromium on the PATH")
	return ""
}

// axe names the variable that says where axe-core's script is.
const axe = "CREDITS_TEST_AXE"

// Axe returns the script of axe-core, which finds what people with disabilities stumble over in a page, from the file that CREDITS_TEST_AXE
// names. When that is unset, ok is false; where nothing may be left out, the test fails instead.
func Axe(tb testing.TB) (script string, ok bool) {
	tb.Helper()
	path := os.Getenv(axe)
	if path == "" {
		if os.Getenv(requireAll) == "1" {
			tb.Fatalf("this test needs axe-core, whose script %s names, and %s=1 forbids going without", axe, requireAll)
		}
		tb.Logf("without axe-core: set %s to the path of its axe.min.js; continuous integration does", axe)
		return "", false
	}
	source, err := os.ReadFile(path)
	if err != nil {
		tb.Fatalf("read axe-core: %v", err)
	}
	return string(source), true
}
