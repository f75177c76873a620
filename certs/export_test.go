package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"
)

// parsedProfile is a configuration profile as Python's plistlib reads it. Data
// comes in hexadecimal.
type parsedProfile struct {
	PayloadType, PayloadIdentifier, PayloadUUID, PayloadDisplayName, PayloadDescription string
	PayloadVersion                                                                      int
	PayloadRemovalDisallowed                                                            *bool
	PayloadContent                                                                      []struct {
		PayloadType, PayloadIdentifier, PayloadUUID, PayloadDisplayName, PayloadDescription string
		PayloadVersion                                                                      int
		PayloadContent                                                                      string
	}
}

func parseProfile(t *testing.T, data []byte) parsedProfile {
	t.Helper()
	cmd := exec.Command(findTool(t, "python3"), "-c",
		"import json, plistlib, sys; json.dump(plistlib.load(sys.stdin.buffer, fmt=plistlib.FMT_XML), sys.stdout, default=bytes.hex)")
	cmd.Stdin = bytes.NewReader(data)
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("plistlib does not read the profile: %v\n%s", err, data)
	}
	var p parsedProfile
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestMobileConfig(t *testing.T) {
	seen := map[string]bool{}
	for name, opts := range map[string]Options{
		"plain":         {Hostname: "desk", Permit: []string{"example.com", "203.0.113.0/24"}},
		"markup":        {Hostname: `</string>&amp;]]>`},
		"quotes":        {Hostname: `"d'%s\n`},
		"Korean":        {Hostname: "내컴퓨터"},
		"unconstrained": {Unconstrained: true},
	} {
		t.Run(name, func(t *testing.T) {
			a := newTestAuthority(t, opts)
			data, err := a.Export(FormatMobileConfig)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := EncodeRoot(a.Root(), FormatMobileConfig); err != nil || !bytes.Equal(again, data) {
				t.Errorf("the same root gave another profile (error %v)", err)
			}
			p := parseProfile(t, data)
			if len(p.PayloadContent) != 1 || p.PayloadType != "Configuration" || p.PayloadVersion != 1 || p.PayloadRemovalDisallowed == nil || *p.PayloadRemovalDisallowed {
				t.Fatalf("wrong frame: %+v", p)
			}
			payload := p.PayloadContent[0]
			if payload.PayloadType != "com.apple.security.root" || payload.PayloadVersion != 1 || payload.PayloadContent != hex.EncodeToString(a.Root().Raw) {
				t.Errorf("the payload is not the root: %+v", payload)
			}
			if !strings.Contains(p.PayloadIdentifier, strings.ToLower(strings.ReplaceAll(a.Fingerprint(), ":", ""))) {
				t.Errorf("the identifier %s does not hold the fingerprint", p.PayloadIdentifier)
			}
			if p.PayloadDisplayName != a.Root().Subject.CommonName || payload.PayloadDisplayName != p.PayloadDisplayName {
				t.Errorf("it is called %q and %q", p.PayloadDisplayName, payload.PayloadDisplayName)
			}
			for _, id := range []string{p.PayloadUUID, payload.PayloadUUID, p.PayloadIdentifier, payload.PayloadIdentifier} {
				if seen[id] {
					t.Errorf("%s appears twice", id)
				}
				seen[id] = true
			}
			checkProfileText(t, a, p.PayloadDescription, payload.PayloadDescription)
		})
	}
}

// checkProfileText wants every permitted name and range in both texts, and the
// way to get rid of the profile in the first.
func checkProfileText(t *testing.T, a *Authority, texts ...string) {
	t.Helper()
	if !strings.Contains(texts[0], "To remove it, ") || !strings.Contains(texts[0], "Certificate Trust Settings") {
		t.Errorf("the description has no way out: %s", texts[0])
	}
	for _, text := range texts {
		if a.Unconstrained() != strings.Contains(text, "pretend to be ANY website") {
			t.Errorf("unconstrained %v, and it says: %s", a.Unconstrained(), text)
		}
		for _, name := range a.Root().PermittedDNSDomains {
			if !strings.Contains(text, name) {
				t.Errorf("%s is missing: %s", name, text)
			}
		}
		for _, ipNet := range a.Root().PermittedIPRanges {
			if !strings.Contains(text, ipNet.String()) {
				t.Errorf("%s is missing: %s", ipNet, text)
			}
		}
	}
}

