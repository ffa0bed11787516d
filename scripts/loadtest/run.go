package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// naiveCallersMax bounds the callers of the naive transactions: more of them only wait for each other's locks.
const naiveCallersMax = 256

// killed is the driver or function that -kill ends: the last.
func (p plan) killed() int { return p.Processes - 1 }

// bench is one run of the command.
type bench struct {
	plan      plan
	progress  io.Writer
	engine    *process
	ready     engineReady
	functions []*process
	urls      []string
	report    *report
	// tag is in the names of the run's organisations: another Firestore may have those of an earlier run.
	tag string
}

// lines lets several goroutines tell how far they are, a line at a time.
type lines struct {
	mu sync.Mutex
	w  io.Writer
}

// Write implements io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// run carries out a plan: the naive way first, then the closed loop, then what else is asked for.
func run(ctx context.Context, p plan, progress io.Writer) (_ *report, err error) {
	b := &bench{plan: p, progress: &lines{w: progress}, report: newReport(p), tag: strings.ToLower(rand.Text()[:8])}
	defer func() { err = errors.Join(err, b.stop()) }()
	if b.engine, err = startProcess(ctx, "engine", roleEngine, enginePart{Endpoint: p.Endpoint, Profile: p.CPUProfile}, &b.ready); err != nil {
		return nil, err
	}
	if err := b.startFunctions(ctx); err != nil {
		return nil, err
	}
	if err := b.phases(ctx); err != nil {
		return nil, err
	}
	for _, f := range append([]*process{b.engine}, b.functions...) {
		f.look()
		b.report.memory(f)
	}
	return b.report, nil
}

func (b *bench) stop() error {
	var errs []error
	for _, f := range b.functions {
		errs = append(errs, f.stop())
	}
	if b.engine != nil {
		errs = append(errs, b.engine.stop())
	}
	return errors.Join(errs...)
}

// startFunctions starts the function's processes; the ledger itself lives in its drivers.
func (b *bench) startFunctions(ctx context.Context) error {
	if err := b.seed(ctx); err != nil {
		return err
	}
	if b.plan.Via == viaLedger {
		return nil
	}
	name := map[string]string{viaHTTP: "debit", viaPubSub: "usage"}[b.plan.Via]
	for i := range b.plan.Processes {
		var ready functionReady
		f, err := startProcess(ctx, fmt.Sprintf("%s %d", name, i), roleFunction, functionPart{Name: name, Engine: b.ready, Profile: b.plan.CPUProfile}, &ready)
		if err != nil {
			return err
		}
		b.functions, b.urls = append(b.functions, f), append(b.urls, ready.URL)
	}
	if b.plan.Via == viaPubSub {
		return b.order(order{Subscribe: b.urls})
	}
	return nil
}

// order tells the engine something and returns when it is done.
func (b *bench) order(o order) error {
	_, err := b.asked(o)
	return err
}

func (b *bench) asked(o order) (used, error) {
	var a engineAnswer
	if err := b.engine.ask(o, &a); err != nil {
		return used{}, err
	}
	if a.Error != "" {
		return used{}, fmt.Errorf("the engine: %s", a.Error)
	}
	return a.Used, nil
}

// phase is a part of the run: one load on wallets of its own.
type phase struct {
	name       string
	orgs       string // how its organisations' names begin
	via        string
	profile    string
	wallets    int
	callers    int
	processes  int
	duplicates int
	rate       int // of all drivers
	hot        bool
	kill       bool
	credits    int64
	entries    int
	users      int  // who spend, in teams; 0 for the services themselves
	limited    bool // organisation, teams and users
	watched    int  // the first wallet whose latency counts: 1 leaves the hot one out
}

// standard is the closed loop that the plan asks for.
func (b *bench) standard(name string) phase {
	p := b.plan
	return phase{name: name, via: p.Via, profile: p.Profile, wallets: p.Wallets, callers: p.Callers, processes: p.Processes, kill: p.Kill, credits: p.Credits}
}

