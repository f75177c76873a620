package devserver

import (
	"net"
	"net/http"
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
	web := &http.Server{Handler: http.NotFoundHandler(), ConnState: c.change}
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
	silent := []net.Conn{open(), open(), open()}
	for _, conn := range silent {
		if ended(conn) {
			t.Fatal("one of the first three is closed")
		}
	}
	if !ended(open()) {
		t.Error("a fourth is let in")
	}
	silent[0].Close()
	for deadline := time.Now().Add(10 * time.Second); ; {
		resp, err := http.Get("http://" + addr)
		if err == nil {
			resp.Body.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the place is not given back")
		}
	}
	http.DefaultClient.CloseIdleConnections()
	web.Close()
	mux.Close()
	serving.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.conns) != 0 || len(c.hosts) != 0 {
		t.Errorf("%d connections of %d hosts are still counted", len(c.conns), len(c.hosts))
	}
}
