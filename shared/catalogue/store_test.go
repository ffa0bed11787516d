package catalogue_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/fluxori/ai-credits/shared/catalogue"
	"github.com/fluxori/ai-credits/shared/embedded/engine"
	"github.com/fluxori/ai-credits/shared/embedded/firedb"
)

// clock is a machine's clock that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now()} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// newStore returns a store with default options on e, whose reads end after 200 ms, and its log.
func newStore(e *engine.Engine, clock *clock) (*catalogue.Store, *bytes.Buffer) {
	var logged bytes.Buffer
	return catalogue.NewStore(e.Client, slog.New(slog.NewTextHandler(&logged, nil)),
		catalogue.StoreOptions{Timeout: 200 * time.Millisecond, Now: clock.Now}), &logged
}

// seeded returns an engine with the seed in it, and a store that has not read it.
func seeded(tb testing.TB) (*engine.Engine, *catalogue.Store, *clock) {
	tb.Helper()
	e, clock := engine.New(tb), newClock()
	store, _ := newStore(e, clock)
	if err := store.Seed(tb.Context(), seed(tb)); err != nil {
		tb.Fatal(err)
	}
	store, _ = newStore(e, clock)
	e.Hooks.Reset()
	return e, store, clock
}

// next returns the seed as another version, in which a bulk price is different.
func next(tb testing.TB, version, bulkPrice int64) *catalogue.Catalogue {
	tb.Helper()
	document := seed(tb).Document()
	document.Version = version
	document.Features[3].Price = catalogue.Range{Min: bulkPrice, Max: bulkPrice}
	c, err := catalogue.New(document)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// bulkPrice returns what the current version of store asks for bulk pricing, and its number.
func bulkPrice(tb testing.TB, store *catalogue.Store) (credits, version int64) {
	tb.Helper()
	c, err := store.Current(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	quote, err := c.Price("bulk-pricing", catalogue.Quantity{})
	if err != nil {
		tb.Fatal(err)
	}
	return quote.Credits, quote.PriceVersion
}

// outage fails every read of documents.
func outage() firedb.Rule {
	return firedb.Rule{Method: "BatchGetDocuments", Fault: firedb.Fault{Code: codes.Unavailable}}
}

func TestCurrentCostsTwoReadsColdAndNoneWhileFresh(t *testing.T) {
	t.Parallel()
	e, store, _ := seeded(t)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if c, err := store.Current(t.Context()); err != nil || c.Version() != 1 {
				t.Errorf("Current = %v, %v", c, err)
			}
		})
	}
	wg.Wait()
	if n := e.Hooks.Counts().Reads; n != 2 {
		t.Errorf("%d reads for 100 callers, want 2", n)
	}
}

func TestAnUnchangedCatalogueIsConfirmedWithOneRead(t *testing.T) {
	t.Parallel()
	e, store, clock := seeded(t)
	bulkPrice(t, store)
	e.Hooks.Reset()
	clock.advance(5 * time.Second)
	bulkPrice(t, store)
	if n := e.Hooks.Counts().Reads; n != 1 {
		t.Errorf("%d reads, want 1", n)
	}
}

