package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

const (
	// startExcess is how much later than a hello-world function a function may listen.
	startExcess = 20 * time.Millisecond
	// helloName is the function that does nothing.
	helloName = "hello"
	// buildTimeout bounds the build of one binary, listenTimeout how long one may take to listen.
	buildTimeout  = 5 * time.Minute
	listenTimeout = 10 * time.Second
	listenPoll    = 100 * time.Microsecond
)

// mainSource is the program that the buildpack makes of a function, but that it listens on loopback only.
const mainSource = `package main

import (
	"log"
	"os"

	"github.com/GoogleCloudPlatform/functions-framework-go/funcframework"
	%s
)

func main() {
	if err := funcframework.StartHostPort("127.0.0.1", os.Getenv("PORT")); err != nil {
		log.Fatal(err)
	}
}
`

// helloSource is the rest of the function that does nothing.
const helloSource = `package main

import (
	"net/http"

	"github.com/GoogleCloudPlatform/functions-framework-go/functions"
)

func init() {
	functions.HTTP("hello", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
}
`

// start is how long a function's program takes.
type start struct {
	Function    string
	SizeMiB     int64
	ListenMicro uint32 // until it listens: the median
	HealthMicro uint32 // until it answers its first request: the median
	MemoryKB    int64  // resident then
}

// commandStarts builds each function as the buildpack does, beside one that does nothing, and measures in turn how long each takes to listen.
func commandStarts(ctx context.Context, args []string, out, progress io.Writer) (err error) {
	f := flag.NewFlagSet("loadtest starts", flag.ContinueOnError)
	f.SetOutput(progress)
	rounds := f.Int("rounds", 15, "how often each function is started")
	asJSON := f.Bool("json", false, "print JSON")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *rounds < 1 || *rounds > 1000 || f.NArg() > 0 {
		return errors.New("-rounds is within 1 and 1000, and nothing follows")
	}
	dir, err := os.MkdirTemp("", "loadtest-starts-")
	if err != nil {
		return fmt.Errorf("make a folder for the programs: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	names, err := buildAll(ctx, dir, progress)
	if err != nil {
		return err
	}
	measured := make([]struct{ listen, health []uint32 }, len(names))
	starts := make([]start, len(names))
	for range *rounds {
		for i, name := range names {
			one, err := startOnce(ctx, filepath.Join(dir, name), name)
			if err != nil {
				return fmt.Errorf("start %s: %w", name, err)
			}
			starts[i] = one
			measured[i].listen = append(measured[i].listen, one.ListenMicro)
			measured[i].health = append(measured[i].health, one.HealthMicro)
		}
	}
	for i := range starts {
		starts[i].ListenMicro, starts[i].HealthMicro = newLatencies(measured[i].listen).P50, newLatencies(measured[i].health).P50
	}
	if *asJSON {
		err = json.NewEncoder(out).Encode(starts)
	} else {
		err = writeStarts(out, starts)
	}
	return errors.Join(err, late(starts))
}

// late says which functions listen too long after the first, which does nothing.
func late(starts []start) error {
	var errs []error
	for _, s := range starts {
		if excess := time.Duration(s.ListenMicro-min(s.ListenMicro, starts[0].ListenMicro)) * time.Microsecond; excess > startExcess {
			errs = append(errs, fmt.Errorf("%s listens %v after a function that does nothing, more than %v", s.Function, excess, startExcess))
		}
	}
	return errors.Join(errs...)
}

func writeStarts(out io.Writer, starts []start) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "function\tMiB\tlistens after ms\tfirst answer ms\tresident MiB\t")
	for _, s := range starts {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%d\t\n", s.Function, s.SizeMiB, decimals(int64(s.ListenMicro), 1), decimals(int64(s.HealthMicro), 1), s.MemoryKB/1024)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	return nil
}

// buildAll builds the programs of all functions into dir, the one that does nothing first.
func buildAll(ctx context.Context, dir string, progress io.Writer) ([]string, error) {
	b, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}} {{.Path}}").Output()
	if err != nil {
		return nil, fmt.Errorf("find the module: %w", err)
	}
	root, module, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	folders, err := os.ReadDir(filepath.Join(root, "functions"))
	if err != nil {
		return nil, fmt.Errorf("list the functions: %w", err)
	}
	// The buildpack's program needs more of the framework than the functions do: its modules are added to copies.
	for _, file := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			return nil, fmt.Errorf("read the module's files: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), text, fs.FileMode(0o600)); err != nil {
			return nil, fmt.Errorf("copy the module's files: %w", err)
		}
	}
	names := []string{helloName}
	for _, f := range folders {
		if f.IsDir() {
			names = append(names, f.Name())
		}
	}
	for _, name := range names {
		fmt.Fprintf(progress, "building %s\n", name)
		imported := fmt.Sprintf("_ %q", module+"/functions/"+name)
		if name == helloName {
			imported = ""
		}
		if err := build(ctx, root, dir, name, fmt.Sprintf(mainSource, imported)); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// build compiles a program as if it lay in the module, whose tree stays as it is.
func build(ctx context.Context, root, dir, name, source string) error {
	ctx, cancel := context.WithTimeout(ctx, buildTimeout)
	defer cancel()
	files := map[string]string{"main.go": source}
	if name == helloName {
		files["hello.go"] = helloSource
	}
	replace := map[string]string{}
	for file, text := range files {
		real := filepath.Join(dir, name+"_"+file)
		if err := os.WriteFile(real, []byte(text), fs.FileMode(0o600)); err != nil {
			return fmt.Errorf("write the program of %s: %w", name, err)
		}
		replace[filepath.Join(root, "scripts", "loadtest", "start"+name, file)] = real
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return fmt.Errorf("the overlay of %s: %w", name, err)
	}
	path := filepath.Join(dir, name+".overlay.json")
	if err := os.WriteFile(path, overlay, fs.FileMode(0o600)); err != nil {
		return fmt.Errorf("write the overlay of %s: %w", name, err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-mod=mod", "-modfile", filepath.Join(dir, "go.mod"), "-overlay", path,
		"-trimpath", "-ldflags=-s -w", "-o", filepath.Join(dir, name), "./scripts/loadtest/start"+name)
	cmd.Dir = root
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", name, err, text)
	}
	return nil
}

// startOnce starts a function's program as the cloud does, waits until it listens and answers, and ends it.
func startOnce(ctx context.Context, program, name string) (_ start, err error) {
	ctx, cancel := context.WithTimeout(ctx, listenTimeout)
	defer cancel()
	addr, err := freeAddress(ctx)
	if err != nil {
		return start{}, err
	}
	info, err := os.Stat(program)
	if err != nil {
		return start{}, fmt.Errorf("look at the program: %w", err)
	}
	_, port, _ := strings.Cut(addr, ":")
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = []string{"PORT=" + port, "K_SERVICE=" + name, "FUNCTION_TARGET=" + name, "HOME=" + os.TempDir()}
	settings := startSettings()
	for _, setting := range slices.Sorted(maps.Keys(settings)) {
		cmd.Env = append(cmd.Env, setting+"="+settings[setting])
	}
	var told strings.Builder
	cmd.Stdout, cmd.Stderr = &told, &told
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return start{}, fmt.Errorf("start the program: %w", err)
	}
	p := &process{name: name, cmd: cmd}
	defer func() {
		p.kill()
		_ = cmd.Wait() // it was killed
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, told.String())
		}
	}()
	if err := awaitListening(ctx, addr); err != nil {
		return start{}, err
	}
	s := start{Function: name, SizeMiB: info.Size() >> 20, ListenMicro: uint32(time.Since(begin).Microseconds())}
	if err := health(ctx, addr); err != nil {
		return start{}, err
	}
	s.HealthMicro = uint32(time.Since(begin).Microseconds())
	p.look()
	s.MemoryKB = p.peakKB.Load()
	return s, nil
}

