package portmux

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
)

// conn is a connection as it was accepted. TLS reads through it for as long as it
// lives: once the beginning is over, that costs one look at a pointer. It does not embed
// *net.TCPConn: that one's WriteTo would leave out the first byte.
type conn struct {
	net.Conn
	begin atomic.Pointer[beginning] // nil when it is over
}

// Read gives the first byte back first.
func (c *conn) Read(p []byte) (int, error) {
	b := c.begin.Load()
	if b == nil || len(p) == 0 {
		return c.Conn.Read(p)
	}
	if n := b.first.giveBack(p); n > 0 {
		if !b.handshake {
			c.begin.Store(nil)
		}
		return n, nil
	}
	n, err := c.Conn.Read(p)
	if b.handshake {
		b.lookForAlert(p[:n])
	}
	return n, err
}

// beginning is what the mux knows of a connection while it has it.
type beginning struct {
	first         firstByte
	handshake     bool           // of TLS, running: there is one reader
	noCertificate bool           // GetCertificate gave none
	alert         tls.AlertError // the last one that came in plain text
}

type beginningKey struct{}

// context has the handshake tell GetCertificate whose it is: see noteNoCertificate.
func (b *beginning) context() context.Context {
	return context.WithValue(context.Background(), beginningKey{}, b)
}

func noteNoCertificate(ctx context.Context) {
	if b, ok := ctx.Value(beginningKey{}).(*beginning); ok {
		b.noCertificate = true
	}
}

// lookForAlert notes an alert (RFC 8446 §6) at the end of what was read. OpenSSL sends its
// refusal of a certificate in plain text, also when TLS 1.3 has it encrypted, so that
// for crypto/tls it is a record that fails to decrypt.
func (b *beginning) lookForAlert(read []byte) {
	const size = 7 // type, version (2), length (2), level, description
	if len(read) < size {
		return
	}
	r := read[len(read)-size:]
	if r[0] == 21 && r[1] == 3 && r[3] == 0 && r[4] == 2 && (r[5] == 1 || r[5] == 2) {
		b.alert = tls.AlertError(r[6])
	}
}

// firstByte keeps the byte by which a connection was told apart, until it is read
// again.
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
