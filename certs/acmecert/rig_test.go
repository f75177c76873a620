package acmecert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"rtcdev/scripts/rehearsal"
)

// patience is how long anything here may take on a busy machine.
const patience = 40 * time.Second

// rig is an authority, a manager's configuration for it, and what the manager tells.
type rig struct {
	t      *testing.T
	ca     *rehearsal.Authority
	cfg    Config
	events chan Event
}

// newRig starts an authority. It connects to the ports of cfg.
func newRig(t *testing.T, o rehearsal.Options, names ...string) *rig {
	t.Helper()
	r := &rig{t: t, events: make(chan Event, 1000)}
	r.cfg = Config{
		Names: names, Email: "kim@company.kr", Folder: t.TempDir(), ListenHost: "127.0.0.1",
		HTTPPort: rehearsal.FreePort(t), TLSPort: rehearsal.FreePort(t),
		OnEvent: func(e Event) { r.events <- e },
	}
	if o.HTTPPort == 0 {
		o.HTTPPort = r.cfg.HTTPPort
	}
	if o.TLSPort == 0 {
		o.TLSPort = r.cfg.TLSPort
	}
	r.ca = rehearsal.Start(t, o)
	r.cfg.Directory, r.cfg.Roots = r.ca.Directory, poolOf(t, r.ca.RootFile)
	return r
}

func poolOf(t *testing.T, file string) *x509.CertPool {
	t.Helper()
	data, err := os.ReadFile(file)
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(data) {
		t.Fatalf("no root in %s: %v", file, err)
	}
	return pool
}

// manager makes one, with short pauses.
func (r *rig) manager() *Manager {
	r.t.Helper()
	m, err := New(r.cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	m.pause = func(int, *Problem, time.Time) time.Duration { return 50 * time.Millisecond }
	return m
}

// run keeps certificates for a server at this port until the test ends, or stop is called.
func (r *rig) run(m *Manager, port int) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		m.Run(ctx, port)
		close(ended)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(patience):
			r.t.Error("Run does not end")
		}
	})
	r.t.Cleanup(stop)
	return stop
}

// hears waits for an event of this kind, and fails on one of kind Failed.
func (r *rig) hears(kind EventKind) Event {
	r.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case e := <-r.events:
			switch {
			case e.Kind == kind:
				return e
			case e.Kind == Failed:
				r.t.Fatalf("waiting for %s: %v (next: %s)", kind, e.Problem, e.Problem.Fix)
			}
		case <-deadline:
			r.t.Fatalf("no event %s", kind)
		}
	}
}

// problemOf runs Obtain, which must fail for one name.
func (r *rig) problemOf(m *Manager) *Problem {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	var p *Problem
	if err := m.Obtain(ctx); !errors.As(err, &p) {
		r.t.Fatalf("got %v, want a problem", err)
	}
	if p.What == "" || p.Fix == "" {
		r.t.Errorf("%+v lacks words", p)
	}
	return p
}

// server takes TLS connections with the manager's configuration, for as long as the test runs, and
// gives back what it reads. Names that are not the manager's get a certificate of their own.
func (r *rig) server(m *Manager, at string) net.Addr {
	r.t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		r.t.Fatal(err)
	}
	conf := m.TLS(&tls.Config{Certificates: []tls.Certificate{selfSigned(r.t)}})
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { echo(tls.Server(conn, conf)) })
		}
	})
	r.t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return l.Addr()
}

func echo(conn *tls.Conn) {
	defer conn.Close()
	buf := make([]byte, 100)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if _, err := conn.Write(buf[:n]); err != nil {
			return
		}
	}
}

// dial connects as a browser would that trusts the authority's certificates, and no others.
func (r *rig) dial(at net.Addr, name string) (*tls.Conn, error) {
	dialer := &net.Dialer{Timeout: patience}
	return tls.DialWithDialer(dialer, "tcp", at.String(), &tls.Config{RootCAs: r.ca.Issuers(), ServerName: name})
}

// serial is of the certificate that a client of the server gets, which it must trust.
func (r *rig) serial(at net.Addr, name string) string {
	r.t.Helper()
	conn, err := r.dial(at, name)
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// checkFiles finds whether the files of an event are a good pair, that only its owner can read.
func (r *rig) checkFiles(e Event) {
	r.t.Helper()
	pair, err := tls.LoadX509KeyPair(e.CertFile, e.KeyFile)
	if err != nil {
		r.t.Fatal(err)
	}
	chain := x509.NewCertPool()
	for _, der := range pair.Certificate[1:] {
		chain.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: r.ca.Issuers(), Intermediates: chain}); err != nil {
		r.t.Error(err)
	}
	if err := pair.Leaf.VerifyHostname(e.Name); err != nil {
		r.t.Error(err)
	}
	if !pair.Leaf.NotAfter.Equal(e.NotAfter) {
		r.t.Errorf("told that it ends %v, not %v", e.NotAfter, pair.Leaf.NotAfter)
	}
	if info, err := os.Stat(e.KeyFile); err != nil || info.Mode().Perm()&0o077 != 0 {
		r.t.Errorf("the key is %v (%v), others may read it", info.Mode(), err)
	}
}

// checkModes finds whether others can read anything that the folder has.
func (r *rig) checkModes() {
	r.t.Helper()
	err := filepath.WalkDir(r.cfg.Folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == r.cfg.Folder { // that one is the test's own
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			r.t.Errorf("%s is %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		r.t.Error(err)
	}
}

func portOf(addr net.Addr) int { return addr.(*net.TCPAddr).Port }

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
