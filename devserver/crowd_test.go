package devserver

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
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
	began, release := make(chan struct{}), make(chan struct{})
	pages := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			began <- struct{}{}
			<-release
		}
	})
	web := &http.Server{Handler: c.requests(pages), ConnState: c.change, ConnContext: c.arrival}
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
	asks := func(conn net.Conn, path string) {
		t.Helper()
		if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	answered := func(conn net.Conn) {
		t.Helper()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
	}
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
	// Who has a request under way keeps its place.
	busy := []net.Conn{open(), open(), open()}
	for _, conn := range busy {
		asks(conn, "/slow")
		<-began
	}
	if !ended(open()) {
		t.Error("a fourth is let in")
	}
	close(release)
	for _, conn := range busy {
		answered(conn)
	}
	busy[0].Close()
	busy[1].Close()
	wantCounted(1)
	// What is called a probe, but is no WebSocket, is counted on.
	asks(busy[2], "/_rtcdev/signal?probe")
	answered(busy[2])
	wantCounted(1)
	// Of the others the one that has been without for longest gives way: busy[2], and then
	// one that has said nothing, or not enough.
	silent, half := open(), open()
	if _, err := io.WriteString(half, "GET / HT"); err != nil {
		t.Fatal(err)
	}
	wantCounted(3)
	for range 2 {
		next := open()
		asks(next, "/")
		answered(next)
	}
	if !ended(busy[2]) || !ended(silent) || ended(half) {
		t.Error("another one has given way")
	}
	web.Close()
	mux.Close()
	serving.Wait()
	wantCounted(0)
}

// Whose first request does not come in time is closed, whatever it has sent: over plain HTTP, and
// after the handshake with either HTTP. Who has made one may stay.
func TestLateRequests(t *testing.T) {
	r := run(t, func(c *Config) { c.Limits.Handshake = time.Second })
	addr := fmt.Sprintf("127.0.0.1:%d", r.ready.Port)
	pool := x509.NewCertPool()
	pool.AddCert(r.root)
	plain, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	late := map[string]net.Conn{"plain": plain}
	if _, err := io.WriteString(plain, "G"); err != nil {
		t.Fatal(err)
	}
	secured := func(protocol, says string) net.Conn {
		t.Helper()
		conn, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: pool, NextProtos: []string{protocol}, ServerName: "127.0.0.1"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := io.WriteString(conn, says); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	late["HTTP/1.1"] = secured("http/1.1", "")
	late["HTTP/2"] = secured("h2", "")
	// The preface and an empty SETTINGS frame (RFC 9113 §3.4).
	late["HTTP/2 that has begun"] = secured("h2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	active := secured("http/1.1", "GET /_rtcdev/beacon HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
	for name, conn := range late {
		conn.SetReadDeadline(time.Now().Add(patient))
		if _, err := io.Copy(io.Discard, conn); os.IsTimeout(err) {
			t.Errorf("%s: it may say nothing for ever", name)
		}
	}
	if _, err := io.WriteString(active, "GET /_rtcdev/beacon HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(active)
	for range 2 {
		active.SetReadDeadline(time.Now().Add(patient))
		answer, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatalf("one that has made a request: %v", err)
		}
		answer.Body.Close()
	}
}
