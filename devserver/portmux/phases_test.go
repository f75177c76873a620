package portmux

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// held is one connection in each phase of the mux.
func (p *port) held() map[string]net.Conn {
	p.t.Helper()
	c := tls.Client(send(p, nil), &tls.Config{RootCAs: p.pool, ServerName: "localhost"})
	if err := c.HandshakeContext(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	waiting := send(p, []byte("G"))
	return map[string]net.Conn{
		"silent":                     p.dial(),
		"half open":                  send(p, []byte{22, 3, 1}),
		"in the handshake":           send(p, clientHello(p.t)),
		"silent after the handshake": c.NetConn(),
		"waiting for its consumer":   waiting,
	}
}

// Close ends what is in the mux, in whatever phase, and nothing else.
func TestCloseInEachPhase(t *testing.T) {
	var admitted, gone atomic.Int32
	p := open(t, func(c *Config) {
		c.Patience = time.Hour
		c.Admit = func(net.Conn) bool { admitted.Add(1); return true }
		c.Gone = func(net.Conn) { gone.Add(1) }
	})
	l := p.HTTPS()
	p.Plain() // and never accept
	p.serve()
	page := p.dialTLS(0, "http/1.1")
	theirs, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	held := p.held()
	eventually(t, "all are in the mux", func() bool { return telling() == len(held) && p.plain.waiting.Load() == 1 })
	accepting := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		accepting <- err
	}()

	p.Close()

	if n := telling(); n != 0 {
		t.Errorf("%d goroutines are left", n)
	}
	for name, c := range held {
		wantClosed(t, name, c)
	}
	if err := <-accepting; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept returned %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close returned %v", err)
	}
	if admitted.Load() != int32(len(held))+1 || gone.Load() != int32(len(held)) {
		t.Errorf("%d admitted, %d gone, want %d and one fewer", admitted.Load(), gone.Load(), len(held)+1)
	}
	if _, err := net.Dial("tcp", p.addr); err == nil {
		t.Error("the port is still open")
	}
	go func() { _, _ = theirs.Write([]byte("still here")) }()
	got := make([]byte, 10)
	if _, err := io.ReadFull(page, got); err != nil || string(got) != "still here" {
		t.Errorf("what was handed over reads %q, error %v", got, err)
	}
	p.Close() // again, with nothing to do
	if err := p.Serve(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve after Close returned %v", err)
	}
}

// Nobody stays longer than Config.Patience, in whatever phase.
func TestPatienceEnds(t *testing.T) {
	var gone atomic.Int32
	const patience = time.Second
	p := open(t, func(c *Config) {
		c.Patience = patience
		c.Gone = func(net.Conn) { gone.Add(1) }
	})
	p.HTTPS()
	p.Plain()
	p.Relay()
	p.serve()
	began := time.Now()
	held := p.held()
	for name, c := range held {
		wantClosed(t, name, c)
	}
	if took := time.Since(began); took < patience/2 || took > patience+3*time.Second {
		t.Errorf("they were closed after %v, not %v", took, patience)
	}
	eventually(t, "no goroutine is left", func() bool { return telling() == 0 })
	if int(gone.Load()) != len(held) {
		t.Errorf("%d are told as gone, of %d", gone.Load(), len(held))
	}
}

// Going on steadily, but slowly, buys no time.
func TestDripIsCutOff(t *testing.T) {
	p := open(t, func(c *Config) { c.Patience = 300 * time.Millisecond }).everything(nil)
	began := time.Now()
	c := p.dial()
	wantDripCut(t, c, clientHello(t))
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("cut off after %v", took)
	}
	if r := p.nextRefusal(); r.Reason != TimedOut {
		t.Errorf("told as %v", r.Reason)
	}
}

func wantDripCut(t *testing.T, c net.Conn, b []byte) {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, c)
	}()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for i := range b {
		select {
		case <-ticker.C:
			_, _ = c.Write(b[i : i+1])
		case <-ended:
			return
		}
	}
	t.Error("all was sent, at 50 bytes a second")
}

// Who is slow, but in time, is served, whatever the pieces.
func TestSlowInTime(t *testing.T) {
	p := open(t, func(c *Config) { c.Patience = time.Minute }).everything(nil)
	slow := &slowly{Conn: p.dial(), pause: time.NewTicker(time.Millisecond)}
	defer slow.pause.Stop()
	<-time.After(200 * time.Millisecond) // the first byte is late
	c := tls.Client(slow, &tls.Config{RootCAs: p.pool, ServerName: "localhost"})
	if err := c.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("GET / HTTP/1.0\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil || !strings.HasSuffix(string(got), `HTTP/1.0 TLS 1.3 alpn=""`) {
		t.Errorf("got %q, error %v", got, err)
	}
}

// slowly writes one byte at a time.
type slowly struct {
	net.Conn
	pause *time.Ticker
}

