package devserver

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// theirs is an app server, as a bundler's is: pages, an event stream and a
// WebSocket that takes only its own origin.
func theirs(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/page", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'")
		io.WriteString(w, "host="+r.Host+" proto="+r.Header.Get("X-Forwarded-Proto"))
	})
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: first\n\n")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("/hmr", func(w http.ResponseWriter, r *http.Request) {
		var up websocket.Upgrader // its own check: Origin must be Host
		conn, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		if kind, data, err := conn.ReadMessage(); err == nil {
			conn.WriteMessage(kind, data)
		}
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// closeIdle ends the connections to app servers that http.DefaultTransport, the
// proxy's, keeps: they would pass for a leak.
func closeIdle(t *testing.T) {
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
}

func TestProxy(t *testing.T) {
	closeIdle(t)
	app := theirs(t)
	r := run(t, func(c *Config) { c.Proxy, c.Dir = app.URL, "" })
	if r.ready.Proxy != app.URL || r.ready.BuiltIn {
		t.Errorf("ready: %+v", r.ready)
	}
	resp := r.get("/page")
	text, err := io.ReadAll(resp.Body)
	if want := "host=" + strings.TrimPrefix(app.URL, "http://") + " proto=https"; err != nil || string(text) != want {
		t.Errorf("%q, %v, want %q", text, err, want)
	}
	if got := resp.Header.Values("Content-Security-Policy"); len(got) != 1 || got[0] != "default-src 'self'" {
		t.Errorf("the app's policy became %q", got)
	}
	if got := r.read("/_rtcdev/health"); !strings.Contains(got, `"status":"ok"`) {
		t.Errorf("our own address: %s", got)
	}
	events := r.get("/events")
	line := make([]byte, len("data: first"))
	if _, err := io.ReadFull(events.Body, line); err != nil || string(line) != "data: first" {
		t.Errorf("event stream: %q, %v", line, err)
	}
	events.Body.Close()
}

// The room's secret is rtcdev's: the app behind does not get it, and gets all else.
func TestProxyKeepsTheSecret(t *testing.T) {
	closeIdle(t)
	got := make(chan string, 1)
	app := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got <- r.URL.RawQuery + " " + r.Header.Get("Cookie") + " " + r.Header.Get("Referer")
	}))
	t.Cleanup(app.Close)
	r := run(t, func(c *Config) { c.Proxy, c.Dir, c.RoomToken, c.Host = app.URL, "", "an-open-secret", "127.0.0.1" })
	for _, test := range []struct{ query, cookie, want string }{
		{"a=b%20c&room-token=an-open-secret&room=x", "mine=1; room-token=an-open-secret; b=2", "a=b+c&room=x mine=1; b=2 https://localhost/page?room=x"},
		{"b=2", "mine=1; room-token=an-open-secret", "b=2 mine=1 https://localhost/page?room=x"},
	} {
		request, err := http.NewRequest("GET", r.ready.URL+"page?"+test.query, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Cookie", test.cookie)
		request.Header.Set("Referer", "https://localhost/page?room=x&room-token=an-open-secret")
		response, err := r.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if said := <-got; said != test.want {
			t.Errorf("the app got %q, want %q", said, test.want)
		}
	}
}

func TestProxyPassesWebSocketsOn(t *testing.T) {
	closeIdle(t)
	app := theirs(t)
	r := run(t, func(c *Config) { c.Proxy = app.URL })
	base := "127.0.0.1:" + strconv.Itoa(r.ready.Port)
	for origin, ok := range map[string]bool{"https://" + base: true, "https://evil.example": false} {
		conn, _, err := r.dialTo("wss://"+base+"/hmr", http.Header{"Origin": {origin}})
		if (err == nil) != ok {
			t.Errorf("from %s: %v", origin, err)
		}
		if err != nil {
			continue
		}
		if err := conn.WriteMessage(websocket.TextMessage, []byte("ping")); err != nil {
			t.Error(err)
		}
		if _, data, err := conn.ReadMessage(); err != nil || string(data) != "ping" {
			t.Errorf("%q, %v", data, err)
		}
		conn.Close()
	}
}

func TestProxyToNobody(t *testing.T) {
	app := theirs(t)
	app.Close()
	r := run(t, func(c *Config) { c.Proxy = app.URL })
	resp := r.get("/page")
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusBadGateway || !strings.Contains(string(text), "Start it") {
		t.Errorf("%s: %s, %v", resp.Status, text, err)
	}
}
