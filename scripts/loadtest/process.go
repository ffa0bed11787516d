package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/pprof"
	"strconv"
	"sync/atomic"
	"time"
)

// The roles of the processes that the command starts.
const (
	roleEngine   = "engine"
	roleFunction = "function"
	roleDriver   = "driver"
)

// startTimeout bounds how long a process may take until it is ready, stopTimeout until it has ended.
const (
	startTimeout = 20 * time.Second
	stopTimeout  = 10 * time.Second
	lineMaxBytes = 1 << 20
)

// process is one that the command started. It ends when its standard input does, and so with the command.
type process struct {
	name   string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	peakKB atomic.Int64 // of its resident memory, as last seen
	killed bool
	ended  bool
}

// startProcess starts this program in a role, tells it its part, and reads its first line.
func startProcess(ctx context.Context, name, role string, part, ready any) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), roleSetting+"="+role)
	cmd.Stderr = os.Stderr
	cmd.WaitDelay = stopTimeout
	p := &process{name: name, cmd: cmd}
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	p.stdout = bufio.NewReaderSize(out, 64<<10)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	watchdog := time.AfterFunc(startTimeout, func() { p.kill() })
	defer watchdog.Stop()
	if err := p.ask(part, ready); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), p.stop())
	}
	return p, nil
}

// ask sends a line and reads the line that answers it.
func (p *process) ask(question, answer any) error {
	if err := p.tell(question); err != nil {
		return err
	}
	line, err := p.stdout.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("%s does not answer: %w", p.name, err)
	}
	if err := json.Unmarshal(line, answer); err != nil {
		return fmt.Errorf("%s answered %.200q: %w", p.name, line, err)
	}
	return nil
}

func (p *process) tell(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("tell %s: %w", p.name, err)
	}
	if _, err := p.stdin.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("tell %s: %w", p.name, err)
	}
	return nil
}

// kill ends a process as a crash would.
func (p *process) kill() {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		fmt.Fprintf(os.Stderr, "kill %s: %v\n", p.name, err)
	}
}

// stop lets a process end by itself, and kills it if it does not.
func (p *process) stop() error {
	if p.ended {
		return nil
	}
	p.ended = true
	p.stdin.Close()
	watchdog := time.AfterFunc(stopTimeout, p.kill)
	defer watchdog.Stop()
	if _, err := io.Copy(io.Discard, p.stdout); err != nil && !errors.Is(err, os.ErrClosed) {
		p.kill()
	}
	if err := p.cmd.Wait(); err != nil && !p.killed {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	return nil
}

// look notes how much memory the process has had resident at most, where the system tells.
func (p *process) look() {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/status")
	if err != nil {
		return
	}
	if _, rest, ok := bytes.Cut(b, []byte("VmHWM:")); ok {
		if f := bytes.Fields(rest); len(f) > 0 {
			if n, err := strconv.ParseInt(string(f[0]), 10, 64); err == nil {
				p.peakKB.Store(n)
			}
		}
	}
}

// hear reads one line into v.
func hear(in *bufio.Reader, v any) error {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if err := json.Unmarshal(line, v); err != nil {
		return fmt.Errorf("read %.200q: %w", line, err)
	}
	return nil
}

// say writes v as one line.
func say(out io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	if _, err := out.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return nil
}

// profileTo writes a CPU profile to a file of this process in dir until it is stopped; without a dir it does nothing.
func profileTo(dir, name string) (stop func() error, err error) {
	if dir == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(fmt.Sprintf("%s/%s-%d.pprof", dir, name, os.Getpid()))
	if err != nil {
		return nil, fmt.Errorf("create a profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("start a profile: %w", err), f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}
