package certs

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// needTool ends a test that needs a tool which is not there: CI must have it.
func needTool(t *testing.T, pkg string, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%v; install the package %s", err, pkg)
	}
	t.Skipf("%v; install the package %s", err, pkg)
}

func findTool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		needTool(t, name, err)
	}
	return path
}

// forge signs what the authority would refuse, as a thief of its key can.
func forge(t *testing.T, a *Authority, dns []string, ips []string, commonName string) *tls.Certificate {
	t.Helper()
	key := newKey(t)
	template, err := leafTemplate([]subject{{dns: "placeholder"}}, key.Public(), x509.ExtKeyUsageServerAuth, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	template.DNSNames = dns
	for _, ip := range ips {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(ip))
	}
	template.Subject = pkix.Name{CommonName: commonName}
	pair, err := signLeaf(template, a.intermediate, key.Public(), a.key, a.intermediate.Raw)
	if err != nil {
		t.Fatal(err)
	}
	pair.PrivateKey = key
	return pair
}

// opensslVerify returns what openssl says of a leaf; it accepts it if the error
// is nil.
func opensslVerify(t *testing.T, roots [][]byte, chain [][]byte, args ...string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, certs [][]byte) string {
		var data []byte
		for _, der := range certs {
			data = append(data, encodePEM(blockCertificate, der)...)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	all := []string{"verify", "-no-CApath", "-no-CAstore", "-purpose", "sslserver", "-CAfile", write("roots.pem", roots)}
	if len(chain) > 1 {
		all = append(all, "-untrusted", write("chain.pem", chain[1:]))
	}
	all = append(append(all, args...), write("leaf.pem", chain[:1]))
	out, err := exec.Command(findTool(t, "openssl"), all...).CombinedOutput()
	return string(out), err
}

func TestOpenSSLAccepts(t *testing.T) {
	a := newTestAuthority(t, Options{Hostname: "desk", Permit: []string{"example.org", "203.0.113.0/24"}})
	for name, option := range map[string]string{
		"localhost": "-verify_hostname", "phone.local": "-verify_hostname", "a.b.test": "-verify_hostname", "desk": "-verify_hostname",
		"nas.home.arpa": "-verify_hostname", "www.example.org": "-verify_hostname",
		"127.0.0.1": "-verify_ip", "192.168.1.20": "-verify_ip", "::1": "-verify_ip", "fe80::1": "-verify_ip", "203.0.113.9": "-verify_ip",
	} {
		pair, err := a.Issue([]string{name})
		if err != nil {
			t.Fatal(err)
		}
		if out, err := opensslVerify(t, [][]byte{a.Root().Raw}, pair.Certificate, "-x509_strict", option, name); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	pair, err := a.Issue([]string{"*.app.test", "10.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := opensslVerify(t, [][]byte{a.Root().Raw}, pair.Certificate, "-x509_strict", "-verify_hostname", "x.app.test"); err != nil {
		t.Errorf("wildcard: %v\n%s", err, out)
	}
}

func TestOpenSSLRefusesForgeries(t *testing.T) {
	a := newTestAuthority(t, Options{Hostname: "desk"})
	for _, c := range []struct {
		dns, ips   []string
		commonName string
	}{
		{dns: []string{"accounts.google.com"}},
		{dns: []string{"example.com"}},
		{dns: []string{"evillocal"}},
		{dns: []string{"localhost", "accounts.google.com"}},
		{dns: []string{"*.com"}},
		{ips: []string{"8.8.8.8"}},
		{ips: []string{"127.0.0.1", "8.8.8.8"}},
		{dns: []string{"localhost"}, ips: []string{"2001:4860:4860::8888"}},
		{commonName: "accounts.google.com"},
	} {
		pair := forge(t, a, c.dns, c.ips, c.commonName)
		out, err := opensslVerify(t, [][]byte{a.Root().Raw}, pair.Certificate)
		if err == nil || !strings.Contains(out, "permitted subtree violation") {
			t.Errorf("%+v: error %v\n%s", c, err, out)
		}
	}
}

// TestNoSecondIntermediate: the intermediate's key makes no further authority.
func TestNoSecondIntermediate(t *testing.T) {
	a := newTestAuthority(t, Options{})
	key := newKey(t)
	template := authorityTemplate("rogue", constraints{unconstrained: true}, time.Now())
	rogue, err := x509.ParseCertificate(sign(t, template, a.intermediate, key, a.key))
	if err != nil {
		t.Fatal(err)
	}
	pair := forge(t, &Authority{intermediate: rogue, key: key}, []string{"localhost"}, nil, "")
	out, err := opensslVerify(t, [][]byte{a.Root().Raw}, append(pair.Certificate, a.intermediate.Raw))
	if err == nil || !strings.Contains(out, "path length constraint exceeded") {
		t.Errorf("error %v\n%s", err, out)
	}
}

func TestSelfSigned(t *testing.T) {
	pair, err := SelfSigned([]string{"cam.example.com", "*.example.net", "8.8.8.8", "localhost", "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	leaf := pair.Leaf
	if leaf.IsCA || !leaf.BasicConstraintsValid || len(pair.Certificate) != 1 || leaf.NotAfter.Sub(leaf.NotBefore) >= 90*24*time.Hour {
		t.Errorf("CA %v, %d certificates, from %v to %v", leaf.IsCA, len(pair.Certificate), leaf.NotBefore, leaf.NotAfter)
	}
	for name, option := range map[string]string{"cam.example.com": "-verify_hostname", "a.example.net": "-verify_hostname", "8.8.8.8": "-verify_ip"} {
		if out, err := opensslVerify(t, pair.Certificate, pair.Certificate, option, name); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	if out, err := opensslVerify(t, pair.Certificate, pair.Certificate, "-verify_hostname", "example.com"); err == nil {
		t.Errorf("a name it does not hold was accepted:\n%s", out)
	}
	server := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{*pair}})
	for _, host := range []string{"localhost", "127.0.0.1"} {
		if out, err := curl(t, leaf, server, "https://"+net.JoinHostPort(host, server)+"/"); err != nil || out != "hello" {
			t.Errorf("%s: %q, %v", host, out, err)
		}
	}
	for _, names := range [][]string{nil, {"bad name"}, {"localhost", "*.test"}} {
		if _, err := SelfSigned(names); err == nil {
			t.Errorf("%q: no error", names)
		}
	}
}

// serveTLS starts a server on 127.0.0.1 that says hello, and returns its port.
func serveTLS(t *testing.T, config *tls.Config) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("hello"))
	}))
	listener := tls.NewListener(server.Listener, config) // StartTLS would add a certificate of its own
	server.Listener = listener
	server.Config.ErrorLog = discardLogger()
	server.Start()
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// curl fetches a URL, trusting one certificate. All host names lead to the port
// on 127.0.0.1.
func curl(t *testing.T, trusted *x509.Certificate, port, url string, args ...string) (string, error) {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, encodePEM(blockCertificate, trusted.Raw), 0o600); err != nil {
		t.Fatal(err)
	}
	all := append([]string{"-q", "-sS", "--max-time", "20", "--noproxy", "*", "--cacert", ca, "--connect-to", "::127.0.0.1:" + port}, args...)
	out, err := exec.Command(findTool(t, "curl"), append(all, url)...).CombinedOutput()
	return string(out), err
}