func (b *bench) phases(ctx context.Context) error {
	p := b.plan
	if p.Naive {
		n := b.standard("naive")
		n.via, n.processes, n.kill = viaNaive, 1, false
		n.callers = min(p.Callers*p.Processes, naiveCallersMax)
		if _, err := b.measure(ctx, n); err != nil {
			return err
		}
	}
	closed := b.standard("closed")
	peak, err := b.measure(ctx, closed)
	if err != nil {
		return err
	}
	if p.Duplicates > 0 {
		d := b.standard("repeats")
		d.duplicates = p.Duplicates
		if _, err := b.measure(ctx, d); err != nil {
			return err
		}
	}
	for _, limited := range []bool{false, true} {
		if p.Limits == 0 {
			break
		}
		u := b.standard(fmt.Sprintf("users%d", p.Limits))
		if limited {
			u.name = fmt.Sprintf("limits%d", p.Limits)
		}
		u.users, u.limited, u.kill = p.Limits, limited, false
		if _, err := b.measure(ctx, u); err != nil {
			return err
		}
	}
	if p.Entries > 0 {
		if err := b.old(ctx); err != nil {
			return err
		}
	}
	for i, percent := range p.Loads {
		o := b.standard(fmt.Sprintf("load%d-%d", i+1, percent))
		o.rate, o.kill = peak.Rate*percent/100, false
		if _, err := b.measure(ctx, o); err != nil {
			return err
		}
	}
	if p.Fair {
		return b.fair(ctx, peak.Rate)
	}
	return nil
}

