package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"

	"google.golang.org/grpc/test/bufconn"
)

// pipeBytes is how much a connection holds that its reader has not taken.
const pipeBytes = 256 << 10

// network is the only way between the simulated processes. Its connections are in memory, so that virtual time passes while they wait.
type network struct {
	mu        sync.Mutex
	listeners map[string]*bufconn.Listener
	down      map[string]bool // addresses that do not answer
	links     map[*link]bool  // open connections
	// written is told of every write of a client, before it happens; the write fails if it says so.
	written func(from string) (cut bool)
}

// link is one client's connection.
type link struct {
	net.Conn
	network  *network
	from, to string
}

func newNetwork() *network {
	return &network{listeners: map[string]*bufconn.Listener{}, down: map[string]bool{}, links: map[*link]bool{}}
}

// listen takes an address.
func (n *network) listen(address string) net.Listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := bufconn.Listen(pipeBytes)
	n.listeners[address] = l
	return l
}

// dial connects a process to an address.
func (n *network) dial(ctx context.Context, from, address string) (net.Conn, error) {
	n.mu.Lock()
	l, down := n.listeners[address], n.down[address] || n.down[from]
	n.mu.Unlock()
	if l == nil || down {
		return nil, fmt.Errorf("connection from %s to %s refused", from, address)
	}
	c, err := l.DialContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect %s to %s: %w", from, address, err)
	}
	k := &link{Conn: c, network: n, from: from, to: address}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down[address] || n.down[from] {
		return nil, fmt.Errorf("connection from %s to %s lost: %w", from, address, c.Close())
	}
	n.links[k] = true
	return k, nil
}

// dialer is what a process dials with.
func (n *network) dialer(from string) func(ctx context.Context, _, address string) (net.Conn, error) {
	return func(ctx context.Context, _, address string) (net.Conn, error) { return n.dial(ctx, from, address) }
}

// client sends HTTP requests for a process. Its idle connections are closed by cutting the process off.
func (n *network) client(from string) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: n.dialer(from), MaxIdleConnsPerHost: maxIdle}}
}

const maxIdle = 64

// set makes an address, or a process, unreachable or reachable again. What is open to it or from it is cut.
func (n *network) set(name string, down bool) {
	n.mu.Lock()
	n.down[name] = down
	var cut []*link
	for k := range n.links {
		if down && (k.from == name || k.to == name) {
			cut = append(cut, k)
		}
	}
	n.mu.Unlock()
	for _, k := range cut {
		_ = k.Close() // the peer sees the end
	}
}

// close cuts everything.
func (n *network) close() {
	n.mu.Lock()
	listeners, links := n.listeners, n.links
	n.listeners, n.links = map[string]*bufconn.Listener{}, map[*link]bool{}
	n.mu.Unlock()
	for _, l := range listeners {
		_ = l.Close()
	}
	for k := range links {
		_ = k.Conn.Close()
	}
}

// Write sends, unless the process dies at it.
func (k *link) Write(p []byte) (int, error) {
	if k.network.written != nil && k.network.written(k.from) {
		return 0, net.ErrClosed
	}
	return k.Conn.Write(p)
}

// Close ends the connection.
func (k *link) Close() error {
	k.network.mu.Lock()
	delete(k.network.links, k)
	k.network.mu.Unlock()
	return k.Conn.Close()
}
