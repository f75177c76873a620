package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
)

// network stands between a browser and the server: a TCP port whose connections
// can break, freeze and be refused.
type network struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	state condition
	lines map[*frozen]bool
}

// condition is what becomes of connections.
type condition int

const (
	open     condition = iota
	refusing           // they are reset, old and new
)

// frozen is one connection, both ways; it can stop carrying bytes.
type frozen struct {
	client, server net.Conn
	stop           chan struct{} // closed: no byte goes through any more
}

func newNetwork(t *testing.T, port int) *network {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &network{listener: listener, target: fmt.Sprintf("127.0.0.1:%d", port), lines: map[*frozen]bool{}}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return // the test is over
			}
			done.Go(func() { n.carry(client) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		n.set(refusing)
		done.Wait()
	})
	return n
}

// room is the address of the call behind this network.
func (n *network) room() string { return n.base() + "?room=lobby" }

// base is the address of the server behind it.
func (n *network) base() string {
	return fmt.Sprintf("https://localhost:%d/", n.listener.Addr().(*net.TCPAddr).Port)
}

func (n *network) carry(client net.Conn) {
	server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", n.target)
	if err != nil {
		reset(client)
		return
	}
	line := &frozen{client: client, server: server, stop: make(chan struct{})}
	n.mu.Lock()
	n.lines[line] = true
	refused := n.state == refusing
	n.mu.Unlock()
	if refused {
		line.cut()
	}
	var both sync.WaitGroup
	both.Go(func() { line.copy(server, client) })
	both.Go(func() { line.copy(client, server) })
	both.Wait()
	n.mu.Lock()
	delete(n.lines, line)
	n.mu.Unlock()
}

// copy carries bytes one way until one end closes; the other end then is, too. A
// frozen line stays as it is until it is cut.
func (l *frozen) copy(to, from net.Conn) {
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		k, err := from.Read(buffer)
		select {
		case <-l.stop:
			_, _ = io.Copy(io.Discard, from) // until it is cut
			return
		default:
		}
		if err != nil {
			return
		}
		if _, err := to.Write(buffer[:k]); err != nil {
			return
		}
	}
}

func (l *frozen) cut() {
	reset(l.client)
	reset(l.server)
}

// reset closes without a FIN, which is what a line looks like when it is gone.
func reset(conn net.Conn) {
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}

// set changes the condition of the network. Refusing breaks what there is.
func (n *network) set(state condition) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.state = state
	if state == open {
		return
	}
	for line := range n.lines {
		line.cut()
	}
}

// freeze makes today's connections carry nothing any more; new ones work.
func (n *network) freeze() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for line := range n.lines {
		close(line.stop)
	}
}