func TestCurl(t *testing.T) {
	a := newTestAuthority(t, Options{})
	port := serveTLS(t, &tls.Config{GetCertificate: a.GetCertificate})
	for _, host := range []string{"localhost", "127.0.0.1", "app.localhost", "phone.local"} {
		if out, err := curl(t, a.Root(), port, "https://"+host+":"+port+"/"); err != nil || out != "hello" {
			t.Errorf("%s: %q, %v", host, out, err)
		}
	}
	other := newTestAuthority(t, Options{})
	if out, err := curl(t, other.Root(), port, "https://localhost:"+port+"/"); err == nil || !strings.Contains(out, "SSL certificate problem") {
		t.Errorf("trusting another root: %q, %v", out, err)
	}
	if out, err := curl(t, a.Root(), port, "https://accounts.google.com/"); err == nil || !strings.Contains(out, "unrecognized name") {
		t.Errorf("a name outside the constraints: %q, %v; want the alert unrecognized_name", out, err)
	}
	forged := forge(t, a, []string{"accounts.google.com"}, nil, "")
	thief := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{*forged}})
	out, err := curl(t, a.Root(), thief, "https://accounts.google.com/")
	if err == nil || !strings.Contains(out, "permitted subtree violation") {
		t.Errorf("a forged name: %q, %v; want permitted subtree violation", out, err)
	}
}

// TestWritePair has openssl read both files as another server would.
func TestWritePair(t *testing.T) {
	a := newTestAuthority(t, Options{})
	dir := filepath.Join(t.TempDir(), "a folder", "인증서")
	var last *tls.Certificate
	for range 2 { // the second replaces the first
		pair, err := a.Issue([]string{"localhost"})
		if err != nil {
			t.Fatal(err)
		}
		certPath, keyPath, err := WritePair(dir, pair, true)
		if err != nil || certPath != filepath.Join(dir, "cert.pem") || keyPath != filepath.Join(dir, "key.pem") {
			t.Fatalf("%s, %s, %v", certPath, keyPath, err)
		}
		last = pair
	}
	var exists *ExistsError
	if _, _, err := WritePair(dir, last, false); !errors.As(err, &exists) || len(exists.Files) != 2 {
		t.Errorf("onto files without replace: error %v", err)
	}
	loaded, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil || len(loaded.Certificate) != 2 || !loaded.PrivateKey.(*ecdsa.PrivateKey).Equal(last.PrivateKey) {
		t.Errorf("read back %d certificates, error %v", len(loaded.Certificate), err)
	}
	if info, err := os.Stat(filepath.Join(dir, "key.pem")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key.pem: mode %v, error %v", info.Mode(), err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("the folder holds %v", entries)
	}
	key, err := os.ReadFile(filepath.Join(dir, "key.pem"))
	if err != nil || !strings.HasPrefix(string(key), "-----BEGIN PRIVATE KEY-----\n") {
		t.Errorf("key.pem is not PKCS#8 (error %v)", err)
	}
	if out, err := exec.Command(findTool(t, "openssl"), "pkey", "-in", filepath.Join(dir, "key.pem"), "-noout", "-check").CombinedOutput(); err != nil {
		t.Errorf("openssl does not read the key: %v\n%s", err, out)
	}
}

func TestWritePairFails(t *testing.T) {
	pair, err := SelfSigned([]string{"localhost"})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "key.pem", "full"), 0o755); err != nil {
		t.Fatal(err)
	}
	var fault *WriteError
	if _, _, err := WritePair(dir, pair, true); !errors.As(err, &fault) || fault.File != filepath.Join(dir, "key.pem") {
		t.Errorf("onto a folder: error %v", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
	file := filepath.Join(dir, "key.pem", "full", "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := WritePair(file, pair, false); !errors.As(err, &fault) || fault.File != file {
		t.Errorf("into a file: error %v", err)
	}
}
