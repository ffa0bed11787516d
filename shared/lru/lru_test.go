package lru_test

import (
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/fluxori/ai-credits/shared/lru"
)

// TestCacheAgreesWithAListOfUses compares the cache with a slice that is kept in order of use by hand.
func TestCacheAgreesWithAListOfUses(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		type pair struct{ key, value int }
		bound := rapid.IntRange(1, 5).Draw(t, "bound")
		cache := lru.New[int, int](bound)
		var used []pair // the most recently used last
		take := func(key int) (pair, bool) {
			i := slices.IndexFunc(used, func(p pair) bool { return p.key == key })
			if i < 0 {
				return pair{}, false
			}
			p := used[i]
			used = slices.Delete(used, i, i+1)
			return p, true
		}
		for step := range rapid.IntRange(0, 100).Draw(t, "steps") {
			key := rapid.IntRange(0, 8).Draw(t, "key")
			if rapid.Bool().Draw(t, "put") {
				cache.Put(key, step)
				take(key)
				used = append(used, pair{key, step})
				used = used[max(0, len(used)-bound):]
			} else {
				got, ok := cache.Get(key)
				want, wantOK := take(key)
				if wantOK {
					used = append(used, want)
				}
				if ok != wantOK || got != want.value {
					t.Fatalf("Get(%d) = %d, %v, want %d, %v", key, got, ok, want.value, wantOK)
				}
			}
			if cache.Len() != len(used) {
				t.Fatalf("%d values, want %d", cache.Len(), len(used))
			}
		}
	})
}

func TestCacheStaysBoundedUnderConcurrentUse(t *testing.T) {
	t.Parallel()
	cache := lru.New[int, int](10)
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 1000 {
				cache.Put(worker*1000+i, i)
				if v, ok := cache.Get(worker*1000 + i); ok && v != i {
					t.Errorf("value %d, want %d", v, i)
				}
			}
		})
	}
	wg.Wait()
	if cache.Len() != 10 {
		t.Errorf("%d values, want 10", cache.Len())
	}
}

func TestACacheOfNothingIsAMistake(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("New(0) returned, want a panic")
		}
	}()
	lru.New[int, int](0)
}
