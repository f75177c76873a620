package portmux

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// clientHello is how a client begins, which knows TLS 1.2 only.
func clientHello(t testing.TB, protocols ...string) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		defer theirs.Close()
		c := tls.Client(theirs, &tls.Config{ServerName: "localhost", MaxVersion: tls.VersionTLS12, NextProtos: protocols})
		_ = c.HandshakeContext(context.Background()) // fails when the pipe is closed
	}()
	header := make([]byte, 5)
	if _, err := io.ReadFull(ours, header); err != nil {
		t.Fatal(err)
	}
	hello := make([]byte, int(header[3])<<8|int(header[4]))
	if _, err := io.ReadFull(ours, hello); err != nil {
		t.Fatal(err)
	}
	return append(header, hello...)
}

// handshake is a client's, of which the test wants the failure.
func handshake(p *port, conf *tls.Config) {
	c := tls.Client(p.dial(), conf)
	defer c.Close()
	if c.HandshakeContext(p.t.Context()) == nil {
		_, _ = c.Read(make([]byte, 1)) // with TLS 1.3 the server's alert comes after
	}
}

func send(p *port, b []byte) net.Conn {
	c := p.dial()
	if _, err := c.Write(b); err != nil {
		p.t.Fatal(err)
	}
	return c
}

func TestRefusals(t *testing.T) {
	noBefore13 := func(c *Config) { c.TLS.MinVersion = tls.VersionTLS13 }
	short := func(c *Config) { c.Patience = 300 * time.Millisecond }
	noCertificate := func(err error) func(*Config) {
		return func(c *Config) {
			c.TLS.Certificates = nil
			c.TLS.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, err }
		}
	}
	cases := map[string]struct {
		change func(*Config)
		do     func(*port)
		want   Refusal
	}{
		"a client of Go": {nil, func(p *port) {
			handshake(p, &tls.Config{ServerName: "localhost", RootCAs: x509.NewCertPool()})
		}, Refusal{ServerName: "localhost", Reason: CertificateRefused, Alert: BadCertificate}},
		"a client of Go, TLS 1.2": {nil, func(p *port) {
			handshake(p, &tls.Config{ServerName: "localhost", RootCAs: x509.NewCertPool(), MaxVersion: tls.VersionTLS12})
		}, Refusal{ServerName: "localhost", Reason: CertificateRefused, Alert: BadCertificate}},
		"no name": {nil, func(p *port) {
			handshake(p, &tls.Config{ServerName: "127.0.0.1", RootCAs: x509.NewCertPool()})
		}, Refusal{Reason: CertificateRefused, Alert: BadCertificate}},
		"openssl": {nil, func(p *port) {
			tool(p.t, "", "openssl", "s_client", "-connect", p.addr, "-servername", "phone.test", "-verify_return_error")
		}, Refusal{ServerName: "phone.test", Reason: CertificateRefused, Alert: UnknownCA}},
		"openssl, TLS 1.2": {nil, func(p *port) {
			tool(p.t, "", "openssl", "s_client", "-tls1_2", "-connect", p.addr, "-servername", "phone.test", "-verify_return_error")
		}, Refusal{ServerName: "phone.test", Reason: CertificateRefused, Alert: UnknownCA}},
		"curl": {nil, func(p *port) {
			tool(p.t, "", "curl", "-sS", "https://"+p.addr+"/")
		}, Refusal{Reason: CertificateRefused, Alert: UnknownCA}},
		"node, which leaves without a word": {nil, func(p *port) {
			_, port, _ := strings.Cut(p.addr, ":")
			tool(p.t, "", "node", "-e", "require('tls').connect({host: '127.0.0.1', port: process.argv[1], servername: 'localhost'}).on('error', e => console.log(e.code))", port)
		}, Refusal{ServerName: "localhost", Reason: WentAway}},
		"another alert": {nil, func(p *port) {
			c := send(p, clientHello(p.t))
			_, _ = c.Read(make([]byte, 1)) // the server's part of the handshake
			_, _ = c.Write([]byte{21, 3, 3, 0, 2, 2, 40})
			wantClosed(p.t, "after handshake_failure", c)
		}, Refusal{ServerName: "localhost", Reason: AlertSent, Alert: 40}},
		"an alert after the handshake": {nil, func(p *port) {
			spoiled := &spoiling{Conn: p.dial()}
			c := tls.Client(spoiled, &tls.Config{ServerName: "localhost", RootCAs: p.pool})
			if err := c.HandshakeContext(p.t.Context()); err != nil {
				p.t.Fatal(err)
			}
			spoiled.bad = append([]byte{23, 3, 3, 0, 32}, make([]byte, 32)...)
			_, _ = c.Read(make([]byte, 1))
		}, Refusal{ServerName: "localhost", Reason: AlertSent, Alert: 20}},
		"no certificate": {noCertificate(nil), func(p *port) {
			handshake(p, &tls.Config{ServerName: "bank.example", RootCAs: p.pool})
		}, Refusal{ServerName: "bank.example", Reason: NoCertificate}},
		"no certificate, TLS 1.2": {noCertificate(nil), func(p *port) {
			handshake(p, &tls.Config{ServerName: "bank.example", RootCAs: p.pool, MaxVersion: tls.VersionTLS12})
		}, Refusal{ServerName: "bank.example", Reason: NoCertificate}},
		"a certificate that fails": {noCertificate(errors.New("disk full")), func(p *port) {
			handshake(p, &tls.Config{ServerName: "localhost", RootCAs: p.pool})
		}, Refusal{ServerName: "localhost", Reason: NoCertificate}},
		"no TLS": {nil, func(p *port) {
			send(p, []byte("\x16ET / HTTP/1.1\r\n"))
		}, Refusal{Reason: NotTLS}},
		"garbage in a record": {nil, func(p *port) {
			send(p, []byte("\x16\x03\x01\x00\x04abcd"))
		}, Refusal{Reason: Failed}},
		"too old": {noBefore13, func(p *port) {
			send(p, clientHello(p.t))
		}, Refusal{Reason: Failed}},
		"another protocol": {nil, func(p *port) {
			send(p, clientHello(p.t, "imap"))
		}, Refusal{ServerName: "localhost", Reason: Failed}},
		"half a hello": {short, func(p *port) {
			send(p, clientHello(p.t)[:40])
		}, Refusal{Reason: TimedOut}},
		"a hello and no more": {short, func(p *port) {
			send(p, clientHello(p.t))
		}, Refusal{ServerName: "localhost", Reason: TimedOut}},
		"one byte": {short, func(p *port) { send(p, []byte{22}) }, Refusal{Reason: TimedOut}},
		"gone": {nil, func(p *port) {
			send(p, clientHello(p.t)[:40]).Close()
		}, Refusal{Reason: WentAway}},
		"gone after the hello": {nil, func(p *port) {
			c := send(p, clientHello(p.t))
			_, _ = c.Read(make([]byte, 1))
			c.Close()
		}, Refusal{ServerName: "localhost", Reason: WentAway}},
		"reset": {nil, func(p *port) {
			c := send(p, clientHello(p.t))
			_, _ = c.Read(make([]byte, 1))
			_ = c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}, Refusal{ServerName: "localhost", Reason: WentAway}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p := open(t, c.change).everything(nil)
			c.do(p)
			r := p.nextRefusal()
			if r.ServerName != c.want.ServerName || r.Reason != c.want.Reason || r.Alert != c.want.Alert || r.Err == nil {
				t.Errorf("told %v, alert %d, name %q (%v)\nwant %v, alert %d, name %q",
					r.Reason, r.Alert, r.ServerName, r.Err, c.want.Reason, c.want.Alert, c.want.ServerName)
			}
			if r.Local.String() != p.addr || r.Remote.(*net.TCPAddr).Port == 0 {
				t.Errorf("told from %v to %v", r.Remote, r.Local)
			}
		})
	}
}

