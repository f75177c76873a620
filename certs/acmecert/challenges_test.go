package acmecert

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"testing"
	"time"

	"rtcdev/scripts/rehearsal"
)

// selfSigned is what the server has for other names.
func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// HTTP-01 for two names, with an authority that refuses a third of the good nonces (RFC 8555
// §6.5), and then nothing to do.
func TestHTTP01(t *testing.T) {
	r := newRig(t, rehearsal.Options{NonceReject: 30}, "call.example.com", "www.example.com")
	m := r.manager()
	if err := m.Obtain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e := r.hears(Registering); e.Account != r.cfg.Email || e.Terms == "" {
		t.Errorf("registering: %+v", e)
	}
	for range 2 {
		e := r.hears(Obtained)
		r.checkFiles(e)
	}
	orders := r.ca.Orders() // and those that were refused for their nonce
	again := r.manager()
	if err := again.Obtain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e := r.hears(Found); e.Name != "call.example.com" || e.NotAfter.IsZero() || e.Issuer == "" {
		t.Errorf("found: %+v", e)
	}
	if r.ca.Orders() != orders {
		t.Errorf("%d orders, %d before", r.ca.Orders(), orders)
	}
	r.checkModes()
	at := r.server(r.manager(), "127.0.0.1:0") // which has not looked at anything yet
	r.serial(at, "www.example.com")
	states, err := ReadStates(r.cfg.Folder)
	if err != nil || len(states) != 2 {
		t.Fatalf("%+v, %v", states, err)
	}
	for i, s := range again.States() {
		if s.Name != r.cfg.Names[i] || s.Problem != nil || s != states[i] {
			t.Errorf("state %+v, and by another process %+v", s, states[i])
		}
	}
}

// TLS-ALPN-01 through the server's own port, which has its own certificate meanwhile.
func TestTLSALPN01(t *testing.T) {
	port := rehearsal.FreePort(t)
	r := newRig(t, rehearsal.Options{TLSPort: port}, "call.example.com")
	r.cfg.Challenge = TLSALPN01
	m := r.manager()
	at := r.server(m, loopback(port))
	if _, err := r.dial(at, "call.example.com"); err == nil {
		t.Fatal("there is a certificate already")
	}
	r.run(m, port)
	r.checkFiles(r.hears(Obtained))
	r.serial(at, "call.example.com")
	if _, err := r.dial(at, "localhost"); err == nil {
		t.Error("other names have the authority's certificate")
	}
	// Somebody who asks for the answer to a check that is over gets none.
	conn, err := tls.Dial("tcp", at.String(), &tls.Config{RootCAs: r.ca.Issuers(), ServerName: "call.example.com", NextProtos: []string{"acme-tls/1"}})
	if err == nil {
		conn.Close()
		t.Error("a check without an order was answered")
	}
}

// Without a server TLS-ALPN-01 opens a port of its own.
func TestTLSALPN01Alone(t *testing.T) {
	r := newRig(t, rehearsal.Options{}, "call.example.com")
	r.cfg.Challenge = TLSALPN01
	if err := r.manager().Obtain(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.checkFiles(r.hears(Obtained))
}

// DNS-01 for a name of the local network and all below it: two records of one name.
func TestDNS01(t *testing.T) {
	r := newRig(t, rehearsal.Options{}, "lan.example.com", "*.lan.example.com")
	r.ca.SetNoName("lan.example.com")
	r.cfg.DNSHook, r.cfg.Resolvers = r.ca.WriteHook(t), []string{r.ca.DNSAddr}
	m := r.manager()
	if err := m.Obtain(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.checkFiles(r.hears(Obtained))
	r.hears(Obtained)
	at := r.server(m, "127.0.0.1:0")
	r.serial(at, "lan.example.com")
	r.serial(at, "cam.lan.example.com")
	if calls := r.ca.HookCalls(); len(calls) != 4 {
		t.Errorf("the program was called so: %q", calls)
	}
}

// An address can have a certificate, too (RFC 8738), and no e-mail address is needed.
func TestAddress(t *testing.T) {
	for _, challenge := range []Challenge{HTTP01, TLSALPN01} {
		r := newRig(t, rehearsal.Options{}, "127.0.0.1")
		r.cfg.Email, r.cfg.Challenge = "", challenge
		m := r.manager()
		if err := m.Obtain(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.checkFiles(r.hears(Obtained))
		r.serial(r.server(m, "127.0.0.1:0"), "127.0.0.1") // for an address there is no SNI
	}
}

// Whoever shares the folder waits for the certificate, and orders none.
func TestTwoManagers(t *testing.T) {
	r := newRig(t, rehearsal.Options{}, "call.example.com")
	ended := make(chan error, 2)
	for range 2 {
		m := r.manager()
		go func() { ended <- m.Obtain(context.Background()) }()
	}
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if r.ca.Orders() != 1 {
		t.Errorf("%d orders for one name", r.ca.Orders())
	}
}
