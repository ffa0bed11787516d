package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/fluxori/ai-credits/shared/needs"
)

// shots names a folder that pictures of the pages are put into: go test ./scripts/local -run Browser -args -shots DIR.
var shots = flag.String("shots", "", "put pictures of the dashboard's pages into this folder")

// browser is a Chromium that somebody uses.
type browser struct {
	t    *testing.T
	ctx  context.Context //nolint:containedctx // it is the browser
	base string
	axe  string

	mu     sync.Mutex
	faults []string
}

// browserLife bounds what one browser is used for.
const browserLife = 5 * time.Minute

// openBrowser starts a Chromium of its own with a window of a width.
func openBrowser(t *testing.T, base string, width int64) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(needs.Chromium(t)), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.UserDataDir(t.TempDir()),
		chromedp.WSURLReadTimeout(time.Minute))
	ctx, end := context.WithTimeout(context.WithoutCancel(t.Context()), browserLife)
	t.Cleanup(end)
	ctx, cancel := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, stop := chromedp.NewContext(ctx)
	t.Cleanup(stop)
	b := &browser{t: t, ctx: ctx, base: base}
	b.axe, _ = needs.Axe(t)
	b.do(chromedp.EmulateViewport(width, 900), chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, log.Enable, cdp.Empty{})
		if err == nil {
			_, err = cdp.Call(ctx, target, network.Enable, network.EnableParams{})
		}
		return err
	}))
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	return b
}

// hear notes what a console would show in red, and answers that failed.
func (b *browser) hear(event any) {
	fault := ""
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		fault = "exception: " + e.ExceptionDetails.Text
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError {
			fault = fmt.Sprintf("console: %v", e.Args)
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			fault = "console: " + e.Entry.Text + " " + e.Entry.URL
		}
	case *network.EventLoadingFailed:
		if !e.Canceled {
			fault = "loading: " + e.ErrorText
		}
	}
	if fault != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.faults = append(b.faults, fault)
	}
}

// do does one thing after the other.
func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// ask evaluates a script that gives a text.
func (b *browser) ask(script string) string {
	b.t.Helper()
	out, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

// dark has the pages be dark, or as they are for most.
func (b *browser) dark(on bool) {
	b.t.Helper()
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: map[bool]string{true: "dark", false: "light"}[on]}}
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
		return err
	}))
}

// signIn signs somebody in on the issuer's page.
func (b *browser) signIn(sub string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.base+"/account/ui/"), chromedp.Click(`a[href$="/signin"]`), chromedp.Click(`button[value="`+sub+`"]`), chromedp.WaitVisible(`.who`))
	b.forget()
}

// forget drops the faults of pages that are not the dashboard's.
func (b *browser) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = nil
}

// open shows a page of an organisation and looks it over.
func (b *browser) open(path, shot string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.base+"/account/ui"+path), chromedp.WaitReady(`main h1`))
	b.look(path, shot)
}

// press fills fields, given as selector and value in turn, presses a button, and waits for what it leads to.
func (b *browser) press(button, then string, fields ...string) {
	b.t.Helper()
	for i := 0; i < len(fields); i += 2 {
		b.do(chromedp.SetValue(fields[i], fields[i+1]))
	}
	b.ask(`document.body.dataset.left = "yes"`) // so that what is waited for is not taken for something on this page
	b.do(chromedp.Click(button), chromedp.WaitVisible(`body:not([data-left]) `+then))
	b.look("after "+button, "")
}

// look finds what is wrong with the page that is shown: faults of the console, what does not fit the window, what axe-core calls serious.
func (b *browser) look(path, shot string) {
	b.t.Helper()
	if wide := b.ask(`document.documentElement.scrollWidth > innerWidth ? document.documentElement.scrollWidth + " of " + innerWidth : ""`); wide != "" {
		b.t.Errorf("%s is wider than the window: %s", path, wide)
	}
	if ids := b.ask(`[...document.querySelectorAll("[id]")].map(e => e.id).filter((id, i, all) => all.indexOf(id) != i).join(" ")`); ids != "" {
		b.t.Errorf("%s has ids twice: %s", path, ids)
	}
	if b.axe != "" {
		b.ask(b.axe + `;""`)
		found := b.ask(`axe.run().then(r => r.violations.filter(v => v.impact == "serious" || v.impact == "critical").map(v =>
			v.id + ": " + v.help + " " + v.nodes.map(n => n.html.slice(0, 160)).join(" | ")).join("\n"))`)
		if found != "" {
			b.t.Errorf("%s: axe-core finds\n%s", path, found)
		}
	}
	if shot != "" && (*shots != "" || *pictures != "") {
		screenshot, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
		if err != nil {
			b.t.Fatal(err)
		}
		keep(b.t, shot, screenshot)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, fault := range b.faults {
		b.t.Errorf("%s: %s", path, fault)
	}
	b.faults = nil
}

// text is what an element shows.
func (b *browser) text(selector string) string {
	b.t.Helper()
	out, err := chromedp.Run(b.ctx, chromedp.Text(selector))
	if err != nil {
		b.t.Fatal(err)
	}
	return strings.Join(strings.Fields(out), " ")
}

// startDemonstration runs a system with its demonstration.
func startDemonstration(tb testing.TB) *client {
	tb.Helper()
	s, err := start(tb.Context(), options{addr: "127.0.0.1:0", stderr: io.Discard, demo: true, environ: func(string) (string, bool) { return "", false }})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.stop(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	t, _ := tb.(*testing.T)
	return &client{t: t, base: s.base}
}
