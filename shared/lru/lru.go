// Package lru keeps the most recently used of many values.
//
// Invariants: a cache never holds more values than its bound; what is dropped is what was used longest ago. It is safe
// for concurrent use.
//
// It does not own how long a value is good for: whoever reads one decides.
package lru

import (
	"container/list"
	"fmt"
	"sync"
)

// Cache holds a bounded number of values by key.
type Cache[K comparable, V any] struct {
	max int

	mu sync.Mutex
	// order holds an *entry for each key, the most recently used first.
	order *list.List
	byKey map[K]*list.Element
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

// New returns a cache of at most max values. It panics if max is not positive.
func New[K comparable, V any](max int) *Cache[K, V] {
	if max <= 0 {
		panic(fmt.Sprintf("lru: a cache of %d values", max))
	}
	return &Cache[K, V]{max: max, order: list.New(), byKey: map[K]*list.Element{}}
}

// Get returns the value of key and whether there is one, and counts as a use.
func (c *Cache[K, V]) Get(key K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.byKey[key]
	if !ok {
		var zero V
		return zero, false
	}
	c.order.MoveToFront(element)
	return element.Value.(*entry[K, V]).value, true
}

// Put sets the value of key, and drops the value used longest ago if there are now too many.
func (c *Cache[K, V]) Put(key K, value V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element, ok := c.byKey[key]; ok {
		element.Value.(*entry[K, V]).value = value
		c.order.MoveToFront(element)
		return
	}
	c.byKey[key] = c.order.PushFront(&entry[K, V]{key: key, value: value})
	if c.order.Len() > c.max {
		last := c.order.Remove(c.order.Back()).(*entry[K, V])
		delete(c.byKey, last.key)
	}
}

// Len returns how many values there are.
func (c *Cache[K, V]) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.order.Len()
}
