//go:build unix

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// matrixClient is a program that checks certificates in its own way.
type matrixClient struct {
	name    string
	tools   map[string]string // the programs it takes, and the Debian package of each
	version []string          // a command whose output holds the version; none for the Go of this program

	// visit has the client trust root and nothing else, and visit the sites. It
	// returns what the client said of each: the page, or why there is none.
	visit func(t *testing.T, root *x509.Certificate, sites []*site) []string

	words words
}

// words are a client's own for each reason to refuse, by verdict.
type words [unknown + 1]string

func matrixClients() []matrixClient {
	return []matrixClient{
		{
			name:  "Go",
			visit: visitWithGo,
			words: words{outside: "is not permitted by any constraint", misnamed: "certificate is valid for", unknown: "certificate signed by unknown authority"},
		},
		{
			name: "OpenSSL", tools: map[string]string{"openssl": "openssl"},
			visit: eachSite(visitWithOpenSSL), version: []string{"openssl", "version"},
			words: words{outside: "permitted subtree violation", misnamed: " mismatch", unknown: "unable to get local issuer certificate"},
		},
		{
			name: "curl", tools: map[string]string{"curl": "curl"},
			visit: eachSite(visitWithCurl), version: []string{"curl", "--version"},
			words: words{outside: "permitted subtree violation", misnamed: "no alternative certificate subject name matches", unknown: "unable to get local issuer certificate"},
		},
		{
			name: "GnuTLS", tools: map[string]string{"gnutls-cli": "gnutls-bin"},
			visit: eachSite(visitWithGnuTLS), version: []string{"gnutls-cli", "--version"},
			words: words{outside: "violates the signer's constraints", misnamed: "does not match the expected", unknown: "issuer is unknown"},
		},
		{
			name: "NSS", tools: map[string]string{"certutil": "libnss3-tools", "tstclnt": "libnss3-tools", "vfychain": "libnss3-tools"},
			visit: visitWithNSS, version: []string{"dpkg-query", "-W", "-f", "${Version}", "libnss3-tools"},
			words: nssWords(),
		},
		{
			name: "Node", tools: map[string]string{"node": "nodejs"},
			visit: visitWithNode, version: []string{"node", "--version"},
			words: words{outside: "permitted subtree violation", misnamed: "ERR_TLS_CERT_ALTNAME_INVALID", unknown: "unable to get local issuer certificate"},
		},
		{
			name: "Python", tools: map[string]string{systemPython: "python3"},
			visit: visitWithPython, version: []string{systemPython, "--version"},
			words: words{outside: "permitted subtree violation", misnamed: " mismatch", unknown: "unable to get local issuer certificate"},
		},
		{
			name: "Java", tools: map[string]string{"javac": "default-jdk-headless", "keytool": "default-jdk-headless"},
			visit: visitWithJava, version: []string{"java", "--version"},
			words: words{outside: "name constraints", misnamed: "No subject alternative", unknown: "unable to find valid certification path"},
		},
		{
			name: "Chromium", tools: map[string]string{"chromium": "chromium", "certutil": "libnss3-tools"},
			visit: visitWithChromium, version: []string{"chromium", "--version"},
			words: words{outside: "ERR_CERT_INVALID", misnamed: "ERR_CERT_COMMON_NAME_INVALID", unknown: "ERR_CERT_AUTHORITY_INVALID"},
		},
		{
			name: "Firefox", tools: map[string]string{"firefox-esr": "firefox-esr", "certutil": "libnss3-tools"},
			visit: visitWithFirefox, version: []string{"firefox-esr", "--version"},
			words: words{outside: "SEC_ERROR_CERT_NOT_IN_NAME_SPACE", misnamed: "SSL_ERROR_BAD_CERT_DOMAIN", unknown: "SEC_ERROR_UNKNOWN_ISSUER"},
		},
	}
}

// systemPython is the one that Debian's package brings: it uses the system's
// OpenSSL, which a Python from elsewhere on PATH may not.
const systemPython = "/usr/bin/python3"

// plainRequest is all that the simple clients say.
const plainRequest = "GET / HTTP/1.0\r\n\r\n"

// eachSite is for clients that are quick to start: one process for each site.
func eachSite(visit func(t *testing.T, a *account, rootFile string, s *site) string) func(*testing.T, *x509.Certificate, []*site) []string {
	return func(t *testing.T, root *x509.Certificate, sites []*site) []string {
		a := newAccount(t)
		rootFile := a.writeRoot(root)
		said := make([]string, len(sites))
		for i, s := range sites {
			said[i] = visit(t, a, rootFile, s)
		}
		return said
	}
}

// writeRoot writes the certificate to a file in the account's home.
func (a *account) writeRoot(root *x509.Certificate) string {
	a.t.Helper()
	file := filepath.Join(a.home, "root.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return file
}

// say runs a program that is told input, and whose stdin stays open until it has
// ended, since s_client and gnutls-cli hang up when it ends. It returns all
// that the program printed: the exit code of a client says less.
func (a *account) say(input, program string, args ...string) string {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env, cmd.Dir = a.env(), a.home
	stdin, err := cmd.StdinPipe()
	if err != nil {
		a.t.Fatal(err)
	}
	var output syncBuffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		a.t.Fatal(err)
	}
	_, writeErr := io.WriteString(stdin, input) // fails when the program refuses at once
	err = cmd.Wait()
	var exit *exec.ExitError
	if ctx.Err() != nil || err != nil && !errors.As(err, &exit) {
		a.t.Errorf("%s %s: %v, writing to it: %v\n%s", program, strings.Join(args, " "), err, writeErr, &output)
	}
	return output.String()
}

