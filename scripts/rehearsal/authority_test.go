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
	"sync/atomic"
	"testing"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
	"go.uber.org/goleak"

	"rtcdev/scripts/rehearsal"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction(rehearsal.LeakedGoroutine))
}

const name = "call.example.com"

func TestHTTP01(t *testing.T) {
	web := newWebServer(t)
	a := rehearsal.Start(t, rehearsal.Options{HTTPPort: web.port, NonceReject: 30, Validity: time.Hour})
	c := newClient(t, a)
	c.ChallengeSolvers = map[string]acmez.Solver{acme.ChallengeTypeHTTP01: web}

	leaf := c.obtain(t, name)
	if life := leaf.NotAfter.Sub(leaf.NotBefore); life.Round(time.Minute) != time.Hour {
		t.Errorf("the certificate's life is %v, not an hour", life)
	}
	if a.Orders() < 1 {
		t.Error("no order was counted")
	}
}

// A client is an ACME client with an account.
type client struct {
	*acmez.Client
	authority *rehearsal.Authority
	account   acme.Account
}

func newClient(t *testing.T, a *rehearsal.Authority) *client {
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
	c := &client{authority: a, Client: &acmez.Client{Client: &acme.Client{
		Directory: a.Directory, HTTPClient: &http.Client{Transport: transport},
		Logger: slog.New(slog.DiscardHandler), PollInterval: 20 * time.Millisecond,
	}}}
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

// obtain gets a certificate and returns its leaf, after checking it against the authority's root.
func (c *client) obtain(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	chains, err := c.ObtainCertificateForSANs(t.Context(), c.account, newKey(t), []string{name})
	if err != nil {
		t.Fatalf("getting a certificate for %s: %v", name, err)
	}
	var chain []*x509.Certificate
	for rest := chains[0].ChainPEM; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, cert)
	}
	intermediates := x509.NewCertPool()
	for _, cert := range chain[1:] {
		intermediates.AddCert(cert)
	}
	verify := x509.VerifyOptions{DNSName: name, Roots: c.authority.Issuers(), Intermediates: intermediates}
	if _, err := chain[0].Verify(verify); err != nil {
		t.Fatalf("the certificate for %s: %v", name, err)
	}
	return chain[0]
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// A webServer answers http-01 challenges.
type webServer struct {
	port      int
	challenge atomic.Pointer[acme.Challenge] // the one to answer
}

func newWebServer(t *testing.T) *webServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &webServer{port: l.Addr().(*net.TCPAddr).Port}
	server := &http.Server{Handler: s}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return s
}

func (s *webServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := s.challenge.Load()
	if c == nil || r.URL.Path != c.HTTP01ResourcePath() {
		http.NotFound(w, r)
		return
	}
	_, _ = io.WriteString(w, c.KeyAuthorization)
}

func (s *webServer) Present(_ context.Context, c acme.Challenge) error {
	s.challenge.Store(&c)
	return nil
}

func (s *webServer) CleanUp(context.Context, acme.Challenge) error {
	s.challenge.Store(nil)
	return nil
}
