package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func discardLogger() *log.Logger { return log.New(io.Discard, "", 0) }

// addrConn is a connection of which only the local address matters.
type addrConn struct {
	net.Conn
	local net.Addr
}

func (c addrConn) LocalAddr() net.Addr { return c.local }

func TestGetCertificate(t *testing.T) {
	a := newTestAuthority(t, Options{})
	tcp := func(ip, zone string) net.Conn {
		return addrConn{local: &net.TCPAddr{IP: net.ParseIP(ip), Port: 8443, Zone: zone}}
	}
	for _, c := range []struct {
		sni  string
		conn net.Conn
		want string // "" for no certificate
	}{
		{"localhost", nil, "localhost"},
		{"LOCALHOST", tcp("8.8.8.8", ""), "localhost"},
		{"phone.local", nil, "phone.local"},
		{"192.168.1.5", nil, "192.168.1.5"}, // not allowed in SNI, but seen
		{"", tcp("192.168.1.5", ""), "192.168.1.5"},
		{"", tcp("::ffff:10.0.0.1", ""), "10.0.0.1"},
		{"", tcp("fe80::1", "eth0"), "fe80::1"},
		{"", tcp("::1", ""), "::1"},
		{"", tcp("8.8.8.8", ""), ""},
		{"", nil, ""},
		{"", addrConn{}, ""},
		{"", addrConn{local: &net.UnixAddr{Name: "/socket"}}, ""},
		{"accounts.google.com", tcp("127.0.0.1", ""), ""},
		{"*.app.test", nil, ""},
		{"bad name", nil, ""},
	} {
		cert, err := a.GetCertificate(&tls.ClientHelloInfo{ServerName: c.sni, Conn: c.conn})
		if err != nil || (cert != nil) != (c.want != "") {
			t.Errorf("%q from %v: certificate %v, error %v; want %q", c.sni, c.conn, cert != nil, err, c.want)
			continue
		}
		if cert == nil {
			continue
		}
		want := fmt.Sprintf("[%s] []", c.want)
		if ip := net.ParseIP(c.want); ip.IsLoopback() {
			want = fmt.Sprintf("[localhost] [%s]", c.want)
		} else if ip != nil {
			want = fmt.Sprintf("[] [%s]", c.want)
		}
		if names := fmt.Sprint(cert.Leaf.DNSNames, cert.Leaf.IPAddresses); names != want {
			t.Errorf("%q from %v: names %s, want %s", c.sni, c.conn, names, want)
		}
	}
}

// TestAlert proves what the comment of GetCertificate says of (nil, nil).
func TestAlert(t *testing.T) {
	a := newTestAuthority(t, Options{})
	roots := x509.NewCertPool()
	roots.AddCert(a.Root())
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client, server := net.Pipe()
		done := make(chan error, 1)
		go func() {
			done <- tls.Server(server, &tls.Config{GetCertificate: a.GetCertificate, MaxVersion: version}).HandshakeContext(context.Background())
			server.Close()
		}()
		err := tls.Client(client, &tls.Config{ServerName: "accounts.google.com", RootCAs: roots}).HandshakeContext(context.Background())
		client.Close()
		if err == nil || !strings.Contains(err.Error(), "unrecognized name") { // RFC 6066 §3
			t.Errorf("version %x: the client saw %v, want the alert unrecognized_name", version, err)
		}
		if err := <-done; err == nil {
			t.Errorf("version %x: the server saw no error", version)
		}
	}
}

func TestCacheIsBounded(t *testing.T) {
	a := newTestAuthority(t, Options{})
	get := func(name string) *tls.Certificate {
		cert, err := a.GetCertificate(&tls.ClientHelloInfo{ServerName: name})
		if err != nil || cert == nil {
			t.Fatalf("%s: certificate %v, error %v", name, cert, err)
		}
		return cert
	}
	first, second := get("first.test"), get("second.test")
	for i := range maxLeaves {
		get(fmt.Sprintf("n%d.test", i))
		if get("first.test") != first {
			t.Fatalf("a certificate in use was dropped after %d others", i)
		}
	}
	if get("second.test") == second {
		t.Error("the certificate used least recently was kept")
	}
	if n, m := len(a.leaves.entries), a.leaves.recent.Len(); n != maxLeaves || m != maxLeaves {
		t.Errorf("the cache holds %d and %d entries, want %d", n, m, maxLeaves)
	}
}

func TestConcurrentHandshakesMintOnce(t *testing.T) {
	a := newTestAuthority(t, Options{})
	const workers, names = 32, 8
	certs := make([][names]*tls.Certificate, workers)
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for n := range names {
				cert, err := a.GetCertificate(&tls.ClientHelloInfo{ServerName: fmt.Sprintf("n%d.test", n)})
				if err != nil {
					t.Error(err)
				}
				certs[w][n] = cert
			}
		})
	}
	group.Wait()
	for w := range workers {
		if certs[w] != certs[0] {
			t.Fatal("two handshakes for one name got different certificates")
		}
	}
}

func TestRenewal(t *testing.T) {
	var offset time.Duration
	now := func() time.Time { return time.Now().Add(offset) }
	a, _, err := openOrCreate(filepath.Join(t.TempDir(), "authority"), Options{}, now)
	if err != nil {
		t.Fatal(err)
	}
	get := func() (*tls.Certificate, error) {
		return a.GetCertificate(&tls.ClientHelloInfo{ServerName: "localhost"})
	}
	first, err := get()
	if err != nil {
		t.Fatal(err)
	}
	offset = 59 * 24 * time.Hour
	if cert, err := get(); err != nil || cert != first {
		t.Errorf("after 59 days: a new certificate, error %v", err)
	}
	offset = 61 * 24 * time.Hour
	second, err := get()
	if err != nil || second == first || second.Leaf.NotAfter.Sub(now()) < 89*24*time.Hour {
		t.Errorf("after 61 days: the same certificate, error %v", err)
	}
	offset = 0
	if cert, err := get(); err != nil || cert == second {
		t.Errorf("after the clock was set back: a certificate of the future, error %v", err)
	}
	offset = authorityLife - 30*24*time.Hour
	if cert, err := get(); err != nil || !cert.Leaf.NotAfter.Equal(a.Intermediate().NotAfter) {
		t.Errorf("30 days before the authority's end: not cut to it, error %v", err)
	}
	offset = authorityLife + time.Hour
	if _, err := get(); !errors.Is(err, ErrExpired) {
		t.Errorf("after the authority's end: error %v, want ErrExpired", err)
	}
}

func BenchmarkIssue(b *testing.B) {
	a := newTestAuthority(b, Options{})
	for b.Loop() {
		if _, err := a.Issue([]string{"localhost"}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenOrCreate(b *testing.B) {
	for _, existing := range []bool{true, false} {
		b.Run(fmt.Sprintf("existing=%v", existing), func(b *testing.B) {
			base := b.TempDir()
			for i := 0; b.Loop(); i++ {
				dir := filepath.Join(base, "authority")
				if !existing {
					dir = filepath.Join(base, fmt.Sprint(i), "authority")
				}
				if _, _, err := OpenOrCreate(dir, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
