//go:build unix

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"rtcdev/certs"
)

// matrixAuthority is an authority as people have it, and what a thief of its
// folder has.
type matrixAuthority struct {
	*certs.Authority
	stolen *ecdsa.PrivateKey // the intermediate's key, of which Authority makes a secret
}

func newMatrixAuthority(t *testing.T, hostname string) *matrixAuthority {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "authority")
	authority, _, err := certs.OpenOrCreate(dir, certs.Options{Hostname: hostname})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "intermediate-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatal("the intermediate's key is not PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return &matrixAuthority{authority, key.(*ecdsa.PrivateKey)}
}

// forge signs for names that the authority may refuse. Nothing else about the
// certificate gives a client a reason to.
func (a *matrixAuthority) forge(t *testing.T, names []string) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.Intermediate(), key.Public(), a.stolen)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der, a.Intermediate().Raw}, PrivateKey: key}
}

// site is a server on a port of 127.0.0.1 that shows one certificate, whoever
// asks, and behind it a page that says a secret.
type site struct {
	host   string // what the client takes it for: a name, or an address without brackets
	port   string
	secret string

	mu    sync.Mutex
	asked []string // the server name of each handshake that began; "" where the client sent none
}

func newSite(t *testing.T, host string, pair *tls.Certificate) *site {
	t.Helper()
	s := &site{host: host, secret: "secret-" + rand.Text()}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Connection", "close")
		fmt.Fprintf(w, "<!doctype html><title>a page</title><link rel=icon href=data:,><p>%s", s.secret)
	}))
	server.Listener = tls.NewListener(server.Listener, &tls.Config{
		Certificates: []tls.Certificate{*pair},
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.asked = append(s.asked, hello.ServerName)
			return nil, nil // the same for everyone
		},
	})
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // the refusals
	server.Start()
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s.port = port
	return s
}

// isAddress tells whether the client reaches it by an IP address.
func (s *site) isAddress() bool { return net.ParseIP(s.host) != nil }

// url is the address of the page, for clients that something leads to 127.0.0.1.
func (s *site) url() string { return "https://" + net.JoinHostPort(s.host, s.port) + "/" }

// visited returns an error unless a handshake has begun, each by the site's own
// name. A client may send no name: RFC 6066 §3 allows no addresses there, and
// Java sends none without a dot.
func (s *site) visited() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked) == 0 {
		return fmt.Errorf("%s has seen no handshake", s.host)
	}
	for _, name := range s.asked {
		if name != "" && name != s.host {
			return fmt.Errorf("%s was asked for %s", s.host, name)
		}
	}
	return nil
}

// serveProxy starts an HTTP proxy (RFC 9110 §9.3.6, CONNECT) that leads to the
// sites by their names, and nowhere else. It returns its address.
func serveProxy(t *testing.T, sites []*site) string {
	t.Helper()
	ports := map[string]string{}
	for _, s := range sites {
		ports[net.JoinHostPort(s.host, s.port)] = s.port
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		port, ok := ports[r.Host]
		if r.Method != http.MethodConnect || !ok {
			http.Error(w, "not one of the sites", http.StatusForbidden)
			return
		}
		upstream, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer upstream.Close()
		client, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return // the client has gone
		}
		defer client.Close()
		_, _ = io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			_, _ = io.Copy(client, upstream)
			_ = client.Close() // ends the other direction
		}()
		_, _ = io.Copy(upstream, buffered)
		_ = upstream.Close()
		<-answered
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}