// TestUUIDs holds the form to RFC 9562 §4: version 8, variant 10.
func TestUUIDs(t *testing.T) {
	for i := range 64 {
		id := derivedUUID("test", [32]byte{byte(i)})
		if len(id) != 36 || id[14] != '8' || !strings.ContainsRune("89AB", rune(id[19])) || strings.ToUpper(id) != id {
			t.Errorf("%s is not a UUID of version 8", id)
		}
	}
}

func TestBundle(t *testing.T) {
	a := newTestAuthority(t, Options{})
	bundle, err := a.Export(FormatBundle)
	if err != nil {
		t.Fatal(err)
	}
	first, rest := pem.Decode(bundle)
	second, rest := pem.Decode(rest)
	if second == nil || len(rest) != 0 || !bytes.Equal(first.Bytes, a.Root().Raw) || !bytes.Equal(second.Bytes, a.Intermediate().Raw) {
		t.Errorf("not the root and then the intermediate:\n%s", bundle)
	}
	if _, err := EncodeRoot(a.Root(), FormatBundle); err == nil {
		t.Error("a bundle was made of the root alone")
	}
}

// passwords hold every character that is allowed.
func passwords() []string {
	all := make([]byte, 0, 95)
	for c := byte(' '); c <= '~'; c++ {
		all = append(all, c)
	}
	return []string{"x", "secret", string(all)}
}

