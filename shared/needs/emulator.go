package needs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	startTimeout  = 60 * time.Second      // from the command to the first answer, which takes 2 s on an idle machine
	answerTimeout = 5 * time.Second       // for an emulator that should be running already
	probeInterval = 50 * time.Millisecond // between questions to an emulator that is starting
	probeTimeout  = 2 * time.Second       // for one such question
	locateTimeout = 30 * time.Second      // for gcloud to say where it is installed
	startAttempts = 3                     // a free port may be taken before the emulator binds it
	outputKept    = 16 << 10              // bytes of an emulator's output kept for an error message
	startOwn      = "start"               // the value that asks for an emulator of our own
)

// emulator is one of Google's emulators. Both answer GET / with 200 once they serve, beside gRPC on the same port.
type emulator struct {
	name      string                                          // as a person says it
	variable  string                                          // the environment variable that says where it is
	arguments func(platform string, port, spare int) []string // of the java command
	patience  time.Duration                                   // with one that should be running already
	start     func() (string, error)
}

// The emulators of this test binary. They are variables of the package because a process that serves every test of a
// binary belongs to the binary: starting one takes seconds and 170 MiB.
var (
	firestoreEmulator = newEmulator("Google's Firestore emulator", "CREDITS_TEST_EMULATOR", firestoreArguments)
	pubsubEmulator    = newEmulator("Google's Pub/Sub emulator", "CREDITS_TEST_PUBSUB_EMULATOR", pubsubArguments)
)

func newEmulator(name, variable string, arguments func(string, int, int) []string) *emulator {
	e := &emulator{name: name, variable: variable, arguments: arguments, patience: answerTimeout}
	e.start = sync.OnceValues(e.launch)
	return e
}

func firestoreArguments(platform string, port, spare int) []string {
	return []string{
		"-Duser.language=en",
		"-cp", filepath.Join(platform, "cloud-firestore-emulator", "cloud-firestore-emulator.jar"),
		"com.google.cloud.datastore.emulator.firestore.CloudFirestore", "start",
		"--host=127.0.0.1", "--port=" + strconv.Itoa(port), "--websocket_port=" + strconv.Itoa(spare),
		"--database-mode=firestore-native",
	}
}

func pubsubArguments(platform string, port, _ int) []string {
	// The version is part of the jar's name; java's own wildcard finds it.
	return []string{
		"-Duser.language=en",
		"-cp", filepath.Join(platform, "pubsub-emulator", "lib", "*"),
		"com.google.cloud.pubsub.testing.v1.Main", "--host=127.0.0.1", "--port=" + strconv.Itoa(port),
	}
}

// address returns where the emulator answers, or ends the test.
func (e *emulator) address(tb testing.TB, env environment) string {
	tb.Helper()
	where := env(e.variable)
	if where == "" {
		absent(tb, env, fmt.Sprintf("%s, and %s is neither %q nor a host:port", e.name, e.variable, startOwn))
	}
	if where == startOwn {
		addr, err := e.start()
		if err != nil {
			tb.Fatalf("%s: %v", e.name, err)
		}
		return addr
	}
	ctx, cancel := context.WithTimeout(tb.Context(), e.patience)
	defer cancel()
	if err := awaitAnswer(ctx, where, nil); err != nil {
		tb.Fatalf("%s at %s=%s: %v", e.name, e.variable, where, err)
	}
	return where
}

// launch starts the emulator's own Java: gcloud's wrapper would leave it behind when killed.
func (e *emulator) launch() (string, error) {
	platform, err := gcloudPlatform()
	if err != nil {
		return "", err
	}
	var failures []error
	for range startAttempts {
		addr, err := e.launchOnce(platform)
		if err == nil {
			return addr, nil
		}
		failures = append(failures, err)
	}
	return "", errors.Join(failures...)
}

func (e *emulator) launchOnce(platform string) (string, error) {
	ports, err := freePorts(2)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	var output tail
	// The process outlives ctx: it ends with this test binary.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "java", e.arguments(platform, ports[0], ports[1])...)
	cmd.Stdout, cmd.Stderr = &output, &output
	exited, err := startTied(cmd)
	if err != nil {
		return "", fmt.Errorf("start java: %w", err)
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0]))
	if err := awaitAnswer(ctx, addr, exited); err != nil {
		return "", errors.Join(fmt.Errorf("waiting for %s: %w; its output: %s", addr, err, output.String()), stop(cmd))
	}
	return addr, nil
}

// stop kills a process that did not come up; one that has ended already is no error.
func stop(cmd *exec.Cmd) error {
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill process %d: %w", cmd.Process.Pid, err)
	}
	return nil
}

// gcloudPlatform returns the folder in which gcloud keeps its emulators.
func gcloudPlatform() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), locateTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "gcloud", "info", "--format=value(installation.sdk_root)").Output()
	if err != nil {
		return "", fmt.Errorf("ask gcloud where it is installed: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "platform"), nil
}

// freePorts returns n different TCP ports that were free a moment ago.
func freePorts(n int) ([]int, error) {
	ports := make([]int, 0, n)
	for range n {
		l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("look for a free port: %w", err)
		}
		defer l.Close() // after all are chosen, so that they differ
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// awaitAnswer returns once GET / at addr is answered with 200. It gives up when ctx ends or exited is closed.
func awaitAnswer(ctx context.Context, addr string, exited <-chan struct{}) error {
	ticker := time.NewTicker(probeInterval)
	defer ticker.Stop()
	var last error
	for {
		err := probe(ctx, addr)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err // the end of ctx hides what was wrong before
		}
		select {
		case <-ticker.C:
		case <-exited:
			return errors.New("the process ended")
		case <-ctx.Done():
			return errors.Join(ctx.Err(), last)
		}
	}
}

func probe(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/", nil)
	if err != nil {
		return fmt.Errorf("address %q: %w", addr, err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask %s: %w", addr, err)
	}
	defer resp.Body.Close()
	if _, err := io.CopyN(io.Discard, resp.Body, outputKept); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer of %s: %w", addr, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", addr, resp.Status)
	}
	return nil
}

// tail keeps the last bytes written to it. Its zero value is ready.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

func (o *tail) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kept = append(o.kept, p...)
	if over := len(o.kept) - outputKept; over > 0 {
		o.kept = o.kept[over:]
	}
	return len(p), nil
}

func (o *tail) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.kept)
}