func (s *slowly) Write(b []byte) (int, error) {
	for i := range b {
		<-s.pause.C
		if _, err := s.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

// A consumer that does not accept holds up nobody else, and only so many.
func TestSlowConsumer(t *testing.T) {
	p := open(t, func(c *Config) { c.Patience = 4 * time.Second })
	p.https(nil)
	plain := p.Plain()
	p.serve()
	var queued []net.Conn
	for range backlog {
		queued = append(queued, send(p, []byte("GET / HTTP/1.1\r\n")))
	}
	eventually(t, "the backlog is full", func() bool { return p.plain.waiting.Load() == backlog })
	began := time.Now()
	wantClosed(t, "one too many", send(p, []byte("G")))
	if took := time.Since(began); took > time.Second {
		t.Errorf("one too many was closed after %v", took)
	}
	p.wantPage(p.client(), `HTTP/2.0 TLS 1.3 alpn="h2"`)
	c, err := plain.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	eventually(t, "one place is free", func() bool { return p.plain.waiting.Load() == backlog-1 })
	open := 0
	for _, q := range queued {
		_ = q.SetReadDeadline(time.Now().Add(patient))
		if q.LocalAddr().String() == c.RemoteAddr().String() {
			open++
			continue
		}
		wantClosed(t, "one that waited", q)
	}
	if open != 1 || p.plain.waiting.Load() != 0 {
		t.Errorf("%d are open, %d wait", open, p.plain.waiting.Load())
	}
	got := make([]byte, 16)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "GET / HTTP/1.1\r\n" {
		t.Errorf("after longer than Patience the consumer read %q, error %v", got, err)
	}
}

// What nobody wants, not yet or no longer, is closed at once; the rest goes on.
func TestNobodyConsumes(t *testing.T) {
	p := open(t, func(c *Config) { c.Patience = time.Hour })
	p.https(nil)
	plain := p.Plain()
	p.serve()
	for name, c := range map[string]net.Conn{"TCP": p.dial(), "TLS": p.dialTLS(0), "TLS with ALPN": p.dialTLS(0, "stun.turn")} {
		_, _ = c.Write(bindingRequest())
		wantClosed(t, "STUN over "+name, c)
	}
	waiting := send(p, []byte("GET"))
	eventually(t, "one waits", func() bool { return p.plain.waiting.Load() == 1 })
	plain.Close()
	wantClosed(t, "plain HTTP that waited", waiting)
	wantClosed(t, "plain HTTP", send(p, []byte("GET")))
	go answerSTUN(p.Relay()) // late, but in time for this one
	c := send(p, bindingRequest())
	if got, err := io.ReadAll(c); err != nil || string(got) != string(answer(bindingRequest())) {
		t.Errorf("STUN: got %q, error %v", got, err)
	}
	p.wantPage(p.client(), `HTTP/2.0 TLS 1.3 alpn="h2"`)
	eventually(t, "no goroutine is left", func() bool { return telling() == 0 })
}

// What was handed over has no goroutine in the mux and no deadline.
func TestHandedOver(t *testing.T) {
	const patience = 500 * time.Millisecond
	p := open(t, func(c *Config) { c.Patience = patience })
	listeners := []net.Listener{p.HTTPS(), p.Plain(), p.Relay()}
	p.serve()
	clients := []net.Conn{p.dialTLS(0, "http/1.1"), send(p, []byte("G")), send(p, []byte{0})}
	silent := p.dialTLS(0)
	_, _ = silent.Write([]byte("H"))
	listeners, clients = append(listeners, listeners[0]), append(clients, silent)
	for i, l := range listeners {
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, bare := c.(*tls.Conn); bare != (i == 0) {
			t.Errorf("connection %d is a %T", i, c)
		}
		if i > 0 {
			if n, err := c.Read(make([]byte, 9)); n != 1 || err != nil {
				t.Errorf("connection %d reads %d bytes first, error %v", i, n, err)
			}
		}
		go func() {
			b := make([]byte, 1)
			_, _ = c.Read(b)
			_, _ = c.Write(b)
		}()
	}
	eventually(t, "no goroutine is left", func() bool { return telling() == 0 })
	<-time.After(2 * patience)
	for i, c := range clients {
		b := []byte{'x'}
		_, _ = c.Write(b)
		if _, err := c.Read(b); err != nil || b[0] != 'x' {
			t.Errorf("connection %d: %q, error %v", i, b, err)
		}
	}
}

func TestAddr(t *testing.T) {
	p := open(t, nil).everything(nil)
	for _, l := range []net.Listener{p.HTTPS(), p.Plain(), p.Relay()} {
		if l.Addr().String() != p.addr {
			t.Errorf("a listener is on %s, the port on %s", l.Addr(), p.addr)
		}
	}
}