func freeAddress(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func awaitListening(ctx context.Context, addr string) error {
	var d net.Dialer
	for {
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		if ctx.Err() != nil {
			return fmt.Errorf("it does not listen: %w", err)
		}
		time.Sleep(listenPoll)
	}
}

func health(ctx context.Context, addr string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/health", nil)
	if err != nil {
		return fmt.Errorf("ask for its health: %w", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask for its health: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("its health is %d", res.StatusCode)
	}
	return nil
}

// startSettings are good for every function: each takes those it knows. Nothing is reached while a function starts.
func startSettings() map[string]string {
	const nowhere = "127.0.0.1:1"
	return map[string]string{
		"GOOGLE_CLOUD_PROJECT": project, "FIRESTORE_EMULATOR_HOST": nowhere, "PUBSUB_EMULATOR_HOST": nowhere,
		"CALLERS": `{"callers":[{"email":"` + serviceAccount + `","roles":["spend"]}]}`, "SERVICE_AUDIENCE": audience,
		"PUSH_ACCOUNT": pushAccount, "SCHEDULER_ACCOUNT": "scheduler@loadtest.iam.gserviceaccount.com",
		"PEOPLE_ISSUER": "https://issuer.invalid", "PEOPLE_AUDIENCE": "account",
		"STRIPE_API_KEY": "sk_test_none", "STRIPE_API_URL": "http://" + nowhere, "STRIPE_WEBHOOK_SECRETS": "whsec_none",
		"CHECKOUT_RETURN_URL": audience, "DASHBOARD_URL": audience,
		"MAIL_FROM": "credits@loadtest.invalid", "SMTP_HOST": "127.0.0.1", "SMTP_PORT": "1", "SMTP_SECURITY": "none",
	}
}
