package portmux

import (
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
)

// firstByte keeps the byte by which a connection was told apart, until it is read
// again. It is part of every connection for as long as that lives: keep it small.
type firstByte struct {
	value [1]byte
	held  atomic.Bool // readers may be concurrent (net.Conn)
}

// readFrom takes the byte from r.
func (f *firstByte) readFrom(r io.Reader) (byte, error) {
	if _, err := io.ReadFull(r, f.value[:]); err != nil {
		return 0, err
	}
	f.held.Store(true)
	return f.value[0], nil
}

// giveBack puts the byte into p, once, and returns how many bytes those were.
func (f *firstByte) giveBack(p []byte) int {
	if len(p) == 0 || !f.held.Load() || !f.held.CompareAndSwap(true, false) {
		return 0
	}
	return copy(p, f.value[:])
}

// conn is a connection as it was accepted. It does not embed *net.TCPConn: that
// one's WriteTo would leave out the first byte.
type conn struct {
	net.Conn
	first firstByte
}

func (c *conn) Read(p []byte) (int, error) {
	if n := c.first.giveBack(p); n > 0 {
		return n, nil
	}
	return c.Conn.Read(p)
}

// TLSConn is a TLS connection without ALPN, its handshake done. It is a [tls.Conn]
// in all but its type: what was read to tell it apart is read again.
type TLSConn struct {
	*tls.Conn
	first firstByte
}

// Read reads as [tls.Conn.Read] does. The first time it returns one byte.
func (c *TLSConn) Read(p []byte) (int, error) {
	if n := c.first.giveBack(p); n > 0 {
		return n, nil
	}
	return c.Conn.Read(p)
}

// Accepted returns the connection that Config.Admit was asked about, given the one
// that a consumer got. Any other connection is returned as it is.
func Accepted(c net.Conn) net.Conn {
	if secure, ok := c.(interface{ NetConn() net.Conn }); ok {
		return secure.NetConn()
	}
	return c
}
