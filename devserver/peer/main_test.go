package peer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rtcdev/devserver/signaling"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for something that must happen.
const patience = 20 * time.Second

// A server is a real hub behind HTTPS, until the test ends.
type server struct {
	hub  *signaling.Hub
	web  *httptest.Server
	pool *x509.CertPool
}

func serve(t *testing.T, cfg signaling.Config, more func(*http.ServeMux)) *server {
	t.Helper()
	return serveWatched(t, cfg, more, nil)
}

func serveWatched(t *testing.T, cfg signaling.Config, more func(*http.ServeMux), watch func(net.Conn, http.ConnState)) *server {
	t.Helper()
	s := &server{hub: signaling.New(cfg), pool: x509.NewCertPool()}
	mux := http.NewServeMux()
	mux.Handle(signalPath, s.hub)
	if more != nil {
		more(mux)
	}
	s.web = httptest.NewUnstartedServer(mux)
	s.web.Config.ConnState = watch
	s.web.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.web.StartTLS()
	s.pool.AddCert(s.web.Certificate())
	t.Cleanup(func() {
		shutdown(t, s.hub)
		s.web.Close()
	})
	return s
}

// config is that of a peer that trusts the server.
func (s *server) config(room string, mode Mode) Config {
	return Config{URL: s.web.URL + "/?room=" + room, Mode: mode, TLS: &tls.Config{RootCAs: s.pool}}
}

// A running peer of a test.
type running struct {
	t      *testing.T
	cancel context.CancelFunc
	stats  chan Stats // the last ones
	over   chan struct{}
	last   Stats
	err    error
}

func run(t *testing.T, cfg Config) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{t: t, cancel: cancel, stats: make(chan Stats, 1000), over: make(chan struct{})}
	cfg.OnStats = func(s Stats) { r.stats <- s }
	go func() {
		defer close(r.over)
		r.last, r.err = Run(ctx, cfg)
	}()
	t.Cleanup(func() { r.end() })
	return r
}

// end ends the peer, and returns its result.
func (r *running) end() Stats {
	r.t.Helper()
	r.cancel()
	select {
	case <-r.over:
	case <-time.After(patience):
		r.t.Fatal("Run has not returned after its context ended")
	}
	if r.err != nil {
		r.t.Errorf("Run: %v", r.err)
	}
	return r.last
}

// until waits for Stats that are as they should be.
func (r *running) until(what string, good func(Stats) bool) Stats {
	r.t.Helper()
	deadline := time.After(patience)
	var last Stats
	for {
		select {
		case last = <-r.stats:
			if good(last) {
				return last
			}
		case <-r.over:
			r.t.Fatalf("waiting for %s: Run has ended: %v", what, r.err)
		case <-deadline:
			r.t.Fatalf("waiting for %s: %+v", what, last)
		}
	}
}

// eventually asks until the answer is yes.
func eventually(t *testing.T, what string, good func() bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(patience); !good(); <-ticker.C {
		if time.Now().After(deadline) {
			t.Fatalf("waiting for %s", what)
		}
	}
}