// spoiling lets its reader read what the test says.
type spoiling struct {
	net.Conn
	bad []byte
}

func (s *spoiling) Read(p []byte) (int, error) {
	if len(s.bad) > 0 {
		n := copy(p, s.bad)
		s.bad = s.bad[n:]
		return n, nil
	}
	return s.Conn.Read(p)
}

// What is no failed handshake is no refusal: who says nothing, and who leaves after one.
func TestNoRefusals(t *testing.T) {
	p := open(t, nil).everything(nil)
	for _, c := range []net.Conn{p.dial(), send(p, []byte("GET")), p.dialTLS(0), p.dialTLS(0, "http/1.1")} {
		c.Close()
	}
	p.dialTLS(0).NetConn().Close()
	half := send(p, []byte{22, 3})
	eventually(t, "only the last is in the mux", func() bool { return telling() == 1 })
	p.Close()
	wantClosed(t, "half a hello", half)
	wantNoRefusal(t, p)
}

func TestReasonNames(t *testing.T) {
	for r := Failed; r <= WentAway; r++ {
		if s := r.String(); s == "" || s[0] == 'r' {
			t.Errorf("reason %d is called %q", int(r), s)
		}
	}
	if got := Reason(99).String(); got != "reason 99" {
		t.Errorf("reason 99 is called %q", got)
	}
}
