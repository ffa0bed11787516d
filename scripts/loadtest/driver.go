package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/fluxori/ai-credits/shared/limits"
)

// Bounds of a driver.
const (
	// inFlightMax bounds the requests of an open loop that wait for an answer.
	inFlightMax = 8192
	// patience is how long an attempt may take, and how long a caller goes on repeating after the phase's end.
	patience = 10 * time.Second
	// repeatPause is between an unknown outcome and its repeat.
	repeatPause = 10 * time.Millisecond
	// flushEvery is how often records are passed on, unless each must be at once.
	flushEvery = 100 * time.Millisecond
	// tick is how often an open loop looks whether requests are due.
	tick = time.Millisecond
)

// driverPart is what a driver is told.
type driverPart struct {
	Index      int
	Orgs       string // how the organisations' names begin
	Via        string
	Profile    string
	Hot        bool // the first wallet gets hotShare times its share
	Wallets    int
	Callers    int
	Duplicates int
	Duration   time.Duration
	// Rate is how many requests are sent each second, whatever becomes of them; 0 for callers who wait for their answers.
	Rate int
	// AtOnce passes each record on by itself, so that none is lost when the driver is killed.
	AtOnce     bool
	Users      int // who spend; 0 for the services themselves
	Engine     engineReady
	URLs       []string // of the function's processes
	CPUProfile string
}

// driver sends requests and tells what became of them.
type driver struct {
	driverPart
	target target

	mu      sync.Mutex
	out     *bufio.Writer
	failure error
}

func playDriver(ctx context.Context, in io.Reader, out io.Writer) (err error) {
	lines := bufio.NewReaderSize(in, lineMaxBytes)
	d := &driver{out: bufio.NewWriterSize(out, 64<<10)}
	if err := hear(lines, &d.driverPart); err != nil {
		return fmt.Errorf("the driver's part: %w", err)
	}
	if err := d.collect(); err != nil {
		return err
	}
	if d.target, err = newTarget(ctx, d.driverPart); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.target.close()) }()
	stop, err := profileTo(d.CPUProfile, roleDriver)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := say(out, struct{}{}); err != nil {
		return err
	}
	var begin struct{}
	if err := hear(lines, &begin); err != nil {
		return fmt.Errorf("the sign to begin: %w", err)
	}
	flushed := make(chan struct{})
	flushing, cancel := context.WithCancel(ctx)
	go func() {
		defer close(flushed)
		d.flush(flushing)
	}()
	if d.Rate > 0 {
		err = d.openLoop(ctx)
	} else {
		err = d.closedLoop(ctx)
	}
	cancel()
	<-flushed
	return errors.Join(err, d.pass(nil), d.failure)
}

// collect sets the garbage collector: that of the debit function where the driver stands for it, that of the engine where it only sends. It
// has no memory limit: an open loop holds more callers than an instance is sent.
func (d *driver) collect() error {
	if d.Via != viaLedger && d.Via != viaNaive {
		debug.SetGCPercent(engineGCPercent)
		return nil
	}
	table, err := limits.Load()
	if err != nil {
		return err
	}
	debug.SetGCPercent(table.Function("debit").CollectorPercent())
	return nil
}

