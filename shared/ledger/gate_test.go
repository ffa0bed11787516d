package ledger

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestTheGateFindsHowManyAStoreTakes lets 1,000 wallets work without end on stores that slow down in different ways, and looks how many the
// gate lets in after a while.
func TestTheGateFindsHowManyAStoreTakes(t *testing.T) {
	t.Parallel()
	const busy = 1000
	tests := []struct {
		name        string
		took        func(used int) time.Duration
		least, most int
	}{
		{"far away and idle", func(int) time.Duration { return 40 * time.Millisecond }, 400, 400},
		{"near, slower with each", func(used int) time.Duration { return time.Duration(used) * 100 * time.Microsecond }, gateLeast, 80},
		{"as many as a hundred", func(used int) time.Duration {
			return 5*time.Millisecond + time.Duration(max(0, used-100))*200*time.Microsecond
		}, 110, 150},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newGate(400)
				stop := time.Now().Add(10 * time.Second)
				var all sync.WaitGroup
				for range busy {
					all.Go(func() {
						for time.Now().Before(stop) {
							g.enter()
							g.mu.Lock()
							took := tt.took(g.used)
							g.mu.Unlock()
							time.Sleep(took)
							g.leave(took)
						}
					})
				}
				time.Sleep(9 * time.Second)
				synctest.Wait()
				g.mu.Lock()
				limit, used := g.limit, g.used
				g.mu.Unlock()
				all.Wait()
				if limit < tt.least || limit > tt.most || used > tt.most {
					t.Errorf("%d of %d are let in, want %d to %d", used, limit, tt.least, tt.most)
				}
			})
		})
	}
}

func TestTheGateServesInTheOrderOfArrival(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1)
		g.enter()
		var order []int
		for i := range 10 {
			go func() {
				g.enter()
				order = append(order, i) // one at a time: the gate holds them apart
				g.leave(0)
			}()
			synctest.Wait()
		}
		g.leave(0)
		synctest.Wait()
		for i, n := range order {
			if n != i {
				t.Fatalf("the order was %v", order)
			}
		}
		if len(order) != 10 || g.used != 0 {
			t.Errorf("%d came in, %d are in still", len(order), g.used)
		}
	})
}

// TestAStoreThatBecameSlowerIsGivenANewBase: the least time of long ago must not keep the gate nearly shut.
func TestAStoreThatBecameSlowerIsGivenANewBase(t *testing.T) {
	t.Parallel()
	g := newGate(200)
	g.leave(time.Millisecond)
	g.used = 0
	g.waiting.PushBack(make(chan struct{}))
	now := time.Now()
	adjust := func(times int) {
		for range times {
			now = now.Add(40 * time.Millisecond)
			g.adjust(40*time.Millisecond, now)
		}
	}
	adjust(100)
	if g.limit != gateLeast {
		t.Errorf("the limit is %d after many slow commits, want %d", g.limit, gateLeast)
	}
	adjust(int(3 * gateWindow / (40 * time.Millisecond)))
	if g.limit != 200 {
		t.Errorf("the limit is %d though the store is even, want 200", g.limit)
	}
}
