package relay

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// How long a TCP client may take.
const (
	// idle is for the next message of a client that has no allocation.
	idle = 30 * time.Second
	// slow is for the rest of a message, and for reading what was sent to it.
	slow = 10 * time.Second
)

// maxConns bounds the connections of one listener.
const maxConns = 4096

// tcpFront is a front whose clients have a connection each, TCP or TLS.
type tcpFront struct {
	*front
	listener net.Listener
}

func newTCPFront(s *Server, l net.Listener) *tcpFront {
	return &tcpFront{front: newFront(s, "tcp"), listener: l}
}

// acceptAll accepts until the listener is closed, and then ends the connections.
func (f *tcpFront) acceptAll() error {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		conn, err := f.listener.Accept()
		if err != nil {
			f.shut()
			return fmt.Errorf("accepting TCP: %w", err)
		}
		t := newTCPConn(f, conn)
		if !t.client.addr.IsValid() || !f.admit(t.client) {
			conn.Close()
			continue
		}
		running.Go(func() { t.out.run(conn) })
		running.Go(t.readAll)
	}
}

// admit takes a new connection's client in, if there is room.
func (f *tcpFront) admit(c *client) bool {
	f.mu.RLock()
	n := len(f.clients)
	f.mu.RUnlock()
	select {
	case <-f.done:
		return false
	default:
	}
	return n < maxConns && f.remember(c)
}

// WriteTo sends what pion has for a client.
func (f *tcpFront) WriteTo(p []byte, to net.Addr) (int, error) {
	c := f.find(addrPort(to))
	if c == nil {
		return 0, net.ErrClosed
	}
	c.out.send(c, p)
	return len(p), nil
}

// LocalAddr is the listener's.
func (f *tcpFront) LocalAddr() net.Addr { return f.listener.Addr() }

// shut closes the listener and all connections.
func (f *tcpFront) shut() {
	f.close()
	f.listener.Close()
	f.mu.RLock()
	defer f.mu.RUnlock()
	for _, c := range f.clients {
		hangUp(c.out.(*tcpConn).conn)
	}
}

// tcpConn is one connection.
type tcpConn struct {
	front  *tcpFront
	conn   net.Conn
	client *client
	out    *outbox
}

func newTCPConn(f *tcpFront, conn net.Conn) *tcpConn {
	t := &tcpConn{front: f, conn: conn, out: newOutbox()}
	t.client = &client{front: f.front, addr: addrPort(conn.RemoteAddr()), net: conn.RemoteAddr(), out: t}
	return t
}

// readAll reads messages until the connection ends; then its allocation ends, too.
func (t *tcpConn) readAll() {
	defer t.end()
	select {
	case <-t.front.done: // shut may have come before admit
		return
	default:
	}
	frames := frameReader{r: t.conn, wait: t.wait}
	for {
		raw, err := frames.next()
		if err != nil {
			if errors.Is(err, errFraming) {
				t.client.refuse(Refusal{Reason: BadFraming})
			}
			return
		}
		t.client.heard.Store(time.Now().UnixNano())
		m, forPion := t.front.handle(t.client, raw, nil)
		if !forPion {
			continue
		}
		select {
		case t.front.queue <- m: // who sends too much waits
		case <-t.front.done:
			return
		}
	}
}

// wait sets the deadline for what comes next.
func (t *tcpConn) wait(begun time.Time) {
	var until time.Time
	switch {
	case !begun.IsZero():
		until = begun.Add(slow)
	case t.client.relayed.Load() == nil:
		until = time.Now().Add(idle)
	}
	_ = t.conn.SetReadDeadline(until) // what fails here, fails again in Read
}

func (t *tcpConn) end() {
	t.client.gone.Store(true)
	t.front.forget(t.client)
	hangUp(t.conn)
	t.out.close()
	if r := t.client.relayed.Load(); r != nil {
		_ = r.Close()
	}
}

// hangUp closes without TLS's close_notify, for which a client that does not read
// would have us wait.
func hangUp(conn net.Conn) {
	if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = secure.NetConn()
	}
	conn.Close()
}

func (t *tcpConn) send(_ *client, message []byte) {
	if !t.out.put(message) {
		t.front.server.counts.dropped.Add(1)
	}
}

// released gives a client without an allocation the time of a new one.
func (t *tcpConn) released(*client) { _ = t.conn.SetReadDeadline(time.Now().Add(idle)) }

// maxPending is what may wait to be written to one client: half a second of 1 Mbit/s.
// More would only arrive too late.
const maxPending = 64 << 10

// outbox has the messages of a connection that are not written yet. So nobody waits
// for a slow client, and what comes at the same time is written at once.
type outbox struct {
	mu      sync.Mutex
	some    sync.Cond
	pending []byte
	closed  bool
}

func newOutbox() *outbox {
	o := new(outbox)
	o.some.L = &o.mu
	return o
}

// put adds a message, padded to four bytes (RFC 8656 §12.5). It returns false when
// there is no room.
func (o *outbox) put(message []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || len(o.pending)+len(message)+3 > maxPending {
		return false
	}
	o.pending = append(o.pending, message...)
	for range -len(message) & 3 {
		o.pending = append(o.pending, 0)
	}
	o.some.Signal()
	return true
}

// run writes until close, or until conn fails; then it closes conn.
func (o *outbox) run(conn net.Conn) {
	var batch []byte
	for {
		o.mu.Lock()
		for len(o.pending) == 0 && !o.closed {
			o.some.Wait()
		}
		if o.closed {
			o.mu.Unlock()
			return
		}
		batch, o.pending = o.pending, batch[:0]
		o.mu.Unlock()
		_ = conn.SetWriteDeadline(time.Now().Add(slow))
		if _, err := conn.Write(batch); err != nil {
			hangUp(conn) // the reader ends, and closes this
			return
		}
	}
}

func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.some.Signal()
}
