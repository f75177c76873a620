package devserver

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/gorilla/websocket"
)

// patient is how long a test waits for what must happen.
const patient = 10 * time.Second

// stopLimit is what stopping may take on a machine busy with other things. The
// promise is 2 s; whoever waits for a peer or a connection without end takes
// far longer than this.
const stopLimit = 5 * time.Second

// testTLS gives a certificate for 127.0.0.1 and [::1], and a client that
// trusts it.
func testTLS(t *testing.T) (*tls.Config, *x509.Certificate) {
	t.Helper()
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	return &tls.Config{Certificates: s.TLS.Certificates}, s.Certificate()
}

type running struct {
	t      *testing.T
	ready  Ready
	events chan Event
	root   *x509.Certificate
	client *http.Client
	stop   context.CancelFunc
	done   chan error
}

func run(t *testing.T, change func(*Config)) *running {
	t.Helper()
	conf, root := testTLS(t)
	pool := x509.NewCertPool()
	pool.AddCert(root)
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{
		t: t, root: root, stop: cancel, events: make(chan Event, 100), done: make(chan error, 1),
		client: &http.Client{
			Timeout: patient,
			Transport: &http.Transport{
				TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true,
			},
		},
	}
	cfg := Config{
		Dir: t.TempDir(), BuiltIn: fstest.MapFS{"index.html": {Data: []byte("built-in")}},
		TLS: conf, Root: root, Version: "test",
		OnEvent: func(e Event) { r.events <- e },
	}
	if change != nil {
		change(&cfg)
	}
	go func() { r.done <- Run(ctx, cfg) }()
	t.Cleanup(func() { r.finish(nil); r.client.CloseIdleConnections() })
	select {
	case e := <-r.events:
		r.ready = e.(Ready)
	case err := <-r.done:
		r.done <- err
		t.Fatalf("Run: %v", err)
	case <-time.After(patient):
		t.Fatal("never ready")
	}
	return r
}

// finish stops the server and returns how long that took.
func (r *running) finish(want error) time.Duration {
	start := time.Now()
	r.stop()
	select {
	case err := <-r.done:
		if !errors.Is(err, want) {
			r.t.Errorf("Run returned %v, want %v", err, want)
		}
		r.done <- err
	case <-time.After(patient):
		r.t.Error("Run does not end")
	}
	return time.Since(start)
}