func TestPKCS12(t *testing.T) {
	a := newTestAuthority(t, Options{})
	server, err := a.Issue([]string{"localhost"})
	if err != nil {
		t.Fatal(err)
	}
	client, err := a.IssueClient([]string{"localhost"})
	if err != nil {
		t.Fatal(err)
	}
	alone, err := SelfSigned([]string{"localhost"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*tls.Certificate{server, client, alone} {
		for _, password := range passwords() {
			data, err := EncodePKCS12(c, password)
			if err != nil {
				t.Fatal(err)
			}
			key, leaf, chain, err := pkcs12.DecodeChain(data, password)
			if err != nil || !c.PrivateKey.(*ecdsa.PrivateKey).Equal(key) || !leaf.Equal(c.Leaf) || len(chain) != len(c.Certificate)-1 {
				t.Fatalf("read back %d certificates, error %v", len(chain)+1, err)
			}
			if len(chain) == 1 && !chain[0].Equal(a.Intermediate()) {
				t.Error("the chain is not the intermediate")
			}
			checkOpenSSLReads(t, data, password, c)
			if _, _, _, err := pkcs12.DecodeChain(data, password+"x"); err == nil {
				t.Error("another password opens it")
			}
		}
	}
}

func checkOpenSSLReads(t *testing.T, data []byte, password string, c *tls.Certificate) {
	t.Helper()
	file := writeTestFile(t, "pair.p12", data)
	cmd := exec.Command(findTool(t, "openssl"), "pkcs12", "-in", file, "-passin", "env:P12_PASSWORD", "-noenc")
	cmd.Env = append(os.Environ(), "P12_PASSWORD="+password, "LC_ALL=C.UTF-8")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("openssl does not read it with the password %q: %v", password, err)
	}
	loaded, err := tls.X509KeyPair(out, out)
	if err != nil || len(loaded.Certificate) != len(c.Certificate) || !c.PrivateKey.(*ecdsa.PrivateKey).Equal(loaded.PrivateKey) {
		t.Errorf("openssl found something else (error %v):\n%s", err, out)
	}
}

func TestKeytoolReadsPKCS12(t *testing.T) {
	tool, err := exec.LookPath("keytool")
	if err != nil {
		needTool(t, "default-jre-headless", err)
	}
	pair, err := newTestAuthority(t, Options{}).Issue([]string{"localhost"})
	if err != nil {
		t.Fatal(err)
	}
	for _, password := range passwords() {
		data, err := EncodePKCS12(pair, password)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(tool, "-J-Duser.language=en", "-list", "-v", "-storetype", "PKCS12", "-keystore", writeTestFile(t, "pair.p12", data), "-storepass:env", "P12_PASSWORD")
		cmd.Env = append(os.Environ(), "P12_PASSWORD="+password, "LC_ALL=C.UTF-8", "HOME="+t.TempDir())
		out, err := cmd.CombinedOutput()
		for _, want := range []string{"Entry type: PrivateKeyEntry", "Certificate chain length: 2", "SHA256: " + FingerprintOf(pair.Leaf)} {
			if err != nil || !strings.Contains(string(out), want) {
				t.Fatalf("password %q: %v, no %q in:\n%s", password, err, want, out)
			}
		}
	}
}

func TestPKCS12Refuses(t *testing.T) {
	pair, err := SelfSigned([]string{"localhost"})
	if err != nil {
		t.Fatal(err)
	}
	for password, reason := range map[string]string{
		"": "empty", "a\n": "ASCII", "a\x00b": "ASCII", "a\x7f": "ASCII", "a\xff": "ASCII", "é": "ASCII", "비밀번호": "ASCII", "🔑": "ASCII",
	} {
		if _, err := EncodePKCS12(pair, password); !errors.Is(err, ErrPassword) || !strings.Contains(err.Error(), reason) {
			t.Errorf("password %q: error %v, want %q", password, err, reason)
		}
	}
	for name, c := range map[string]*tls.Certificate{
		"no key":         {Certificate: pair.Certificate},
		"no certificate": {PrivateKey: pair.PrivateKey},
		"junk":           {PrivateKey: pair.PrivateKey, Certificate: [][]byte{[]byte("x")}},
		"a strange key":  {PrivateKey: "x", Certificate: pair.Certificate},
	} {
		if _, err := EncodePKCS12(c, "secret"); err == nil || errors.Is(err, ErrPassword) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// TestNodeServesPKCS12 has Node.js open a server with the file, and a client that
// trusts the root look at it.
func TestNodeServesPKCS12(t *testing.T) {
	a := newTestAuthority(t, Options{})
	pair, err := a.Issue([]string{"localhost"})
	if err != nil {
		t.Fatal(err)
	}
	data, err := EncodePKCS12(pair, "secret")
	if err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf(`const server = require("https").createServer({pfx: require("fs").readFileSync(%q), passphrase: "secret"}, (q, r) => r.end("hello"));
server.listen(0, "127.0.0.1", () => console.log("port " + server.address().port));`, writeTestFile(t, "pair.p12", data))
	port := startServer(t, "port ", nodeTool(t), "-e", script)
	if out, err := curl(t, a.Root(), port, "https://localhost/"); err != nil || out != "hello" {
		t.Errorf("%q, %v", out, err)
	}
	if out, err := curl(t, newTestAuthority(t, Options{}).Root(), port, "https://localhost/"); err == nil {
		t.Errorf("trusting another root: %q", out)
	}
}

func nodeTool(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("node")
	if err != nil {
		needTool(t, "nodejs", err)
	}
	return path
}

func writeTestFile(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// certificateFiles writes a certificate, its chain and its key for other programs.
func certificateFiles(t *testing.T, c *tls.Certificate) (certPath, keyPath string) {
	t.Helper()
	certPath, keyPath, err := WritePair(t.TempDir(), c, false)
	if err != nil {
		t.Fatal(err)
	}
	return certPath, keyPath
}

func poolOf(certs ...*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, cert := range certs {
		pool.AddCert(cert)
	}
	return pool
}
