package trust

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testRoot is a root and its key, all with one subject: the hard case for
// stores that file certificates by subject.
type testRoot struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newRoot(t *testing.T) testRoot {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "rtcdev trust test root"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, &x509.Certificate{Subject: pkix.Name{CommonName: "rtcdev trust test root"}}, &key.PublicKey, key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return testRoot{cert, key}
}

// leaf signs a certificate for localhost.
func (r testRoot) leaf(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, r.cert, &key.PublicKey, r.key)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

const greeting = "hello-over-trusted-tls"

// serve answers on https://localhost:PORT/ with a leaf of r, and returns the URL.
func (r testRoot) serve(t *testing.T) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "<!doctype html><title>t</title><p>%s</p>", greeting)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are part of the test
	server.TLS = &tls.Config{Certificates: []tls.Certificate{r.leaf(t)}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return fmt.Sprintf("https://localhost:%d/", server.Listener.Addr().(*net.TCPAddr).Port)
}

// testMachine is this machine with an empty home folder, its own system store out
// of reach, and no Firefox.
func testMachine(t *testing.T) Machine {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_DATA_HOME", "")
	t.Setenv("XDG_CONFIG_HOME", "")
	m, err := ThisMachine()
	must(t, err)
	m.Root = t.TempDir()
	m.LookPath = func(program string) (string, error) {
		if strings.HasPrefix(program, "firefox") {
			return "", exec.ErrNotFound
		}
		return exec.LookPath(program)
	}
	return m
}

// need skips, or fails in CI, when a program is not installed.
func need(t *testing.T, program, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing: install the package %s", program, pkg)
	}
	t.Skipf("%s is missing: install the package %s", program, pkg)
	return ""
}

// certutil runs the real one on a database of m's account.
func certutil(t *testing.T, dir string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "certutil", append([]string{args[0], "-d", "sql:" + dir}, args[1:]...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("certutil %v: %v: %s", args, err, out)
	}
	return string(out)
}

func makeDB(t *testing.T, dir string, args ...string) string {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o700))
	if len(args) == 0 {
		args = []string{"--empty-password"}
	}
	certutil(t, dir, append([]string{"-N"}, args...)...)
	return dir
}

// script writes a program into a folder of its own.
func script(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	must(t, os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755))
	return path
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// byName picks one store's result.
func byName(t *testing.T, results []Result, name string) Result {
	t.Helper()
	for _, r := range results {
		if r.Store == name {
			return r
		}
	}
	t.Fatalf("no result for %q in %+v", name, results)
	return Result{}
}

// checkReadBack checks that the results of Install say what Status says
// afterwards: a caller need not ask again.
func checkReadBack(t *testing.T, installed, after []Result) {
	t.Helper()
	for i, r := range installed {
		got, want := r.Status, after[i].Status
		if got.Note = ""; got != want {
			t.Errorf("%s: Install says\n%+v\nand Status then says\n%+v", r.Store, got, want)
		}
		if want.Note != "" {
			t.Errorf("%s: Status changed nothing and has the note %q", r.Store, want.Note)
		}
	}
}

func pemBytes(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

func pemFile(t *testing.T, r testRoot) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "root.pem")
	must(t, os.WriteFile(path, pemBytes(r.cert), 0o644))
	return path
}
