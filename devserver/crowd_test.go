package devserver

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// Who holds many connections without using them is stopped, and others are not.
func TestCrowdIsBounded(t *testing.T) {
	c := newCrowd(Limits{Connections: 100, ConnectionsPerAddress: 3})
	web := httptest.NewUnstartedServer(http.NotFoundHandler())
	web.Config.ConnState = c.change
	web.Start()
	defer web.Close()
	addr := web.Listener.Addr().String()
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
		resp, err := http.Get(web.URL)
		if err == nil {
			resp.Body.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the place is not given back")
		}
	}
	http.DefaultClient.CloseIdleConnections()
	web.CloseClientConnections()
	web.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.conns) != 0 || len(c.hosts) != 0 {
		t.Errorf("%d connections of %d hosts are still counted", len(c.conns), len(c.hosts))
	}
}
