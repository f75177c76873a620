package socketio

import (
	"bufio"
	"context"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rtcdev/devserver/signaling"
)

// patience is how long a test waits for what should happen at once.
const patience = 30 * time.Second

// server is a door that is reachable.
type server struct {
	t    *testing.T
	hub  *signaling.Hub
	door *Door
	http *httptest.Server
	url  string
}

// start serves a door until the test ends.
func start(t *testing.T, hubConfig signaling.Config, cfg Config, secure bool) *server {
	t.Helper()
	if cfg.Addrs == nil {
		cfg.Addrs = func() []string { return []string{"192.0.2.7"} }
	}
	s := &server{t: t, hub: signaling.New(hubConfig)}
	s.door = New(s.hub, cfg)
	mux := http.NewServeMux()
	mux.Handle(Path, s.door)
	mux.Handle(strings.TrimSuffix(Path, "/"), s.door)
	s.http = httptest.NewUnstartedServer(mux)
	// A server's deadlines are for requests that do not wait.
	s.http.Config.ReadTimeout, s.http.Config.WriteTimeout = time.Second, time.Second
	// Without it connections that rest end after ReadTimeout, and Node, other than a
	// browser, does not repeat what it sent on one that was just ending.
	s.http.Config.IdleTimeout = patience
	if secure {
		s.http.EnableHTTP2 = true
		s.http.StartTLS()
	} else {
		s.http.Start()
	}
	s.url = s.http.URL
	t.Cleanup(s.stop)
	return s
}

// stop ends the server as serve does. It may be called twice.
func (s *server) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.hub.Shutdown(ctx); err != nil {
		s.t.Error(err)
	}
	if err := s.door.Shutdown(ctx); err != nil {
		s.t.Error(err)
	}
	s.http.Close()
	if n := s.door.count(); n != 0 {
		s.t.Errorf("%d sessions are left", n)
	}
}

func (d *Door) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lobby.mu.Lock()
	defer d.lobby.mu.Unlock()
	return len(d.sessions) + len(d.members) + len(d.lobby.silent)
}

// nodeModule finds a module among the counterparts.
func nodeModule(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "..", "scripts", "counterparts", "node_modules", name))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err == nil {
		_, err = exec.LookPath("node")
	}
	if err != nil {
		complain := t.Skip
		if os.Getenv("CI") == "true" {
			complain = t.Fatal
		}
		complain("install Node.js, then: npm ci --prefix scripts/counterparts: ", err)
	}
	return path
}

// node runs a script, which must end by itself and well. When it prints
// "waiting", atWait is called.
func node(t *testing.T, atWait func(), env []string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 8*patience) // some try hundreds of orders
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", args...)
	cmd.Env = append(os.Environ(), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waited := false
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if lines.Text() == "waiting" {
			waited = true
			atWait()
		} else {
			t.Log(lines.Text())
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	if atWait != nil && !waited {
		t.Fatal("the script ended early")
	}
}

// trusting makes Node trust the test server's certificate.
func (s *server) trusting() []string {
	cert := s.http.Certificate()
	if cert == nil {
		return nil
	}
	path := filepath.Join(s.t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return []string{"NODE_EXTRA_CA_CERTS=" + path}
}

// The clients that people have, every way they connect.
func TestClients(t *testing.T) {
	for _, version := range []string{"1", "2", "3", "4"} {
		for _, transports := range []string{"websocket", "polling", "polling,websocket"} {
			for _, scheme := range []string{"http", "https"} {
				t.Run(version+"/"+transports+"/"+scheme, func(t *testing.T) {
					t.Parallel()
					module := nodeModule(t, "socket.io-client-"+version)
					s := start(t, signaling.Config{}, Config{}, scheme == "https")
					node(t, s.stop, s.trusting(), "testdata/exchange.js", module, s.url, transports, "foo")
				})
			}
		}
	}
}