func TestAPublishedVersionIsCurrentWithinTheStaleness(t *testing.T) {
	t.Parallel()
	e, publisher, clock := seeded(t)
	reader, _ := newStore(e, clock)
	bulkPrice(t, reader)
	if err := publisher.Publish(t.Context(), next(t, 2, 120), "operator"); err != nil {
		t.Fatal(err)
	}
	if credits, version := bulkPrice(t, publisher); credits != 120 || version != 2 {
		t.Errorf("the publisher asks %d credits by version %d, want 120 by 2", credits, version)
	}
	if credits, version := bulkPrice(t, reader); credits != 100 || version != 1 {
		t.Errorf("while fresh, another asks %d credits by version %d, want 100 by 1", credits, version)
	}
	clock.advance(5 * time.Second)
	if credits, version := bulkPrice(t, reader); credits != 120 || version != 2 {
		t.Errorf("when stale, another asks %d credits by version %d, want 120 by 2", credits, version)
	}
	pinned, err := reader.Version(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if quote, err := pinned.Price("bulk-pricing", catalogue.Quantity{}); err != nil || quote.Credits != 100 || quote.PriceVersion != 1 {
		t.Errorf("by the pinned version: %+v, %v, want 100 credits by version 1", quote, err)
	}
}

func TestHalfWayToStaleNobodyWaits(t *testing.T) {
	t.Parallel()
	e, store, clock := seeded(t)
	bulkPrice(t, store)
	if err := storeOn(e).Publish(t.Context(), next(t, 2, 120), "operator"); err != nil {
		t.Fatal(err)
	}
	entered := make(chan struct{}, 10)
	release := make(chan struct{})
	e.Hooks.Set(firedb.Rule{Method: "BatchGetDocuments", Fault: firedb.Fault{DelayFunc: func() time.Duration {
		entered <- struct{}{}
		<-release
		return 0
	}}})
	clock.advance(3 * time.Second)
	if _, version := bulkPrice(t, store); version != 1 {
		t.Errorf("version %d while the store is being asked, want 1", version)
	}
	<-entered // the store is being asked, and the caller did not wait
	close(release)
	deadline := time.Now().Add(10 * time.Second)
	for _, version := bulkPrice(t, store); version != 2; _, version = bulkPrice(t, store) {
		if time.Now().After(deadline) {
			t.Fatal("the new version never came")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestALookThatIsOvertakenByAPublicationDoesNotUndoIt(t *testing.T) {
	t.Parallel()
	e, _, clock := seeded(t)
	store := catalogue.NewStore(e.Client, slog.New(slog.DiscardHandler), catalogue.StoreOptions{Timeout: time.Minute, Now: clock.Now})
	entered, release := make(chan struct{}), make(chan struct{})
	// The look has read the pointer to version 1 and is held back on its way to the version itself.
	e.Hooks.Set(firedb.Rule{
		Method: "BatchGetDocuments", Count: 1,
		When: func(m proto.Message) bool {
			request, ok := m.(*firestorepb.BatchGetDocumentsRequest)
			return ok && strings.HasSuffix(request.GetDocuments()[0], "/catalogue/1")
		},
		Fault: firedb.Fault{DelayFunc: func() time.Duration { close(entered); <-release; return 0 }},
	})
	looked := make(chan error)
	go func() {
		_, err := store.Current(t.Context())
		looked <- err
	}()
	<-entered
	if err := store.Publish(t.Context(), next(t, 2, 120), "operator"); err != nil {
		t.Error(err)
	}
	close(release)
	if err := <-looked; err != nil {
		t.Fatal(err)
	}
	if credits, version := bulkPrice(t, store); credits != 120 || version != 2 {
		t.Errorf("%d credits by version %d, want 120 by 2", credits, version)
	}
}

// storeOn returns another store on e, with a clock of its own.
func storeOn(e *engine.Engine) *catalogue.Store {
	store, _ := newStore(e, newClock())
	return store
}

func TestWhileTheStoreIsDownTheCatalogueIsServedForTenMinutes(t *testing.T) {
	t.Parallel()
	e, _, clock := seeded(t)
	store, logged := newStore(e, clock)
	bulkPrice(t, store)
	e.Hooks.Set(outage())
	clock.advance(10*time.Minute - time.Second)
	for range 5 {
		if credits, _ := bulkPrice(t, store); credits != 100 {
			t.Errorf("%d credits, want the 100 of before", credits)
		}
	}
	if n := strings.Count(logged.String(), "cannot be refreshed"); n != 1 {
		t.Errorf("the store was asked in vain %d times within a second, want once: %s", n, logged)
	}
	clock.advance(time.Second)
	if _, err := store.Current(t.Context()); code(t, err) != "unavailable" {
		t.Errorf("after ten minutes: %v, want unavailable", err)
	}
	e.Hooks.Set()
	clock.advance(time.Second)
	if credits, _ := bulkPrice(t, store); credits != 100 {
		t.Errorf("%d credits when the store is back, want 100", credits)
	}
}

func TestColdAndDownIsUnavailableAndHeals(t *testing.T) {
	t.Parallel()
	e, store, clock := seeded(t)
	e.Hooks.Set(outage())
	if _, err := store.Current(t.Context()); code(t, err) != "unavailable" {
		t.Errorf("Current: %v, want unavailable", err)
	}
	if _, err := store.Version(t.Context(), 1); code(t, err) != "unavailable" {
		t.Errorf("Version: %v, want unavailable", err)
	}
	e.Hooks.Set()
	clock.advance(time.Second)
	bulkPrice(t, store)
}

func TestACallerWhoGivesUpIsToldSoAndTheOthersAreServed(t *testing.T) {
	t.Parallel()
	_, store, _ := seeded(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	// Either the caller's end or the answer is seen first; both are right.
	if c, err := store.Current(ctx); code(t, err) != "unavailable" && c == nil {
		t.Errorf("Current = %v, %v", c, err)
	}
	if c, err := store.Version(ctx, 1); code(t, err) != "unavailable" && c == nil {
		t.Errorf("Version = %v, %v", c, err)
	}
	if credits, _ := bulkPrice(t, store); credits != 100 {
		t.Errorf("%d credits for the next caller, want 100", credits)
	}
}

func TestVersionsAreReadOnceAndUnknownOnesRefused(t *testing.T) {
	t.Parallel()
	e, store, _ := seeded(t)
	for range 3 {
		if c, err := store.Version(t.Context(), 1); err != nil || c.Version() != 1 {
			t.Fatalf("Version(1) = %v, %v", c, err)
		}
	}
	if n := e.Hooks.Counts().Reads; n != 1 {
		t.Errorf("%d reads of version 1, want 1", n)
	}
	for _, version := range []int64{-1, 0, 2, 1 << 62} {
		if _, err := store.Version(t.Context(), version); code(t, err) != "invalid_request" {
			t.Errorf("version %d: %v, want invalid_request", version, err)
		}
	}
}

func TestMemoryHoldsABoundedNumberOfVersions(t *testing.T) {
	t.Parallel()
	e, publisher, clock := seeded(t)
	if err := publisher.Publish(t.Context(), next(t, 2, 120), "operator"); err != nil {
		t.Fatal(err)
	}
	store := catalogue.NewStore(e.Client, slog.New(slog.DiscardHandler), catalogue.StoreOptions{VersionsMax: 1, Now: clock.Now})
	e.Hooks.Reset()
	for _, version := range []int64{1, 2, 2, 1} {
		if c, err := store.Version(t.Context(), version); err != nil || c.Version() != version {
			t.Fatalf("Version(%d) = %v, %v", version, c, err)
		}
	}
	if n := e.Hooks.Counts().Reads; n != 3 {
		t.Errorf("%d reads, want 3: one is kept", n)
	}
}

func TestANewerReleasesDocumentsAreNotGuessedAt(t *testing.T) {
	t.Parallel()
	for name, id := range map[string]string{"pointer": "current", "version": "2"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, store, clock := seeded(t)
			bulkPrice(t, store)
			documents := e.Client.Collection("catalogue")
			if _, err := documents.Doc(id).Set(t.Context(), map[string]any{"v": 2, "prices": "elsewhere"}); err != nil {
				t.Fatal(err)
			}
			if _, err := documents.Doc("current").Set(t.Context(), map[string]any{"version": 2}, firestore.MergeAll); err != nil {
				t.Fatal(err)
			}
			clock.advance(5 * time.Second)
			if _, err := store.Current(t.Context()); code(t, err) != "unavailable" {
				t.Errorf("Current: %v, want unavailable although a version is in memory", err)
			}
			before := dump(t, e)
			err := store.Publish(t.Context(), next(t, 3, 120), "operator")
			if code(t, err) != "unavailable" {
				t.Errorf("Publish: %v, want unavailable", err)
			}
			if id == "current" {
				if err := store.Seed(t.Context(), seed(t)); code(t, err) != "unavailable" {
					t.Errorf("Seed: %v, want unavailable", err)
				}
			}
			if after := dump(t, e); after != before {
				t.Errorf("wrote %s over %s", after, before)
			}
		})
	}
}

func TestADocumentThatIsDamagedIsUnavailableAndNotTheCallersFault(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]map[string]any{
		"no JSON":            {"document": "{"},
		"not valid":          {"document": `{"version":1}`},
		"another's version":  {"document": strings.Replace(dumpSeed(t), `"version":1`, `"version":7`, 1)},
		"no schema":          {"v": firestore.Delete},
		"schema in words":    {"v": "one"},
		"schema 0":           {"v": 0},
		"document of a type": {"document": 7},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, store, _ := seeded(t)
			if _, err := e.Client.Collection("catalogue").Doc("1").Set(t.Context(), damage, firestore.MergeAll); err != nil {
				t.Fatal(err)
			}
			if _, err := store.Current(t.Context()); code(t, err) != "unavailable" {
				t.Errorf("Current: %v, want unavailable", err)
			}
			if _, err := store.Version(t.Context(), 1); code(t, err) != "unavailable" {
				t.Errorf("Version: %v, want unavailable", err)
			}
		})
	}
}

func BenchmarkCurrent(b *testing.B) {
	_, store, _ := seeded(b)
	bulkPrice(b, store)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := store.Current(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRefresh confirms an unchanged catalogue each time.
func BenchmarkRefresh(b *testing.B) {
	e, store, clock := seeded(b)
	bulkPrice(b, store)
	e.Hooks.Reset()
	for b.Loop() {
		clock.advance(5 * time.Second)
		if _, err := store.Current(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	counts := e.Hooks.Counts()
	b.ReportMetric(float64(counts.Reads)/float64(b.N), "reads/op")
	b.ReportMetric(float64(counts.RPCs["BatchGetDocuments"])/float64(b.N), "RPCs/op")
}
