package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
)

// Server is a STUN and TURN server. See the package comment.
type Server struct {
	cfg      Config
	hub      *hub
	reporter reporter
	replays  replays
	counts   counts
	buffers  sync.Pool // of *buffer

	running sync.WaitGroup // everything that Close waits for

	mu     sync.Mutex
	closed bool
	closes map[int]func() // what Close must call, by number
	next   int
}

// Stats are counts since New, but for Allocations, which is now.
type Stats struct {
	Allocations int
	Packets     uint64 // relayed
	Bytes       uint64 // relayed, payload only
	Dropped     uint64 // lost to limits, impairment or slow clients, or because the peer is gone
	Refused     uint64
}

type counts struct{ packets, bytes, dropped, refused atomic.Uint64 }

// New returns a server that serves nothing yet: see [Server.ServePacket] and
// [Server.Serve]. Close it in the end. Its error wraps [ErrConfig].
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, reporter: reporter{to: cfg.OnRefused}, closes: make(map[int]func())}
	s.buffers.New = func() any { return new(buffer) }
	s.hub = newHub(s)
	return s, nil
}

// ServePacket serves STUN and TURN over UDP on conn until Close, and then returns
// [net.ErrClosed], or until reading fails, and then returns that. It closes conn.
func (s *Server) ServePacket(conn net.PacketConn) error {
	f := newUDPFront(s, conn)
	return s.serve(f.front, f, f.readAll)
}

// Serve serves STUN and TURN over the TCP or TLS connections of l until Close, and
// then returns [net.ErrClosed], or until Accept fails, and then returns that. It
// closes l and the connections. A TLS connection's handshake is done by its Read.
func (s *Server) Serve(l net.Listener) error {
	f := newTCPFront(s, l)
	return s.serve(f.front, f, f.acceptAll)
}

// transport is a front of one kind.
type transport interface {
	net.PacketConn // pion's end
	shut()         // closes the sockets
}

// serve has pion serve f, and runs work, which ends when the sockets are closed.
func (s *Server) serve(f *front, t transport, work func() error) error {
	number, ok := s.begin(func() {
		f.close()
		t.shut()
	})
	if !ok {
		t.shut()
		return net.ErrClosed
	}
	defer s.end(number)
	if err := f.startPion(t); err != nil {
		t.shut()
		return fmt.Errorf("starting the relay on %s: %w", t.LocalAddr(), err)
	}
	err := work()
	f.close()
	t.shut()
	<-f.left
	if s.isClosed() || errors.Is(err, net.ErrClosed) {
		return net.ErrClosed
	}
	return err
}

// begin has Close call stop, and wait for end. It returns false once closed.
func (s *Server) begin(stop func()) (number int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, false
	}
	s.next++
	s.closes[s.next] = stop
	s.running.Add(1)
	return s.next, true
}

func (s *Server) end(number int) {
	s.mu.Lock()
	delete(s.closes, number)
	s.mu.Unlock()
	s.running.Done()
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// Close ends all allocations, and closes the sockets, listeners and connections.
// When it returns, nothing of the relay runs any more, and the Serve calls return.
func (s *Server) Close() error { return s.Shutdown(context.Background()) }

// Shutdown is Close, but gives up waiting when ctx is done, and returns why.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	for _, stop := range s.closes {
		stop()
	}
	s.mu.Unlock()
	s.hub.close()

	gone := make(chan struct{})
	go func() {
		s.running.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("closing the relay: %w", ctx.Err())
	}
}

// Stats returns the counts.
func (s *Server) Stats() Stats {
	return Stats{
		Allocations: s.hub.count(),
		Packets:     s.counts.packets.Load(), Bytes: s.counts.bytes.Load(),
		Dropped: s.counts.dropped.Load(), Refused: s.counts.refused.Load(),
	}
}
