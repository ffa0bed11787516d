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

// roleVariable makes a run of this binary the parent that is killed, or its child: no other program need be there.
const (
	roleVariable = "NEEDS_TEST_ROLE"
	parentRole   = "parent"
	childRole    = "child"
)

func TestAStartedProcessDiesWithAKilledParent(t *testing.T) {
	t.Parallel()
	switch os.Getenv(roleVariable) {
	case parentRole:
		actAsParent(t)
		return
	case childRole:
		time.Sleep(25 * time.Second)
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	parent := self(ctx, t, parentRole)
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

// self is a run of this test in a role.
func self(ctx context.Context, t *testing.T, role string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=30s")
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	return cmd
}

// actAsParent starts a child and waits to be killed.
func actAsParent(t *testing.T) {
	t.Helper()
	child := self(t.Context(), t, childRole)
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
