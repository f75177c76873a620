//go:build unix

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rtcdev/scripts/rehearsal"
)

// publicName leads here, as the authority's DNS server says.
const publicName = "call.example.com"

// publicHost is an account on a machine with a public name, and an authority that gives
// certificates for it.
type publicHost struct {
	*account
	ca       *rehearsal.Authority
	httpPort int // what comes to port 80 arrives there
}

func newPublicHost(t *testing.T, o rehearsal.Options) *publicHost {
	t.Helper()
	h := &publicHost{account: newAccount(t), httpPort: rehearsal.FreePort(t)}
	h.settings = append(h.settings, "GORACE=atexit_sleep_ms=0") // else every end takes a second
	o.HTTPPort = h.httpPort
	h.ca = rehearsal.Start(t, o)
	return h
}

// about are the flags that say who gives certificates, and how it checks names.
func (h *publicHost) about() []string {
	return []string{"--email", "kim@company.kr", "--acme-ca", h.ca.Directory, "--acme-root", h.ca.RootFile, "--http-challenge-port", port(h.httpPort)}
}

// servePublic starts rtcdev serve for the public name, unless more of its flags name others.
func (h *publicHost) servePublic(more ...string) *server {
	h.t.Helper()
	args := append(h.about(), "--host=127.0.0.1", "--port", "0")
	if !strings.Contains(strings.Join(more, " "), "--acme ") {
		args = append(args, "--acme", publicName)
	}
	return h.serve(h.t.TempDir(), append(args, more...)...)
}

// certificate waits for an event about a certificate. A failure that is not waited for is one
// of the test.
func (s *server) certificate(state string) map[string]any {
	s.t.Helper()
	for {
		e := s.event("certificate")
		switch {
		case e["state"] == state:
			return e
		case e["state"] == "failed":
			s.t.Fatalf("waiting for %q: %v\n%s", state, e, &s.log)
		}
	}
}

// outcome is what a command has said in the end.
type outcome struct {
	out, err string
	code     int
}

// began is a command that runs.
type began struct {
	t        *testing.T
	cmd      *exec.Cmd
	out, err syncBuffer
	over     chan struct{}
}

// begin starts `rtcdev certs acme` for the public name.
func (h *publicHost) begin(more ...string) *began {
	h.t.Helper()
	return h.beginWith(nil, append(append([]string{"certs", "acme", publicName}, h.about()...), more...)...)
}

// beginWith starts rtcdev with an open file as stdin.
func (h *publicHost) beginWith(stdin *os.File, args ...string) *began {
	h.t.Helper()
	b := &began{t: h.t, cmd: h.command("rtcdev", args...), over: make(chan struct{})}
	b.cmd.Stdout, b.cmd.Stderr = &b.out, &b.err
	if stdin != nil {
		b.cmd.Stdin = stdin
	}
	if err := b.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	go func() {
		defer close(b.over)
		_ = b.cmd.Wait() // the exit code tells
	}()
	h.t.Cleanup(func() {
		_ = b.cmd.Process.Kill() // an error means that it has ended
		<-b.over
	})
	return b
}

// end waits for the end.
func (b *began) end() outcome {
	b.t.Helper()
	select {
	case <-b.over:
	case <-time.After(patience):
		b.t.Fatalf("%q does not end:\n%s", b.cmd.Args, &b.err)
	}
	return outcome{b.out.String(), b.err.String(), b.cmd.ProcessState.ExitCode()}
}

// says waits until stderr has a text.
func (b *began) says(text string) {
	b.t.Helper()
	eventually(b.t, "it says "+text, func() error {
		if said := b.err.String(); !strings.Contains(said, text) {
			return &screenError{said}
		}
		return nil
	})
}

// obtain runs `rtcdev certs acme` for the public name, which must work.
func (h *publicHost) obtain(more ...string) outcome {
	h.t.Helper()
	o := h.begin(more...).end()
	if o.code != 0 {
		h.t.Fatalf("certs acme %q ended with %d:\n%s%s", more, o.code, o.out, o.err)
	}
	return o
}

// hold has the authority not answer the first request for a path, or for one below it if it ends
// with a slash, until release is called. reached is closed when that request is there.
func (h *publicHost) hold(path string) (reached <-chan struct{}, release func()) {
	there, released := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	h.ca.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == path || strings.HasSuffix(path, "/") && strings.HasPrefix(r.URL.Path, path) {
			if first.CompareAndSwap(false, true) {
				close(there)
				<-released
			}
		}
		return false
	})
	release = sync.OnceFunc(func() { close(released) })
	h.t.Cleanup(release)
	return there, release
}

func await(t *testing.T, what string, happened <-chan struct{}) {
	t.Helper()
	select {
	case <-happened:
	case <-time.After(patience):
		t.Fatalf("never: %s", what)
	}
}

// trusting is the configuration of a client that trusts the authority's certificates, and no
// others.
func (h *publicHost) trusting(alpn ...string) *tls.Config {
	return &tls.Config{RootCAs: h.ca.Issuers(), ServerName: publicName, NextProtos: alpn}
}

// here connects to this machine, whatever the name.
func here(ctx context.Context, network, addr string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
}

