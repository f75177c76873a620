package certs

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// startServer starts a program that serves TLS and returns its port, which it
// prints at the end of the first line that begins with prefix.
func startServer(t *testing.T, prefix, program string, args ...string) (port string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	stdin, err := cmd.StdinPipe() // s_server ends with its input
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ports := make(chan string, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			if line := lines.Text(); strings.HasPrefix(line, prefix) {
				ports <- line[strings.LastIndexAny(line, " :")+1:]
				prefix = "\x00" // the rest is read and dropped
			}
		}
	}()
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Process.Kill()
		<-done
		_ = cmd.Wait()
	})
	select {
	case port = <-ports:
	case <-done:
		t.Fatalf("%s ended before it listened", program)
	case <-time.After(30 * time.Second):
		t.Fatalf("%s does not listen", program)
	}
	return port
}

func issue(t *testing.T, how func([]string) (*tls.Certificate, error), names ...string) *tls.Certificate {
	t.Helper()
	c, err := how(names)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClientLeafProfile(t *testing.T) {
	a := newTestAuthority(t, Options{})
	long := strings.Repeat(strings.Repeat("a", 30)+".", 2) + "test" // 66 characters
	for _, c := range []struct{ names, commonName string }{
		{"Phone.local. localhost", "phone.local"},
		{"192.168.1.5 phone.local", "phone.local"},
		{"192.168.1.5", ""},
		{"*.app.test", "*.app.test"},
		{long, ""},
		{long[2:], long[2:]},
	} {
		leaf := issue(t, a.IssueClient, strings.Fields(c.names)...).Leaf
		if leaf.Subject.CommonName != c.commonName || len(leaf.Subject.Names) > 1 {
			t.Errorf("%s: subject %q, want the common name %q", c.names, leaf.Subject, c.commonName)
		}
		if len(leaf.ExtKeyUsage) != 1 || leaf.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth || len(leaf.UnknownExtKeyUsage) != 0 ||
			leaf.KeyUsage != x509.KeyUsageDigitalSignature || leaf.IsCA {
			t.Errorf("%s: key usage %b, EKU %v, CA %v", c.names, leaf.KeyUsage, leaf.ExtKeyUsage, leaf.IsCA)
		}
	}
	if _, err := a.IssueClient([]string{"localhost", "accounts.google.com"}); err == nil || !strings.Contains(err.Error(), "accounts.google.com is outside") {
		t.Errorf("a name outside: error %v", err)
	}
}

// clientLeaves are one of each kind.
func clientLeaves(t *testing.T, a *Authority) map[string]*tls.Certificate {
	return map[string]*tls.Certificate{
		"names":    issue(t, a.IssueClient, "phone.local", "127.0.0.1"),
		"address":  issue(t, a.IssueClient, "192.168.1.5"),
		"wildcard": issue(t, a.IssueClient, "*.app.test"),
	}
}

// TestMutualTLS has curl (OpenSSL) show client certificates to servers of Go,
// OpenSSL and Node.js, each of which trusts the root alone. A server's
// certificate is refused in a client's place.
func TestMutualTLS(t *testing.T) {
	a := newTestAuthority(t, Options{})
	server := issue(t, a.Issue, "localhost")
	certPath, keyPath := certificateFiles(t, server)
	root := writeTestFile(t, "root.pem", encodePEM(blockCertificate, a.Root().Raw))
	node := fmt.Sprintf(`const read = require("fs").readFileSync;
const server = require("https").createServer({cert: read(%q), key: read(%q), ca: read(%q), requestCert: true, rejectUnauthorized: true}, (q, r) => r.end("hello"));
server.listen(0, "127.0.0.1", () => console.log("port " + server.address().port));`, certPath, keyPath, root)
	for name, port := range map[string]string{
		"Go": serveTLS(t, &tls.Config{GetCertificate: a.GetCertificate, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: poolOf(a.Root())}),
		"openssl": startServer(t, "ACCEPT ", findTool(t, "openssl"), "s_server", "-accept", "127.0.0.1:0", "-www", "-Verify", "2", "-verify_return_error",
			"-cert", certPath, "-cert_chain", certPath, "-key", keyPath, "-CAfile", root, "-no-CApath", "-no-CAstore"),
		"node": startServer(t, "port ", nodeTool(t), "-e", node),
	} {
		t.Run(name, func(t *testing.T) {
			for kind, leaf := range clientLeaves(t, a) {
				clientCert, clientKey := certificateFiles(t, leaf)
				if out, err := curl(t, a.Root(), port, "https://localhost/", "--cert", clientCert, "--key", clientKey); err != nil {
					t.Errorf("%s: %v, %s", kind, err, out)
				}
			}
			other := newTestAuthority(t, Options{})
			for kind, leaf := range map[string]*tls.Certificate{
				"a server's certificate":  server,
				"of another authority":    issue(t, other.IssueClient, "localhost"),
				"a name outside the root": forgeClient(t, a, "accounts.google.com"),
			} {
				clientCert, clientKey := certificateFiles(t, leaf)
				if out, err := curl(t, a.Root(), port, "https://localhost/", "--cert", clientCert, "--key", clientKey); err == nil {
					t.Errorf("%s was accepted: %s", kind, out)
				}
			}
			if out, err := curl(t, a.Root(), port, "https://localhost/"); err == nil {
				t.Errorf("no certificate was accepted: %s", out)
			}
		})
	}
}

// forgeClient signs a client's certificate that the authority would refuse.
func forgeClient(t *testing.T, a *Authority, name string) *tls.Certificate {
	t.Helper()
	key := newKey(t)
	c, err := a.sign([]subject{{dns: name}}, key.Public(), x509.ExtKeyUsageClientAuth)
	if err != nil {
		t.Fatal(err)
	}
	c.PrivateKey = key
	return c
}

// TestClientLeafIsNoServer, for clients of three libraries.
func TestClientLeafIsNoServer(t *testing.T) {
	a := newTestAuthority(t, Options{})
	leaf := issue(t, a.IssueClient, "localhost")
	port := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{*leaf}})
	conn, err := tls.Dial("tcp", net.JoinHostPort("127.0.0.1", port), &tls.Config{ServerName: "localhost", RootCAs: poolOf(a.Root())})
	if err == nil {
		conn.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "incompatible key usage") {
		t.Errorf("Go: %v", err)
	}
	if out, err := curl(t, a.Root(), port, "https://localhost/"); err == nil || !strings.Contains(out, "certificate purpose") {
		t.Errorf("curl: %v, %s", err, out)
	}
	root := writeTestFile(t, "root.pem", encodePEM(blockCertificate, a.Root().Raw))
	script := fmt.Sprintf(`require("https").get({port: %s, host: "localhost", ca: require("fs").readFileSync(%q)}, () => console.log("accepted")).on("error", e => console.log(e.code))`, port, root)
	if out, err := exec.Command(nodeTool(t), "-e", script).CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "INVALID_PURPOSE" {
		t.Errorf("node: %v, %s", err, out)
	}
}

