package portmux

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/gorilla/websocket"
)

// crowd is how an owner counts, as the package comment says: one count for the time
// in the mux and in the HTTP server, until the connection ends or is hijacked.
type crowd struct {
	most int

	mu    sync.Mutex
	conns map[net.Conn]bool
	wrong []string
}

func (c *crowd) admit(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.conns) == c.most {
		return false
	}
	c.conns[conn] = true
	return true
}

func (c *crowd) gone(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.conns[conn] {
		c.wrong = append(c.wrong, fmt.Sprintf("%T from %s is gone and was not counted", conn, conn.RemoteAddr()))
	}
	delete(c.conns, conn)
}

func (c *crowd) change(conn net.Conn, state http.ConnState) {
	if state == http.StateHijacked || state == http.StateClosed {
		c.gone(Accepted(conn))
	}
}

func (c *crowd) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.conns)
}

func TestOneCount(t *testing.T) {
	c := &crowd{most: 8, conns: make(map[net.Conn]bool)}
	p := open(t, func(conf *Config) { conf.Admit, conf.Gone = c.admit, c.gone })
	p.everything(c.change)
	p.Relay().Close() // counts nothing
	dialer := websocket.Dialer{TLSClientConfig: &tls.Config{RootCAs: p.pool}}
	ws, _, err := dialer.Dial("wss://"+p.addr+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	eventually(t, "a WebSocket is the owner's to count otherwise", func() bool { return c.count() == 0 })

	client := p.client()
	p.wantPage(client, `HTTP/2.0 TLS 1.3 alpn="h2"`) // 1, and stays
	idle := []net.Conn{
		p.dial(), send(p, []byte{22}), p.dialTLS(0), p.dialTLS(0, "http/1.1"), // 2, 3 in the mux, 4, 5
		send(p, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")), // 6
	}
	noALPN := p.dialTLS(0) // 7
	_, _ = noALPN.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	for _, answered := range []net.Conn{idle[4], noALPN} {
		if _, err := answered.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	idle = append(idle, noALPN, p.dial()) // 8
	eventually(t, "all are counted once", func() bool { return c.count() == 8 })
	wantClosed(t, "the ninth", p.dial())
	idle[0].Close()
	eventually(t, "a silent one has left", func() bool { return c.count() == 7 })
	wantClosed(t, "STUN", send(p, bindingRequest()))
	for _, conn := range idle {
		conn.Close()
	}
	eventually(t, "only the page is left", func() bool { return c.count() == 1 })
	client.CloseIdleConnections()
	eventually(t, "none is left", func() bool { return c.count() == 0 })
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, wrong := range c.wrong {
		t.Error(wrong)
	}
}

func TestAccepted(t *testing.T) {
	plain := &conn{}
	secure := tls.Server(plain, &tls.Config{})
	for _, c := range []net.Conn{plain, secure, &TLSConn{Conn: secure}} {
		if got := Accepted(c); got != net.Conn(plain) {
			t.Errorf("%T: got %T", c, got)
		}
	}
}

// zeros are read without end.
type zeros struct{ net.Conn }

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// Ten thousand idle connections keep a conn each: it stays as small as it is.
func TestConnIsThin(t *testing.T) {
	if size := unsafe.Sizeof(conn{}); size > 3*unsafe.Sizeof(uintptr(0)) {
		t.Errorf("a connection has %d bytes", size)
	}
	b := &beginning{}
	if _, err := b.first.readFrom(zeros{}); err != nil {
		t.Fatal(err)
	}
	c := &conn{Conn: zeros{}}
	c.begin.Store(b)
	buf := make([]byte, 100)
	if n, _ := c.Read(nil); n != 0 {
		t.Errorf("reading into nothing returns %d", n)
	}
	for i, want := range []int{1, 100, 100} {
		if n, err := c.Read(buf); n != want || err != nil {
			t.Errorf("read %d: %d bytes, error %v", i, n, err)
		}
	}
	if c.begin.Load() != nil {
		t.Error("the beginning is kept")
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = c.Read(buf) }); n != 0 {
		t.Errorf("Read allocates %v times", n)
	}
}

// Once the consumer has a connection, nothing of the beginning is kept below it.
func TestBeginningIsForgotten(t *testing.T) {
	p := open(t, nil)
	l := p.HTTPS()
	p.serve()
	for _, protocols := range [][]string{{"h2"}, nil} {
		client := p.dialTLS(0, protocols...)
		_, _ = client.Write([]byte("x"))
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if Accepted(c).(*conn).begin.Load() != nil {
			t.Errorf("%T: the beginning is kept", c)
		}
		c.Close()
	}
}

func BenchmarkRead(b *testing.B) {
	buf := make([]byte, 100)
	for name, c := range map[string]io.Reader{"bare": zeros{}, "below TLS": &conn{Conn: zeros{}}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, _ = c.Read(buf)
			}
		})
	}
}

// BenchmarkConnection is a whole connection: TCP, the handshake, one byte and its end.
func BenchmarkConnection(b *testing.B) {
	cert, pool, _ := issued(b)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	m := New([]net.Listener{l}, Config{TLS: &tls.Config{Certificates: []tls.Certificate{cert}}, Patience: time.Minute})
	https := m.HTTPS()
	go func() { _ = m.Serve() }()
	defer m.Close()
	for b.Loop() {
		dialer := tls.Dialer{Config: &tls.Config{RootCAs: pool, NextProtos: []string{"h2"}}}
		client, err := dialer.DialContext(context.Background(), "tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		server, err := https.Accept()
		if err != nil {
			b.Fatal(err)
		}
		server.Close()
		client.Close()
	}
}