// web is a client of the public name's. Each call has connections of its own.
func (h *publicHost) web() *http.Client {
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: h.ca.Issuers()}, DialContext: here}
	h.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

// secure connects to the server, and checks its certificate.
func (h *publicHost) secure(s *server, alpn ...string) *tls.Conn {
	h.t.Helper()
	conn, err := h.shake(s, h.trusting(alpn...))
	if err != nil {
		h.t.Fatalf("as %s with ALPN %q: %v\n%s", publicName, alpn, err, &s.log)
	}
	h.t.Cleanup(func() { conn.Close() })
	if got := conn.ConnectionState().NegotiatedProtocol; got != strings.Join(alpn, "") {
		h.t.Errorf("ALPN %q: got %q", alpn, got)
	}
	return conn
}

func (h *publicHost) shake(s *server, conf *tls.Config) (*tls.Conn, error) {
	return tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", "127.0.0.1:"+port(s.ready.Port), conf)
}

// notYet checks that the public name has no good certificate of the authority.
func (h *publicHost) notYet(s *server) {
	h.t.Helper()
	if conn, err := h.shake(s, h.trusting()); err == nil {
		conn.Close()
		h.t.Errorf("%s has a certificate already", publicName)
	}
}

// isLocal checks that who asks for the public name is shown a certificate of the local authority,
// which is for other names.
func (h *publicHost) isLocal(s *server) {
	h.t.Helper()
	conf := trustingClient(h.t, h.root()).Transport.(*http.Transport).TLSClientConfig.Clone()
	conf.ServerName = publicName
	var other x509.HostnameError
	if _, err := h.shake(s, conf); !errors.As(err, &other) {
		h.t.Errorf("before there is a certificate: %v", err)
	}
}

func leafOf(conn *tls.Conn) *x509.Certificate { return conn.ConnectionState().PeerCertificates[0] }

// serial is of the certificate that a new client gets.
func (h *publicHost) serial(s *server, alpn ...string) string {
	h.t.Helper()
	conn := h.secure(s, alpn...)
	defer conn.Close()
	return leafOf(conn).SerialNumber.String()
}

// health is what /_rtcdev/health tells of certificates. It always answers that all is well.
func (h *publicHost) health(s *server) []acmeReport {
	h.t.Helper()
	code, body := ask(h.t, trustingClient(h.t, h.root()), "GET", "https://localhost:"+port(s.ready.Port)+"/_rtcdev/health", "", "")
	var told struct {
		Status       string
		Certificates []acmeReport
	}
	if err := json.Unmarshal([]byte(body), &told); err != nil || code != http.StatusOK || told.Status != "ok" {
		h.t.Errorf("health: %d %s (%v)", code, body, err)
	}
	for _, secret := range []string{h.home, `"key"`, `"next"`} {
		if strings.Contains(body, secret) {
			h.t.Errorf("health tells everybody %s: %s", secret, body)
		}
	}
	return told.Certificates
}

// status is what `certs status --json` tells of certificates, and its text.
func (h *publicHost) status() (reports []acmeReport, text string) {
	h.t.Helper()
	told := struct {
		ACME *[]acmeReport `json:"acme"`
	}{&reports}
	if err := json.Unmarshal([]byte(h.run(h.home, "certs", "status", "--json")), &told); err != nil {
		h.t.Fatal(err)
	}
	return reports, h.run(h.home, "certs", "status")
}

// kept are the files below the folder of certificates whose names match.
func (h *publicHost) kept(pattern string) []string {
	h.t.Helper()
	var found []string
	err := filepath.WalkDir(h.folder(), func(path string, d os.DirEntry, err error) error {
		if ok, _ := filepath.Match(pattern, filepath.Base(path)); ok && err == nil && !d.IsDir() {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return found
}

// site is the file of the public name's certificate with that suffix.
func (h *publicHost) site(suffix string) string {
	h.t.Helper()
	found, err := filepath.Glob(filepath.Join(h.folder(), "certificates", "*", publicName, publicName+suffix))
	if err != nil || len(found) != 1 {
		h.t.Fatalf("the files with %s: %q, %v", suffix, found, err)
	}
	return found[0]
}

// folder is where certificates of authorities are kept.
func (h *publicHost) folder() string {
	return filepath.Join(h.home, ".local", "share", "rtcdev", "acme")
}

// makeDue has the authority want the certificate renewed, which the next process to look hears at
// once: it is as if the time to ask it had come.
func (h *publicHost) makeDue() {
	h.t.Helper()
	chain, err := os.ReadFile(h.site(".crt"))
	if err != nil {
		h.t.Fatal(err)
	}
	h.ca.SetRenewalInfo(chain, time.Now().Add(-time.Hour), time.Now().Add(-time.Minute))
	about := h.site(".json")
	text, err := os.ReadFile(about)
	if err != nil {
		h.t.Fatal(err)
	}
	when := regexp.MustCompile(`("_retryAfter": ")\d{4}`)
	if !when.Match(text) {
		h.t.Fatalf("no time to ask again in %s", text)
	}
	if err := os.WriteFile(about, when.ReplaceAll(text, []byte("${1}2020")), 0o600); err != nil {
		h.t.Fatal(err)
	}
}