// TestGnuTLSPurposes: what GnuTLS says of each kind of leaf in each role.
func TestGnuTLSPurposes(t *testing.T) {
	tool, err := exec.LookPath("certtool")
	if err != nil {
		needTool(t, "gnutls-bin", err)
	}
	const serverAuth, clientAuth = "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2" // RFC 5280 §4.2.1.12
	a := newTestAuthority(t, Options{})
	root := writeTestFile(t, "root.pem", encodePEM(blockCertificate, a.Root().Raw))
	verify := func(c *tls.Certificate, purpose string) (string, error) {
		chain, _ := certificateFiles(t, c)
		out, err := exec.Command(tool, "--verify", "--verify-purpose", purpose, "--load-ca-certificate", root, "--infile", chain).CombinedOutput()
		return string(out), err
	}
	for kind, leaf := range clientLeaves(t, a) {
		if out, err := verify(leaf, clientAuth); err != nil {
			t.Errorf("%s, as a client's: %v\n%s", kind, err, out)
		}
		if out, err := verify(leaf, serverAuth); err == nil {
			t.Errorf("%s, as a server's: accepted\n%s", kind, out)
		}
	}
	if out, err := verify(issue(t, a.Issue, "localhost"), clientAuth); err == nil {
		t.Errorf("a server's leaf as a client's: accepted\n%s", out)
	}
	if out, err := verify(forgeClient(t, a, "accounts.google.com"), clientAuth); err == nil {
		t.Errorf("a name outside: accepted\n%s", out)
	}
}
