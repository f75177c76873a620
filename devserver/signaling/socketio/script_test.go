package socketio

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"testing"

	"rtcdev/devserver/signaling"
)

// Whatever the order in which two pages of the codelab are opened, get their cameras,
// are reloaded, and lose their lines, there is a call in the end.
func TestCodelabOrders(t *testing.T) {
	leaveOut := map[string]int{"websocket": 2, "events": 16}
	if os.Getenv("CI") == "true" { // there is time for all of them
		leaveOut = map[string]int{"websocket": 0, "events": 4}
	}
	for ways, leaveOut := range leaveOut {
		t.Run(ways, func(t *testing.T) {
			t.Parallel()
			module := nodeModule(t, "ws")
			s := start(t, signaling.Config{MaxRooms: 10_000}, Config{}, false)
			node(t, nil, nil, "testdata/orders.js", module, s.url, ways, strconv.Itoa(leaveOut))
		})
	}
}

// client.js keeps its promises, also to a page whose server is started anew.
func TestScriptInNode(t *testing.T) {
	t.Parallel()
	module := nodeModule(t, "ws")
	s := start(t, signaling.Config{}, Config{}, false)
	restart := func() {
		address := s.http.Listener.Addr().String()
		s.stop()
		hub := signaling.New(signaling.Config{})
		door := New(hub, Config{})
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		again := &httptest.Server{Listener: listener, Config: &http.Server{Handler: door}}
		again.Start()
		t.Cleanup(func() {
			if err := hub.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
			again.Close()
		})
	}
	node(t, restart, nil, "testdata/script.js", module, s.url)
}

func TestServeScript(t *testing.T) {
	s := start(t, signaling.Config{}, Config{}, false)
	do := func(method string, header ...string) *http.Response {
		req, err := http.NewRequest(method, s.url+Path+"socket.io.js", nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	get := do("GET")
	if get.StatusCode != 200 || get.Header.Get("Content-Type") != "text/javascript; charset=utf-8" || get.ContentLength != int64(len(clientScript)) {
		t.Errorf("GET: %v", get)
	}
	if head := do("HEAD"); head.StatusCode != 200 || head.ContentLength != int64(len(clientScript)) {
		t.Errorf("HEAD: %v", head)
	}
	if part := do("GET", "Range", "bytes=0-9"); part.StatusCode != 206 || part.ContentLength != 10 {
		t.Errorf("Range: %v", part)
	}
	if same := do("GET", "If-None-Match", get.Header.Get("ETag")); same.StatusCode != 304 {
		t.Errorf("If-None-Match: %v", same)
	}
	if len(clientScript) > 14<<10 {
		t.Errorf("the script has %d bytes", len(clientScript))
	}
}
