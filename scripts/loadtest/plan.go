package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// The ways to the ledger.
const (
	viaLedger = "ledger"
	viaHTTP   = "http"
	viaPubSub = "pubsub"
	viaNaive  = "naive"
)

// The profiles of load.
const (
	profileHot     = "hot"
	profileUniform = "uniform"
	profileZipf    = "zipf"
)

// fairWallets is how many organisations share the system when fairness is measured.
const fairWallets = 20

// plan is what the command line asks for.
type plan struct {
	Via        string
	Profile    string
	Wallets    int
	Callers    int // of each function process
	Processes  int
	Delay      string
	Duration   time.Duration
	Duplicates int   // percent of the requests
	Loads      []int // open-loop phases, in percent of what the closed loop reached
	Fair       bool
	Kill       bool
	Credits    int64 // of each wallet; 0 for ample
	Entries    int   // that the wallet has before
	Limits     int   // users of an organisation with all limits, in further phases; 0 for none
	Naive      bool
	Endpoint   string
	JSON       bool
	CPUProfile string
}

func parsePlan(args []string, usage io.Writer) (plan, error) {
	var p plan
	var loads string
	f := flag.NewFlagSet("loadtest", flag.ContinueOnError)
	f.SetOutput(usage)
	f.StringVar(&p.Via, "via", viaLedger, "ledger, http (the debit function) or pubsub (the usage function)")
	f.StringVar(&p.Profile, "profile", profileHot, "hot (one wallet), uniform, or zipf (s = 1.1) over the wallets")
	f.IntVar(&p.Wallets, "wallets", 1000, "how many wallets uniform and zipf have")
	f.IntVar(&p.Callers, "callers", 256, "callers of each function process, each of whom waits for the answer")
	f.IntVar(&p.Processes, "processes", 1, "function processes")
	f.StringVar(&p.Delay, "delay", "5ms", "added to every RPC; or region: Begin 10, Get 15, Commit 40 ms; or 0")
	f.DurationVar(&p.Duration, "duration", 5*time.Second, "of each phase")
	f.IntVar(&p.Duplicates, "duplicates", 0, "a further phase in which so many percent of the requests repeat an earlier one")
	f.StringVar(&loads, "loads", "", "further phases of open loop, in percent of what the closed loop reached, such as 50,200,50")
	f.BoolVar(&p.Fair, "fair", false, "whether one organisation at ten times its share slows the others: 20 wallets, open loop")
	f.BoolVar(&p.Kill, "kill", false, "kill one function process with SIGKILL in the middle")
	f.Int64Var(&p.Credits, "credits", 0, "credits of each wallet, to let it run dry; 0 for ample (a debit takes 10)")
	f.IntVar(&p.Entries, "entries", 0, "entries that the wallet has before it is measured, beside one that has none")
	f.IntVar(&p.Limits, "limits", 0, "two further phases in which so many users and 20 teams spend: without limits, then with all three")
	f.BoolVar(&p.Naive, "naive", true, "measure a naive transaction per debit too")
	f.StringVar(&p.Endpoint, "endpoint", "", "host:port of another Firestore without credentials, such as Google's emulator")
	f.BoolVar(&p.JSON, "json", false, "print JSON")
	f.StringVar(&p.CPUProfile, "cpuprofile", "", "directory for the CPU profile of each process")
	if err := f.Parse(args); err != nil {
		return plan{}, err
	}
	if f.NArg() > 0 {
		return plan{}, fmt.Errorf("%q is more than is asked for", f.Arg(0))
	}
	for _, l := range strings.FieldsFunc(loads, func(r rune) bool { return r == ',' }) {
		n, err := strconv.Atoi(l)
		if err != nil || n < 1 || n > 1000 {
			return plan{}, fmt.Errorf("load %q is not within 1 and 1000 percent", l)
		}
		p.Loads = append(p.Loads, n)
	}
	if p.Profile == profileHot {
		p.Wallets = 1
	}
	if p.Fair {
		p.Profile, p.Wallets = profileUniform, fairWallets
	}
	return p, p.check()
}

func (p plan) check() error {
	var errs []error
	within := func(name string, n, least, most int) {
		if n < least || n > most {
			errs = append(errs, fmt.Errorf("-%s is %d, not within %d and %d", name, n, least, most))
		}
	}
	within("wallets", p.Wallets, 1, 100_000)
	within("callers", p.Callers, 1, 10_000)
	within("processes", p.Processes, 1, 16)
	within("duplicates", p.Duplicates, 0, 50)
	within("entries", p.Entries, 0, 2_000_000)
	within("limits", p.Limits, 0, 30_000)
	within("loads", len(p.Loads), 0, 10)
	if p.Via != viaLedger && p.Via != viaHTTP && p.Via != viaPubSub {
		errs = append(errs, fmt.Errorf("-via %q is neither ledger, http nor pubsub", p.Via))
	}
	if p.Profile != profileHot && p.Profile != profileUniform && p.Profile != profileZipf {
		errs = append(errs, fmt.Errorf("-profile %q is neither hot, uniform nor zipf", p.Profile))
	}
	if p.Duration < 100*time.Millisecond || p.Duration > 5*time.Minute {
		errs = append(errs, fmt.Errorf("-duration %v is not within 100ms and 5m", p.Duration))
	}
	if p.Kill && p.Processes < 2 {
		errs = append(errs, errors.New("-kill leaves nobody when there is one process: use -processes"))
	}
	if p.Via == viaPubSub && (len(p.Loads) > 0 || p.Fair || p.Credits > 0) {
		errs = append(errs, errors.New("-loads, -fair and -credits need callers who wait for the answer: not over pubsub"))
	}
	if p.Entries > 0 && (p.Profile != profileHot || p.Via == viaPubSub) {
		errs = append(errs, errors.New("-entries is of one wallet: use -profile hot, and ledger or http"))
	}
	if _, err := parseDelay(p.Delay); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// delays are what is added to RPCs.
type delays struct {
	Begin, Read, Commit time.Duration
}

// parseDelay reads -delay.
func parseDelay(s string) (delays, error) {
	switch s {
	case "0", "":
		return delays{}, nil
	case "region":
		return delays{Begin: 10 * time.Millisecond, Read: 15 * time.Millisecond, Commit: 40 * time.Millisecond}, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > time.Second {
		return delays{}, fmt.Errorf("-delay %q is neither region nor a duration of at most a second", s)
	}
	return delays{d, d, d}, nil
}
