package devserver

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"rtcdev/devserver/portmux"
)

// Who holds many connections without using them is stopped, and others are not.
func TestCrowdIsBounded(t *testing.T) {
	c := newCrowd(Limits{Connections: 100, ConnectionsPerAddress: 3})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	conf, _ := testTLS(t)
	mux := portmux.New([]net.Listener{listener}, portmux.Config{TLS: conf, Admit: c.admit, Gone: c.gone})
	web := &http.Server{Handler: http.NotFoundHandler(), ConnState: c.change, ConnContext: c.arrival}
	plain := mux.Plain()
	var serving sync.WaitGroup
	serving.Go(func() { _ = web.Serve(plain) })
	serving.Go(func() { _ = mux.Serve() })
	open := func() net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	ended := func(conn net.Conn) bool {
		conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_, err := conn.Read(make([]byte, 1))
		timeout, ok := err.(net.Error)
		return !ok || !timeout.Timeout()
	}
	// asks gets an answer and keeps the connection.
	asks := func(conn net.Conn) {
		t.Helper()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
	}
	busy := []net.Conn{open(), open(), open()}
	for _, conn := range busy {
		asks(conn)
	}
	if !ended(open()) {
		t.Error("a fourth is let in")
	}
	busy[0].Close()
	busy[1].Close()
	wantCounted := func(n int) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
			c.mu.Lock()
			conns, hosts := len(c.conns), len(c.hosts)
			c.mu.Unlock()
			if conns == n && hosts == min(n, 1) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d connections of %d hosts are counted, want %d", conns, hosts, n)
			}
		}
	}
	wantCounted(1)
	// Of those who say nothing the one that has come first gives way.
	silent := []net.Conn{open(), open()}
	for _, conn := range silent {
		if ended(conn) {
			t.Fatal("one of the first three is closed")
		}
	}
	asks(open())
	if !ended(silent[0]) || ended(silent[1]) || ended(busy[2]) {
		t.Error("another one has given way")
	}
	web.Close()
	mux.Close()
	serving.Wait()
	wantCounted(0)
}
