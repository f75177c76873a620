package signaling

import (
	"bufio"
	"errors"
	"net"
	"net/http"
)

// wire is the connection below gorilla's. What gorilla writes by itself after the
// handshake, a close frame for a frame that RFC 6455 does not allow, goes the way of
// all others.
type wire struct {
	net.Conn
	line   *Line  // nil until the handshake is over
	budget bucket // of bytes read: the reader's alone
}

// overhead is what a message may cost beside its bytes: frame headers, and the
// control frames that come with it.
const overhead = 128

// Read bounds what is in frames that are never messages: empty fragments, above all.
func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	l := w.line
	if l == nil || n == 0 {
		return n, err
	}
	now := l.hub.clock.Load()
	if w.budget.rate == 0 {
		w.budget = newBucket(2*l.hub.cfg.ByteRate+overhead*l.hub.cfg.MessageRate, now)
	}
	if !w.budget.take(n, now) {
		l.Close(refuse(RateLimited, "more bytes a second than %d in messages can take", l.hub.cfg.ByteRate))
		return 0, errFlood
	}
	return n, err
}

// errFlood ends the reading of a line whose client sends too much.
var errFlood = errors.New("too many bytes")

func (w *wire) Write(b []byte) (int, error) {
	if w.line == nil {
		return w.Conn.Write(b)
	}
	w.line.Close(refuse(ProtocolError, "this frame is not allowed by RFC 6455"))
	return len(b), nil
}

// cut ends the connection at once, without a word. TLS would like to say goodbye first
// (RFC 8446 §6.1), and waits for it.
func (w *wire) cut() {
	if secure, ok := w.Conn.(interface{ NetConn() net.Conn }); ok { // such as *tls.Conn
		secure.NetConn().Close()
		return
	}
	w.Conn.Close()
}

// readBuffer is what an idle connection keeps to read into. It is more than 256 bytes,
// below which gorilla makes its own. TLS has a buffer, too, so small reads cost no
// system calls.
const readBuffer = 288

// wireHijacker has gorilla upgrade a wire, and read through a buffer of ours.
type wireHijacker struct {
	http.ResponseWriter
	line *Line
}

func (h *wireHijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffers, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	l := h.line
	l.raw.Conn = conn
	if buffers.Reader.Buffered() == 0 { // else gorilla refuses a client that does not wait for our answer
		l.in = bufio.NewReaderSize(&l.raw, readBuffer)
		buffers.Reader = l.in
	}
	return &l.raw, buffers, nil
}
