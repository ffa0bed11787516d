package wiring_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var scheduled = regexp.MustCompile(`Handle\("POST (/[^"]*)", trigger\.Job\(`)

// TestEachScheduledRouteHasItsJob: what waits for a job that nothing fires never runs. That each job's route is there is tested too.
func TestEachScheduledRouteHasItsJob(t *testing.T) {
	t.Parallel()
	fired := map[string]bool{}
	for _, j := range load(t).Jobs {
		fired[j.Function+j.Path] = true
	}
	sources, err := filepath.Glob(filepath.Join("..", "..", "functions", "*", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, path := range sources {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		routes := scheduled.FindAllStringSubmatch(string(source), -1)
		if n := strings.Count(string(source), "trigger.Job("); n != len(routes) {
			t.Errorf(`%s: %d of %d scheduled routes are not written as Handle("POST /path", trigger.Job(…`, path, n-len(routes), n)
		}
		for _, r := range routes {
			found++
			if route := filepath.Base(filepath.Dir(path)) + strings.TrimSuffix(strings.TrimSuffix(r[1], "{$}"), "/"); !fired[route] {
				t.Errorf("no job fires POST /%s", route)
			}
		}
	}
	if found == 0 {
		t.Error("there is no scheduled route")
	}
}