// closedLoop runs callers who each wait for an answer before they send the next request.
func (d *driver) closedLoop(ctx context.Context) error {
	end := time.Now().Add(d.Duration)
	errs := make([]error, d.Callers)
	var all sync.WaitGroup
	for c := range d.Callers {
		all.Go(func() { errs[c] = d.caller(ctx, c, end) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// caller sends one request after the other. What it does not learn it asks again with the same id.
func (d *driver) caller(ctx context.Context, c int, end time.Time) error {
	r := d.random(c)
	pick, err := newPicker(d.Profile, d.Wallets, d.Hot, r)
	if err != nil {
		return err
	}
	again := repeats{percent: d.Duplicates, rand: r}
	var sent []uint32 // the wallet of each request so far, for its repeats
	for n := 0; time.Now().Before(end) && ctx.Err() == nil; {
		number, repeated := again.of(n)
		if !repeated {
			number = n
			sent = append(sent, uint32(pick()))
			n++
		}
		wallet := int(sent[number])
		d.untilKnown(ctx, c, number, wallet, end)
	}
	return nil
}

// untilKnown sends a request, again and again with the same id while its outcome is unknown.
func (d *driver) untilKnown(ctx context.Context, c, n, wallet int, end time.Time) {
	start := time.Now()
	for try := 0; ; try++ {
		if d.AtOnce {
			d.tell(newRecord(start, d.Index, c, n, wallet, begun))
		}
		o := d.attempt(ctx, c, n, wallet, c+try)
		d.tell(newRecord(start, d.Index, c, n, wallet, o))
		if o != unknown || time.Since(end) > patience || ctx.Err() != nil {
			return
		}
		time.Sleep(repeatPause)
	}
}

func (d *driver) attempt(ctx context.Context, c, n, wallet, turn int) outcome {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return d.target.do(ctx, orgName(d.Orgs, wallet), eventID(d.Index, c, n), turn)
}

// openLoop sends requests at a rate, each by a caller of its own who does not repeat. Latency counts from when a request was due.
func (d *driver) openLoop(ctx context.Context) error {
	r := d.random(0)
	pick, err := newPicker(d.Profile, d.Wallets, d.Hot, r)
	if err != nil {
		return err
	}
	most, err := d.inFlight()
	if err != nil {
		return err
	}
	places := make(chan struct{}, most)
	var all sync.WaitGroup
	defer all.Wait()
	begin := time.Now()
	for n := 0; time.Since(begin) < d.Duration && ctx.Err() == nil; time.Sleep(tick) {
		for due := int(time.Since(begin).Microseconds() * int64(d.Rate) / 1_000_000); n < due; n++ {
			number, wallet, at := n, pick(), begin.Add(time.Duration(n)*time.Second/time.Duration(d.Rate))
			select {
			case places <- struct{}{}:
			default:
				d.tell(newRecord(at, d.Index, 0, n, wallet, unsent))
				continue
			}
			all.Go(func() {
				defer func() { <-places }()
				d.tell(newRecord(at, d.Index, 0, number, wallet, d.attempt(ctx, 0, number, wallet, number)))
			})
		}
	}
	return nil
}

// inFlight is how many requests of an open loop may wait for an answer. Over HTTP they are as many as the platform's front end would let
// through to the function's instances; the rest it turns away itself.
func (d *driver) inFlight() (int, error) {
	if d.Via != viaHTTP {
		return inFlightMax, nil
	}
	table, err := limits.Load()
	if err != nil {
		return 0, err
	}
	return len(d.URLs) * table.Function("debit").Concurrency, nil
}

// random is a caller's own source, the same in every run.
func (d *driver) random(c int) *rand.Rand { return rand.New(rand.NewPCG(uint64(d.Index), uint64(c))) }

func (d *driver) tell(r record) {
	var b [recordBytes]byte
	if err := d.pass(r.append(b[:0])); err != nil {
		d.fail(err)
	}
}

// pass writes a record, and everything to the pipe if it must go at once; nil flushes.
func (d *driver) pass(b []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.out.Write(b); err != nil {
		return fmt.Errorf("telling a record: %w", err)
	}
	if b != nil && !d.AtOnce {
		return nil
	}
	if err := d.out.Flush(); err != nil {
		return fmt.Errorf("telling records: %w", err)
	}
	return nil
}

func (d *driver) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failure == nil {
		d.failure = err
	}
}

// flush passes records on now and then.
func (d *driver) flush(ctx context.Context) {
	t := time.NewTicker(flushEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if err := d.pass(nil); err != nil {
				d.fail(err)
				return
			}
		}
	}
}