// sayLines runs one of the programs in testdata/clients, which visits all sites.
func (a *account) sayLines(sites []*site, cmd *exec.Cmd) []string {
	a.t.Helper()
	var input, problems strings.Builder
	for _, s := range sites {
		input.WriteString(s.host + " " + s.port + "\n")
	}
	cmd.Stdin = strings.NewReader(input.String())
	cmd.Stderr = &problems
	cmd.WaitDelay = time.Second
	stop := time.AfterFunc(2*patience, func() { _ = cmd.Process.Kill() })
	defer stop.Stop()
	out, err := cmd.Output()
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if err != nil || len(lines) != len(sites) {
		a.t.Fatalf("%s: %v, %d lines for %d sites\n%s%s", cmd, err, len(lines), len(sites), out, &problems)
	}
	return lines
}

// clientProgram is the path of a file in testdata/clients.
func clientProgram(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", "clients", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func visitWithGo(_ *testing.T, root *x509.Certificate, sites []*site) []string {
	said := make([]string, len(sites))
	for i, s := range sites {
		page, err := getWithGo(root, s)
		said[i] = page
		if err != nil {
			said[i] = err.Error()
		}
	}
	return said
}

func getWithGo(root *x509.Certificate, s *site) (string, error) {
	roots := x509.NewCertPool()
	roots.AddCert(root)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, "127.0.0.1:"+s.port)
		},
	}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport, Timeout: patience}).Get(s.url())
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	return string(page), err
}

func visitWithOpenSSL(_ *testing.T, a *account, rootFile string, s *site) string {
	args := []string{"s_client", "-quiet", "-connect", "127.0.0.1:" + s.port, "-verify_return_error", "-x509_strict",
		"-CAfile", rootFile, "-no-CApath", "-no-CAstore"}
	if s.isAddress() {
		args = append(args, "-noservername", "-verify_ip", s.host)
	} else {
		args = append(args, "-servername", s.host, "-verify_hostname", s.host)
	}
	return a.say(plainRequest, "openssl", args...)
}

func visitWithCurl(_ *testing.T, a *account, rootFile string, s *site) string {
	return a.say("", "curl", "-q", "-sS", "--max-time", "30", "--noproxy", "*", "--connect-to", "::127.0.0.1:"+s.port,
		"--cacert", rootFile, "--capath", filepath.Join(a.home, "no-more"), s.url())
}

func visitWithGnuTLS(_ *testing.T, a *account, rootFile string, s *site) string {
	args := []string{"--x509cafile", rootFile, "--verify-hostname", s.host, "--port", s.port, "127.0.0.1"}
	if !s.isAddress() {
		args = append([]string{"--sni-hostname", s.host}, args...)
	}
	return a.say(plainRequest, "gnutls-cli", args...)
}

func visitWithNode(t *testing.T, root *x509.Certificate, sites []*site) []string {
	a := newAccount(t)
	cmd := a.command("node", clientProgram(t, "visit.mjs"))
	cmd.Env = append(cmd.Env, "NODE_EXTRA_CA_CERTS="+a.writeRoot(root))
	return a.sayLines(sites, cmd)
}

func visitWithPython(t *testing.T, root *x509.Certificate, sites []*site) []string {
	a := newAccount(t)
	return a.sayLines(sites, a.command(systemPython, clientProgram(t, "visit.py"), a.writeRoot(root)))
}

func visitWithJava(t *testing.T, root *x509.Certificate, sites []*site) []string {
	a := newAccount(t)
	store := filepath.Join(a.home, "trust.p12")
	if out, err := a.command("keytool", "-importcert", "-noprompt", "-alias", "root", "-file", a.writeRoot(root),
		"-keystore", store, "-storetype", "PKCS12", "-storepass", "changeit").CombinedOutput(); err != nil {
		t.Fatalf("keytool: %v\n%s", err, out)
	}
	return a.sayLines(sites, a.command("java", "-Djavax.net.ssl.trustStore="+store, "-Djavax.net.ssl.trustStorePassword=changeit",
		clientProgram(t, "Visit.java")))
}

// versionOf returns the client's version, as its own program says it.
func (c matrixClient) versionOf(t *testing.T) string {
	t.Helper()
	if c.version == nil {
		return strings.TrimPrefix(runtime.Version(), "go")
	}
	out, err := newAccount(t).command(c.version[0], c.version[1:]...).Output()
	number := regexp.MustCompile(`[0-9]+(\.[0-9]+)+`).FindString(string(out))
	if err != nil || number == "" {
		t.Fatalf("%s: %q, %v", strings.Join(c.version, " "), out, err)
	}
	return number
}
