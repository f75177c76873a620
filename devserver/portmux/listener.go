package portmux

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// backlog is how many connections may wait for one consumer's Accept: as many as
// listen(2) allowed for decades (SOMAXCONN). Each has a goroutine, and all end with
// Config.Patience.
const backlog = 128

// listener is one consumer's end of the mux.
type listener struct {
	addr    net.Addr
	ready   chan net.Conn // unbuffered: what is sent is the consumer's
	waiting atomic.Int32
	taken   atomic.Bool

	once sync.Once
	done chan struct{}
}

func newListener(addr net.Addr) *listener {
	return &listener{addr: addr, ready: make(chan net.Conn), done: make(chan struct{})}
}

// take says that somebody will call Accept.
func (l *listener) take() net.Listener {
	l.taken.Store(true)
	return l
}

// Accept returns the next connection, or [net.ErrClosed].
func (l *listener) Accept() (net.Conn, error) {
	if l.isClosed() {
		return nil, net.ErrClosed
	}
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close makes Accept return, and the mux close what comes for this consumer from
// now on. The port stays open.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr is the address of the mux's first listener.
func (l *listener) Addr() net.Addr { return l.addr }

func (l *listener) isClosed() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// offer waits until the consumer takes c, and returns false if it does not.
func (l *listener) offer(c net.Conn, until time.Time) bool {
	if !l.taken.Load() || l.isClosed() {
		return false
	}
	select {
	case l.ready <- c:
		return true
	default:
	}
	defer l.waiting.Add(-1)
	if l.waiting.Add(1) > backlog {
		return false
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case l.ready <- c:
		return true
	case <-l.done:
	case <-timer.C:
	}
	return false
}
