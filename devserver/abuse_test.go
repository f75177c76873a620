package devserver

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// witness is a peer that nothing of what others do may disturb.
type witness struct {
	t     *testing.T
	conn  *websocket.Conn
	token string
}

func (r *running) witness() *witness {
	r.t.Helper()
	conn, _, err := r.dial(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	w := &witness{t: r.t, conn: conn}
	welcome := w.next()
	_, w.token, _ = strings.Cut(welcome, `"resume":"`)
	w.token, _, _ = strings.Cut(w.token, `"`)
	return w
}

func (w *witness) next() string {
	w.t.Helper()
	w.conn.SetReadDeadline(time.Now().Add(patient))
	_, text, err := w.conn.ReadMessage()
	if err != nil {
		w.t.Fatalf("the witness: %v", err)
	}
	return string(text)
}

func (w *witness) wantUndisturbed() {
	w.t.Helper()
	if err := w.conn.WriteMessage(websocket.TextMessage, []byte(`{"type":"ping"}`)); err != nil {
		w.t.Fatal(err)
	}
	if got := w.next(); got != `{"type":"pong"}` {
		w.t.Fatalf("the witness heard %s", got)
	}
}

// rawTLS opens a connection for HTTP/1.1 written by hand.
func (r *running) rawTLS() net.Conn {
	r.t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(r.root)
	conn, err := tls.Dial("tcp", "127.0.0.1:"+strconv.Itoa(r.ready.Port), &tls.Config{RootCAs: roots, NextProtos: []string{"http/1.1"}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patient))
	return conn
}

// Who takes his time with the handshake of TLS or with a request's header is cut off,
// however steadily he goes on.
func TestSlowHeaderIsCutOff(t *testing.T) {
	r := run(t, func(c *Config) { c.Limits.Handshake = 300 * time.Millisecond })
	w := r.witness()
	plain, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(r.ready.Port))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	plain.SetDeadline(time.Now().Add(patient))
	hello := append([]byte{22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, make([]byte, 500)...) // as a ClientHello begins
	for name, drip := range map[string]struct {
		conn net.Conn
		text []byte
	}{
		"TLS":    {plain, hello},
		"header": {r.rawTLS(), []byte("GET /_rtcdev/signal?room=r HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 10_000))},
	} {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = io.Copy(io.Discard, drip.conn)
		}()
		began, sent := time.Now(), 0
		for ticker := time.NewTicker(20 * time.Millisecond); sent < len(drip.text); sent++ {
			select {
			case <-ticker.C:
				_, _ = drip.conn.Write(drip.text[sent : sent+1])
				continue
			case <-ended:
				ticker.Stop()
			}
			break
		}
		if took := time.Since(began); took > patient/2 {
			t.Errorf("%s: cut off after %v", name, took)
		}
	}
	w.wantUndisturbed()
}

func TestHugeHeaderIsRefused(t *testing.T) {
	r := run(t, nil)
	w := r.witness()
	for name, header := range map[string]string{
		"one of 64 KiB":   "X: " + strings.Repeat("x", 64<<10) + "\r\n",
		"many of 100 B":   strings.Repeat("X: "+strings.Repeat("x", 95)+"\r\n", 660),
		"a token":         "Cookie: " + strings.Repeat("x", 40<<10) + "\r\n",
		"without an end":  "X: " + strings.Repeat("x", 1<<20),
		"a huge protocol": "Sec-WebSocket-Protocol: " + strings.Repeat("a,", 32<<10) + "\r\n",
	} {
		conn := r.rawTLS()
		go fmt.Fprintf(conn, "GET /_rtcdev/signal?room=r HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n%s\r\n", header)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s: %v, %v; want 431", name, resp, err)
		}
		conn.Close()
	}
	w.wantUndisturbed()
}

// What signaling itself looks at, over TLS and next to a call: pages of other sites, and
// names that are not ours.
func TestSignalingIsForOwnPages(t *testing.T) {
	r := run(t, func(c *Config) { c.AllowOrigins = []string{"https://friend.example"} })
	w := r.witness()
	base := "https://127.0.0.1:" + strconv.Itoa(r.ready.Port)
	for origin, allowed := range map[string]bool{
		"": true, base: true, "https://friend.example": true,
		"https://evil.example": false, "null": false, "http://friend.example": false, base + ".evil.example": false,
	} {
		for _, request := range []struct {
			method, path string
			status       int
		}{
			{"OPTIONS", "/_rtcdev/signal/send?n=1", http.StatusNoContent},
			{"POST", "/_rtcdev/signal/send?resume=forged&n=1", http.StatusGone},
			{"OPTIONS", "/_rtcdev/signal/events", http.StatusNoContent},
			{"GET", "/_rtcdev/signal/events?resume=forged&seen=0", http.StatusOK},
		} {
			req, err := http.NewRequest(request.method, base+request.path, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			if origin != "" {
				req.Header.Set("Origin", origin)
			}
			resp, err := r.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			want, wantOrigin := request.status, origin
			if !allowed {
				want, wantOrigin = http.StatusForbidden, ""
			}
			if got := resp.Header.Get("Access-Control-Allow-Origin"); resp.StatusCode != want || got != wantOrigin {
				t.Errorf("%s %s from %q: %s, for %q; want %d", request.method, request.path, origin, resp.Status, got, want)
			}
		}
		header := http.Header{"Host": {"localhost"}}
		if origin != "" {
			header.Set("Origin", origin)
		}
		conn, resp, err := r.dial(header)
		if origin == base { // the host is another one
			allowed = false
		}
		if (err == nil) != allowed || !allowed && resp.StatusCode != http.StatusForbidden {
			t.Errorf("a WebSocket from %q: %v", origin, err)
		}
		if conn != nil {
			conn.Close()
			for got := w.next(); !strings.Contains(got, "peer-left"); got = w.next() {
				if !strings.Contains(got, "peer-joined") {
					t.Errorf("the witness heard %s", got)
				}
			}
		}
	}
	w.wantUndisturbed()
	if got := r.read("/_rtcdev/metrics"); !strings.Contains(got, "rtcdev_peers{door=\"native\"} 1\n") {
		t.Errorf("metrics:\n%s", got)
	}
}

// Event streams work over HTTP/2, where they share a connection with all else, and stop
// nobody from stopping.
func TestEventsOverHTTP2(t *testing.T) {
	r := run(t, nil)
	w := r.witness()
	stream := r.get("/_rtcdev/signal/events?room=r")
	if stream.ProtoMajor != 2 || stream.StatusCode != http.StatusOK {
		t.Fatalf("%s %s", stream.Proto, stream.Status)
	}
	lines := bufio.NewReader(stream.Body)
	event := func() string {
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatalf("reading events: %v", err)
			}
			if data, ok := strings.CutPrefix(line, "data: "); ok {
				return strings.TrimSpace(data)
			}
		}
	}
	welcome := event()
	_, token, _ := strings.Cut(welcome, `"resume":"`)
	token, _, _ = strings.Cut(token, `"`)
	if got := w.next(); !strings.Contains(got, "peer-joined") {
		t.Errorf("the witness heard %s", got)
	}
	for i := range 20 {
		if err := w.conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":"signal","data":%d}`, i)); err != nil {
			t.Fatal(err)
		}
		if got := event(); !strings.HasSuffix(got, fmt.Sprintf(`"data":%d}`, i)) {
			t.Errorf("got %s", got)
		}
		resp, err := r.client.Post(fmt.Sprintf("https://127.0.0.1:%d/_rtcdev/signal/send?resume=%s&n=%d", r.ready.Port, token, i+1), "application/json",
			strings.NewReader(fmt.Sprintf(`{"type":"signal","data":%d}`, i)))
		if err != nil || resp.StatusCode != http.StatusNoContent {
			t.Fatalf("posting: %v, %v", resp, err)
		}
		resp.Body.Close()
		if got := w.next(); !strings.HasSuffix(got, fmt.Sprintf(`"data":%d}`, i)) {
			t.Errorf("the witness heard %s", got)
		}
	}
	if took := r.finish(nil); took > stopLimit {
		t.Errorf("stopping took %v", took)
	}
	for got := event(); !strings.Contains(got, "shutting-down"); got = event() {
		if !strings.Contains(got, "peer-left") {
			t.Errorf("got %s", got)
		}
	}
	if rest, err := io.ReadAll(lines); err != nil || strings.Contains(string(rest), "data") {
		t.Errorf("after the last words: %q, %v", rest, err)
	}
}
