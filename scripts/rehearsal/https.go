package rehearsal

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// newIdentity makes a root, in a file, and what it takes to serve HTTPS on this machine under it.
func newIdentity(t testing.TB) (config *tls.Config, rootFile string) {
	t.Helper()
	from := time.Now().Add(-time.Hour)
	until := from.AddDate(0, 0, 7)
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Root of a test authority's HTTPS"},
		NotBefore: from, NotAfter: until, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: from, NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	rootKey, leafKey := newKey(t), newKey(t)
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey)
	if err != nil {
		t.Fatalf("signing the root of the authority's HTTPS: %v", err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, leafKey.Public(), rootKey)
	if err != nil {
		t.Fatalf("signing the certificate of the authority's HTTPS: %v", err)
	}
	rootFile = filepath.Join(t.TempDir(), "authority-root.pem")
	if err := os.WriteFile(rootFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER}), 0o600); err != nil {
		t.Fatalf("writing the root of the authority's HTTPS: %v", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leafDER}, PrivateKey: leafKey}}}, rootFile
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("making a key: %v", err)
	}
	return key
}

// A gate is a listener that, while shut, closes what it accepts. So the port stays ours
// while the authority is down, which closing the listener would not ensure.
type gate struct {
	net.Listener

	mu     sync.Mutex
	isShut bool
	open   map[net.Conn]bool
}

// Accept waits for a connection while the gate is not shut.
func (g *gate) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		g.mu.Lock()
		isShut := g.isShut
		if !isShut {
			g.open[conn] = true
		}
		g.mu.Unlock()
		if !isShut {
			return conn, nil
		}
		_ = conn.Close()
	}
}

// connState hears from the server how connections, with TLS around ours, are doing.
func (g *gate) connState(conn net.Conn, state http.ConnState) {
	if state != http.StateClosed {
		return
	}
	if c, ok := conn.(*tls.Conn); ok {
		conn = c.NetConn()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.open, conn)
}

func (g *gate) shut(isShut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.isShut = isShut
	if isShut {
		for conn := range g.open {
			_ = conn.Close()
		}
		clear(g.open)
	}
}