// fair measures the other organisations' latency, once when each sends its share of half the sustainable rate, once when one sends ten times
// that.
func (b *bench) fair(ctx context.Context, sustainable int) error {
	share := sustainable / 2 / fairWallets
	for _, hot := range []bool{false, true} {
		o := b.standard("even")
		o.rate, o.kill, o.watched = share*fairWallets, false, 1
		if hot {
			o.name, o.hot = "one-hot", true
			o.rate = share * (fairWallets - 1 + hotShare)
		}
		if _, err := b.measure(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// old measures a wallet that has entries already, between two that have ten: so a machine that gets slower shows.
func (b *bench) old(ctx context.Context) error {
	for i, entries := range []int{10, b.plan.Entries, 10} {
		o := b.standard(fmt.Sprintf("old%d-%d", i+1, entries))
		o.entries, o.kill = entries, false
		if _, err := b.measure(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// measure runs a phase and checks what it left.
func (b *bench) measure(ctx context.Context, ph phase) (row, error) {
	ph.orgs = ph.name + "-" + b.tag
	if err := b.prepare(ctx, ph); err != nil {
		return row{}, fmt.Errorf("prepare %s: %w", ph.name, err)
	}
	d, err := parseDelay(b.plan.Delay)
	if err != nil {
		return row{}, err
	}
	if err := b.order(order{Delay: &d, Reset: true}); err != nil {
		return row{}, err
	}
	heard, err := b.drive(ctx, ph)
	if err != nil {
		return row{}, fmt.Errorf("drive %s: %w", ph.name, err)
	}
	took := b.plan.Duration
	if ph.via == viaPubSub { // until everything is charged
		if err := b.order(order{Quiet: b.plan.Duration + time.Minute}); err != nil {
			return row{}, err
		}
		took = time.Since(heard.began)
	}
	u, err := b.asked(order{Delay: &delays{}})
	if err != nil {
		return row{}, err
	}
	fmt.Fprintf(b.progress, "%-16s checking\n", ph.name)
	c, err := b.check(ctx, ph, heard)
	if err != nil {
		return row{}, fmt.Errorf("check %s: %w", ph.name, err)
	}
	return b.report.add(ph, heard, took, u, c), nil
}

// drive starts the drivers of a phase, lets them begin together, and hears what they tell.
func (b *bench) drive(ctx context.Context, ph phase) (_ *heard, err error) {
	ctx, cancel := context.WithTimeout(ctx, b.plan.Duration+2*patience+2*startTimeout)
	defer cancel()
	drivers := 1
	if ph.via == viaLedger {
		drivers = ph.processes
	}
	callers := ph.callers
	if drivers == 1 {
		callers *= ph.processes
	}
	var all []*process
	defer func() {
		for _, d := range all {
			err = errors.Join(err, d.stop())
		}
	}()
	for i := range drivers {
		part := driverPart{
			Index: i, Orgs: ph.orgs, Via: ph.via, Profile: ph.profile, Hot: ph.hot, Wallets: ph.wallets, Callers: callers,
			Duplicates: ph.duplicates, Duration: b.plan.Duration, Rate: ph.rate / drivers, AtOnce: ph.kill, Engine: b.ready, URLs: b.urls,
			Users: ph.users, CPUProfile: b.plan.CPUProfile,
		}
		d, err := startProcess(ctx, fmt.Sprintf("%s driver %d", ph.via, i), roleDriver, part, &struct{}{})
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	h := &heard{began: time.Now()}
	for _, d := range all {
		if err := d.tell(struct{}{}); err != nil {
			return nil, err
		}
	}
	if ph.kill {
		victim := slices.Concat(b.functions, all)[b.plan.killed()]
		defer time.AfterFunc(b.plan.Duration/2, func() {
			fmt.Fprintf(b.progress, "%-16s SIGKILL to %s\n", ph.name, victim.name)
			victim.killed = true
			victim.kill()
		}).Stop()
	}
	watching := make(chan struct{})
	go b.watch(ph, h, slices.Concat([]*process{b.engine}, b.functions, all), watching)
	defer close(watching)
	err = h.listen(all)
	for _, d := range all {
		b.report.memory(d)
	}
	return h, err
}

// watch tells how a phase goes, and looks at the processes' memory.
func (b *bench) watch(ph phase, h *heard, processes []*process, done <-chan struct{}) {
	begin, last := time.Now(), int64(0)
	for n := 1; ; n++ {
		select {
		case <-done:
			return
		case <-time.After(200 * time.Millisecond):
		}
		for _, p := range processes {
			p.look()
		}
		if n%5 == 0 {
			acknowledged, others := h.sofar()
			fmt.Fprintf(b.progress, "%-16s %3.0fs  %6d debits/s  %8d acknowledged  %6d otherwise\n",
				ph.name, time.Since(begin).Seconds(), acknowledged-last, acknowledged, others)
			last = acknowledged
		}
	}
}

// heard is what the drivers of a phase told.
type heard struct {
	began time.Time

	mu      sync.Mutex
	records []record // without those of requests begun
	begun   map[uint64]record
	acks    int64
}

// recordsMax bounds what is kept of a phase.
const recordsMax = 20_000_000

// listen reads the drivers' records until they end.
func (h *heard) listen(drivers []*process) error {
	h.begun = map[uint64]record{}
	errs := make([]error, len(drivers))
	var all sync.WaitGroup
	for i, d := range drivers {
		all.Go(func() { errs[i] = readRecords(d.stdout, h.hear) })
	}
	all.Wait()
	if len(h.records) >= recordsMax {
		errs = append(errs, fmt.Errorf("more than %d records", recordsMax))
	}
	return errors.Join(errs...)
}

// request names a record's request in few bytes.
func (r record) request() uint64 { return uint64(r.driver)<<48 | uint64(r.caller)<<32 | uint64(r.n) }

func (h *heard) hear(r record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.outcome == begun {
		h.begun[r.request()] = r
		return
	}
	delete(h.begun, r.request())
	if r.outcome == acknowledged {
		h.acks++
	}
	if len(h.records) < recordsMax {
		h.records = append(h.records, r)
	}
}

// sofar is how many requests were acknowledged, and how many attempts ended otherwise.
func (h *heard) sofar() (acks, others int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.acks, int64(len(h.records)) - h.acks
}
