package needs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"sync"
	"time"
)

// stripeMock starts the program once for all tests of this binary, and returns its URL. It is a variable of the package for the reason that
// emulators are.
var stripeMock = func() func(program string) (string, error) {
	var once sync.Once
	var url string
	var err error
	return func(program string) (string, error) {
		once.Do(func() { url, err = launchStripeMock(program) })
		return url, err
	}
}()

// launchStripeMock starts it on two ports of loopback: without an address for HTTPS it would listen for that on every interface.
func launchStripeMock(program string) (string, error) {
	ports, err := freePorts(2)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0]))
	var output tail
	// The process outlives ctx: it ends with this test binary.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), program, "-http-addr", addr, "-https-addr", net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[1])))
	cmd.Stdout, cmd.Stderr = &output, &output
	exited, err := startTied(cmd)
	if err != nil {
		return "", fmt.Errorf("start %s: %w", program, err)
	}
	if err := awaitConnection(ctx, addr, exited); err != nil {
		return "", errors.Join(fmt.Errorf("waiting for %s: %w; its output: %s", addr, err, output.String()), stop(cmd))
	}
	return "http://" + addr, nil
}

// awaitConnection returns once something listens at addr. It gives up when ctx ends or exited is closed.
func awaitConnection(ctx context.Context, addr string, exited <-chan struct{}) error {
	ticker := time.NewTicker(probeInterval)
	defer ticker.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ticker.C:
		case <-exited:
			return errors.New("the process ended")
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}
