package relay

import (
	"fmt"
	"net"
	"net/netip"
	"time"
)

// udpFront is a front whose clients are on one UDP socket.
type udpFront struct {
	*front
	conn net.PacketConn
}

// socketBuffer is asked for, in bytes, in each direction; systems give what they allow.
// Clients send bursts, and what comes to a full buffer is lost. Linux gives 208 KiB
// unasked, and counts about 2 KiB for each packet.
const socketBuffer = 4 << 20

func newUDPFront(s *Server, conn net.PacketConn) *udpFront {
	if c, ok := conn.(interface {
		SetReadBuffer(bytes int) error
		SetWriteBuffer(bytes int) error
	}); ok {
		_, _ = c.SetReadBuffer(socketBuffer), c.SetWriteBuffer(socketBuffer)
	}
	return &udpFront{front: newFront(s, "udp"), conn: conn}
}

// readAll reads until the socket is closed.
func (f *udpFront) readAll() error {
	if tried, err := f.readBatches(); tried {
		return err
	}
	var buf buffer
	for {
		if err := f.readOne(&buf); err != nil {
			return err
		}
	}
}

// readOne reads and handles one datagram.
func (f *udpFront) readOne(buf *buffer) error {
	var row readErrors
	for {
		n, from, err := f.conn.ReadFrom(buf[:])
		if row.end(err, f.done) {
			return fmt.Errorf("reading UDP: %w", err)
		}
		if err == nil {
			f.take(addrPort(from), buf[:n], time.Now().UnixNano(), nil)
			return nil
		}
	}
}

// take handles one datagram. What it makes goes into via first.
func (f *udpFront) take(from netip.AddrPort, datagram []byte, now int64, via collector) {
	c := f.find(from)
	if c == nil {
		c = &client{front: f.front, addr: from, net: net.UDPAddrFromAddrPort(from), out: f}
	}
	c.heard.Store(now)
	m, forPion := f.handle(c, datagram, via)
	if !forPion {
		return
	}
	select {
	case f.queue <- m:
	default: // clients ask again (RFC 8489 §6.2.1)
		f.server.counts.dropped.Add(1)
	}
}

// WriteTo sends what pion has for a client.
func (f *udpFront) WriteTo(p []byte, to net.Addr) (int, error) { return f.conn.WriteTo(p, to) }

// LocalAddr is the socket's.
func (f *udpFront) LocalAddr() net.Addr { return f.conn.LocalAddr() }

func (f *udpFront) send(to *client, message []byte) {
	if _, err := f.conn.WriteTo(message, to.net); err != nil {
		f.server.counts.dropped.Add(1)
	}
}

// released forgets a client: without an allocation it is nobody in particular.
func (f *udpFront) released(c *client) { f.forget(c) }

func (f *udpFront) shut() { f.conn.Close() }
