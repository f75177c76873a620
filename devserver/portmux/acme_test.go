package portmux

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
)

// An authority that checks a name by TLS-ALPN-01 gets the handshake and the end; a browser
// at the same port gets its page.
func TestACMECheckIsClosed(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		c := &crowd{most: 8, conns: make(map[net.Conn]bool)}
		p := open(t, func(cfg *Config) {
			cfg.TLS.NextProtos = []string{alpnACME}
			cfg.Admit, cfg.Gone = c.admit, c.gone
		}).everything(func(conn net.Conn, state http.ConnState) {
			c.change(conn, state)
			if secure, ok := conn.(*tls.Conn); ok && secure.ConnectionState().NegotiatedProtocol == alpnACME {
				t.Errorf("%s: HTTP got it", tls.VersionName(version))
			}
		})
		check := p.dialTLS(version, alpnACME)
		if got := check.ConnectionState().NegotiatedProtocol; got != alpnACME {
			t.Errorf("%s: negotiated %q", tls.VersionName(version), got)
		}
		if n, err := check.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("%s: %d bytes and %v after the handshake, want EOF", tls.VersionName(version), n, err)
		}
		eventually(t, "that the connection is counted no more", func() bool { return c.count() == 0 })
		both := p.dialTLS(version, alpnACME, "http/1.1")
		if got := both.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
			t.Errorf("%s: who can do both negotiated %q", tls.VersionName(version), got)
		}
		both.Close()
		select {
		case r := <-p.refusals:
			t.Errorf("%s: a refusal is told: %+v", tls.VersionName(version), r)
		default:
		}
		p.wantPage(p.client(), `HTTP/2.0 TLS 1.3 alpn="h2"`)
	}
}

// Without being asked to, the mux negotiates no such thing.
func TestACMECheckUnwanted(t *testing.T) {
	p := open(t, nil).everything(nil)
	c := tls.Client(p.dial(), &tls.Config{RootCAs: p.pool, ServerName: "localhost", NextProtos: []string{alpnACME}})
	if err := c.HandshakeContext(context.Background()); err == nil {
		t.Error("it has the handshake")
	}
}