func (r *running) get(path string) *http.Response {
	r.t.Helper()
	resp, err := r.client.Get("https://127.0.0.1:" + strconv.Itoa(r.ready.Port) + path)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func (r *running) read(path string) string {
	r.t.Helper()
	b, err := io.ReadAll(r.get(path).Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

func TestRunServesOverTLS(t *testing.T) {
	r := run(t, nil)
	port := strconv.Itoa(r.ready.Port)
	if r.ready.URL != "https://localhost:"+port+"/" || r.ready.Signal != "wss://localhost:"+port+"/_rtcdev/signal" ||
		r.ready.Room != r.ready.URL+"?room=lobby" || len(r.ready.URLs) != 1 || !r.ready.BuiltIn {
		t.Errorf("ready: %+v", r.ready)
	}
	resp := r.get("/")
	if resp.ProtoMajor != 2 || resp.StatusCode != 200 {
		t.Errorf("GET /: %s %s, want HTTP/2 200", resp.Proto, resp.Status)
	}
	for _, h := range []string{"X-Content-Type-Options", "Permissions-Policy", "Content-Security-Policy", "ETag"} {
		if resp.Header.Get(h) == "" {
			t.Errorf("no %s header", h)
		}
	}
	if resp.Header.Get("Strict-Transport-Security") != "" {
		t.Error("HSTS would break other servers on localhost")
	}
	if got := r.read("/_rtcdev/health"); got != `{"status":"ok","version":"test","rooms":0,"peers":0}`+"\n" {
		t.Errorf("health: %s", got)
	}
	if got := r.read("/_rtcdev/ca.crt"); got != string(r.root.Raw) {
		t.Error("ca.crt is not the root")
	}
	block, rest := pem.Decode([]byte(r.read("/_rtcdev/ca.pem")))
	if block == nil || !bytes.Equal(block.Bytes, r.root.Raw) || len(rest) != 0 {
		t.Error("ca.pem is not the root and nothing else")
	}
	if resp := r.get("/_rtcdev/nothing"); resp.StatusCode != 404 {
		t.Errorf("reserved address: %s", resp.Status)
	}
}

func TestIPv6Loopback(t *testing.T) {
	r := run(t, nil)
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 loopback here")
	}
	l.Close()
	resp, err := r.client.Get("https://[::1]:" + strconv.Itoa(r.ready.Port) + "/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

func (r *running) dial(header http.Header) (*websocket.Conn, *http.Response, error) {
	return r.dialTo("wss://127.0.0.1:"+strconv.Itoa(r.ready.Port)+"/_rtcdev/signal?room=r", header)
}

func (r *running) dialTo(address string, header http.Header) (*websocket.Conn, *http.Response, error) {
	roots := x509.NewCertPool()
	roots.AddCert(r.root)
	d := websocket.Dialer{HandshakeTimeout: patient, TLSClientConfig: &tls.Config{RootCAs: roots}}
	return d.Dial(address, header)
}

func TestSignalingAndShutdown(t *testing.T) {
	r := run(t, nil)
	conn, _, err := r.dial(http.Header{"Origin": {"https://127.0.0.1:" + strconv.Itoa(r.ready.Port)}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, b, err := conn.ReadMessage(); err != nil || !strings.HasPrefix(string(b), `{"type":"welcome"`) {
		t.Fatalf("%s, %v", b, err)
	}
	if e := (<-r.events).(PeerChange); e.Event != "peer-joined" || e.Room != "r" || e.Peers != 1 || e.RoomSize != 2 {
		t.Errorf("event %+v", e)
	}
	if got := r.read("/_rtcdev/health"); !strings.Contains(got, `"rooms":1,"peers":1`) {
		t.Errorf("health: %s", got)
	}
	if took := r.finish(nil); took > stopLimit {
		t.Errorf("stopping took %v with an open WebSocket", took)
	}
	if _, b, err := conn.ReadMessage(); err != nil || !strings.Contains(string(b), "shutting-down") {
		t.Errorf("the peer was told %s, %v", b, err)
	}
	if _, _, err := conn.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseGoingAway) {
		t.Errorf("the peer's connection ended with %v", err)
	}
	if (<-r.events).(Stopping).Event != "stopping" || (<-r.events).(PeerChange).Event != "peer-left" {
		t.Error("wrong events while stopping")
	}
}

func TestShutdownDoesNotWaitForTheSilent(t *testing.T) {
	r := run(t, nil)
	silent, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(r.ready.Port)) // never sends a byte
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	deaf, _, err := r.dial(nil) // never reads, so never answers the close
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	if took := r.finish(nil); took > stopLimit {
		t.Errorf("stopping took %v", took)
	}
	silent.SetReadDeadline(time.Now().Add(patient / 5)) // before the server would give up on it anyway
	if _, err := silent.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the silent connection is still open")
	}
}

// A caller that hangs in an event, as with a terminal whose output is stopped,
// keeps neither the peers nor the end from going on.
func TestBusyCallerStopsNobody(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	first := make(chan struct{}, 1)
	r := run(t, func(c *Config) {
		hear := c.OnEvent
		c.OnEvent = func(e Event) {
			if _, ready := e.(Ready); ready {
				hear(e)
				return
			}
			select {
			case first <- struct{}{}:
			default:
			}
			<-hang
		}
	})
	for range eventQueue/2 + 20 { // each is two events
		conn, _, err := r.dial(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := conn.ReadMessage(); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	<-first
	if took := r.finish(nil); took > stopLimit {
		t.Errorf("stopping took %v", took)
	}
}

func TestForeignHostsAndOriginsAreRefused(t *testing.T) {
	r := run(t, func(c *Config) { c.AllowHosts = []string{"my.test", ".wild.test"} })
	port := strconv.Itoa(r.ready.Port)
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]int{
		"127.0.0.1:" + port: 200, "[::1]:" + port: 200, "localhost": 200, "LOCALHOST.:" + port: 200, "app.localhost": 200,
		hostname: 200, "my.test:" + port: 200, "a.wild.test": 200,
		"evil.example": 421, "localhost.evil.example": 421, "evillocalhost": 421, "wild.test": 421,
		"8.8.8.8": 421, "192.0.2.1:" + port: 421,
	} {
		req, err := http.NewRequest("GET", "https://127.0.0.1:"+port+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := r.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("Host %s: %s, want %d", host, resp.Status, want)
		}
		if want == 421 && !strings.Contains(string(text), "--allow-host") {
			t.Errorf("Host %s: refused without a way out: %s", host, text)
		}
	}
	// DNS rebinding as a WebSocket: Origin and Host agree, and gorilla's own
	// check would let it in.
	for _, h := range []http.Header{
		{"Host": {"evil.example"}, "Origin": {"https://evil.example"}},
		{"Origin": {"https://evil.example"}},
		{"Origin": {"https://127.0.0.1:1"}},
	} {
		if conn, resp, err := r.dial(h); err == nil || resp == nil || resp.StatusCode < 400 {
			t.Errorf("WebSocket with %v: %v", h, resp)
			if conn != nil {
				conn.Close()
			}
		}
	}
}

func TestTakenPort(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port

	r := run(t, func(c *Config) { c.Port = port })
	if r.ready.Port <= port || r.ready.Taken == nil || r.ready.Taken.Port != port {
		t.Errorf("ready: %+v", r.ready)
	}

	conf, _ := testTLS(t)
	err = Run(context.Background(), Config{Dir: t.TempDir(), BuiltIn: fstest.MapFS{}, TLS: conf, Port: port, StrictPort: true})
	var portTaken *PortTakenError
	if !errors.As(err, &portTaken) {
		t.Fatalf("strict: %v", err)
	}
	if _, err := os.Stat("/proc/net/tcp"); err == nil {
		if want := "(process " + strconv.Itoa(os.Getpid()) + ")"; !strings.Contains(portTaken.Error(), want) {
			t.Errorf("%v does not name its owner, %s", portTaken, want)
		}
	}
}

func TestValidate(t *testing.T) {
	conf, _ := testTLS(t)
	good := Config{Dir: t.TempDir(), BuiltIn: fstest.MapFS{}, TLS: conf}
	file := good.Dir + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"TLS":         func(c *Config) { c.TLS = nil },
		"built-in":    func(c *Config) { c.BuiltIn = nil },
		"port":        func(c *Config) { c.Port = 70000 },
		"room of one": func(c *Config) { c.RoomSize = 1 },
		"proxy":       func(c *Config) { c.Proxy = "localhost:5173" },
		"host name":   func(c *Config) { c.Host = "example.com" },
		"no folder":   func(c *Config) { c.Dir += "/missing" },
		"a file":      func(c *Config) { c.Dir = file },
	} {
		c := good
		change(&c)
		err := Run(context.Background(), c)
		if err == nil || len(err.Error()) < 20 {
			t.Errorf("%s: %v", name, err)
		}
		var setting *SettingError
		if wrong := strings.Contains("port, room of one, host name, a file, proxy", name); errors.As(err, &setting) != wrong {
			t.Errorf("%s: %#v: is it the person's setting?", name, err)
		}
	}
	var missing *AddressError
	c := good
	c.Host = "192.0.2.1" // TEST-NET-1 (RFC 5737): nobody has it
	if err := Run(context.Background(), c); !errors.As(err, &missing) {
		t.Errorf("an address that is not ours: %v", err)
	}
}

func TestEventsAreJSON(t *testing.T) {
	b, err := json.Marshal(Ready{Event: "ready", URL: "https://localhost:8443/", URLs: []string{"https://localhost:8443/"}, Port: 8443, Version: "1"})
	if err != nil || !strings.HasPrefix(string(b), `{"event":"ready","url":"https://localhost:8443/","urls":["https://localhost:8443/"],`) {
		t.Errorf("%s, %v", b, err)
	}
}
