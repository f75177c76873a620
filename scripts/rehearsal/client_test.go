package rehearsal_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"rtcdev/scripts/rehearsal"
)

// A client is an ACME client with an account.
type client struct {
	*acmez.Client
	authority *rehearsal.Authority
	account   acme.Account
}

// newClient makes a client that solves one kind of challenge, and an account.
func newClient(t *testing.T, a *rehearsal.Authority, challenge string, solver acmez.Solver) *client {
	t.Helper()
	root, err := os.ReadFile(a.RootFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(root) {
		t.Fatal("the root file has no certificate")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	c := &client{authority: a, Client: &acmez.Client{
		Client: &acme.Client{Directory: a.Directory, HTTPClient: &http.Client{Transport: transport},
			Logger: slog.New(slog.DiscardHandler), PollInterval: 20 * time.Millisecond},
		ChallengeSolvers: map[string]acmez.Solver{challenge: solver},
	}}
	c.register(t)
	return c
}

func (c *client) register(t *testing.T) {
	t.Helper()
	account, err := c.NewAccount(t.Context(), acme.Account{TermsOfServiceAgreed: true, PrivateKey: newKey(t)})
	if err != nil {
		t.Fatalf("making an account: %v", err)
	}
	c.account = account
}

// order asks for a certificate for a name, of a profile unless that is empty, and returns its
// chain, in PEM.
func (c *client) order(t *testing.T, name, profile string) ([]byte, error) {
	t.Helper()
	csr, err := acmez.NewCSR(newKey(t), []string{name})
	if err != nil {
		t.Fatal(err)
	}
	params, err := acmez.OrderParametersFromCSR(c.account, csr)
	if err != nil {
		t.Fatal(err)
	}
	params.Profile = profile
	chains, err := c.ObtainCertificate(t.Context(), params)
	if err != nil {
		return nil, err
	}
	return chains[0].ChainPEM, nil
}

// obtain does as order, checks the chain against the authority's root and returns the leaf.
func (c *client) obtain(t *testing.T, name, profile string) *x509.Certificate {
	t.Helper()
	chain, err := c.order(t, name, profile)
	if err != nil {
		t.Fatalf("getting a certificate for %s: %v", name, err)
	}
	leaf, err := verify(t, chain, name, c.authority)
	if err != nil {
		t.Fatalf("the certificate for %s: %v", name, err)
	}
	return leaf
}

func verify(t *testing.T, chain []byte, name string, a *rehearsal.Authority) (*x509.Certificate, error) {
	t.Helper()
	block, rest := pem.Decode(chain)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	intermediates := x509.NewCertPool()
	if !intermediates.AppendCertsFromPEM(rest) {
		t.Fatal("the leaf came without the certificate that signed it")
	}
	_, err = leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: a.Issuers(), Intermediates: intermediates})
	return leaf, err
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// A webServer answers http-01 and tls-alpn-01 challenges at one port each.
type webServer struct {
	httpPort, tlsPort int
	challenge         atomic.Pointer[acme.Challenge] // the one to answer
}

func newWebServer(t *testing.T) *webServer {
	t.Helper()
	s := &webServer{httpPort: rehearsal.FreePort(t), tlsPort: rehearsal.FreePort(t)}
	server := &http.Server{Handler: s}
	https := &http.Server{Handler: s, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0),
		TLSConfig: &tls.Config{NextProtos: []string{acmez.ACMETLS1Protocol}, GetCertificate: s.certificate}}
	run(t, server, s.httpPort, server.Serve)
	run(t, https, s.tlsPort, func(l net.Listener) error { return https.ServeTLS(l, "", "") })
	return s
}

func run(t *testing.T, s *http.Server, port int, serve func(net.Listener) error) {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = serve(l)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
}

func (s *webServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := s.challenge.Load()
	if c == nil || r.URL.Path != c.HTTP01ResourcePath() {
		http.NotFound(w, r)
		return
	}
	_, _ = io.WriteString(w, c.KeyAuthorization)
}

func (s *webServer) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return acmez.TLSALPN01ChallengeCert(*s.challenge.Load())
}

func (s *webServer) Present(_ context.Context, c acme.Challenge) error {
	s.challenge.Store(&c)
	return nil
}

func (s *webServer) CleanUp(context.Context, acme.Challenge) error {
	s.challenge.Store(nil)
	return nil
}

// hookSolver answers dns-01 challenges with a program.
type hookSolver string

func (h hookSolver) Present(ctx context.Context, c acme.Challenge) error {
	return exec.CommandContext(ctx, string(h), "present", c.DNS01TXTRecordName(), c.DNS01KeyAuthorization()).Run()
}

func (h hookSolver) CleanUp(ctx context.Context, c acme.Challenge) error {
	return exec.CommandContext(ctx, string(h), "cleanup", c.DNS01TXTRecordName(), c.DNS01KeyAuthorization()).Run()
}
