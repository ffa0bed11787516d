package needs

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// parentRole makes a run of this binary the parent that is killed.
const parentRole = "NEEDS_TEST_PARENT"

func TestAStartedProcessDiesWithAKilledParent(t *testing.T) {
	t.Parallel()
	if os.Getenv(parentRole) == "1" {
		actAsParent(t)
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	parent := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=30s")
	parent.Env = append(os.Environ(), parentRole+"=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	for lines := bufio.NewScanner(out); pid == 0 && lines.Scan(); {
		_, _ = fmt.Sscanf(lines.Text(), "child %d", &pid) // other lines are the testing package's
	}
	if pid == 0 || !alive(pid) {
		t.Fatalf("the parent's child, process %d, is not running", pid)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // killed
	for alive(pid) {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("process %d outlived its parent", pid)
		}
	}
}

// actAsParent starts a child and waits to be killed.
func actAsParent(t *testing.T) {
	t.Helper()
	child := exec.CommandContext(t.Context(), "sleep", "25")
	exited, err := startTied(child)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("child %d\n", child.Process.Pid)
	<-exited
}

// alive reports whether a process runs; one that has ended and waits to be collected does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}
