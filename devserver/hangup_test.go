package devserver

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rtcdev/devserver/relay"
)

// handed is a listener for connections that a test hands over.
type handed struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (h *handed) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

func (h *handed) Close() error { h.once.Do(func() { close(h.done) }); return nil }
func (*handed) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8443} }

// from is one end of a pipe, with the address of a client.
type from struct {
	net.Conn
	port int
}

func (f *from) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: f.port} }

// The relay hangs up at once on TLS clients that do not read, and the crowd no longer
// counts them.
func TestHangUpDoesNotWait(t *testing.T) {
	https := httptest.NewTLSServer(nil) // for its certificate
	https.Close()
	conf := &tls.Config{Certificates: https.TLS.Certificates}
	roots := x509.NewCertPool()
	roots.AddCert(https.Certificate())
	trusting := &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", Time: func() time.Time { return https.Certificate().NotBefore.Add(time.Hour) }}
	synctest.Test(t, func(t *testing.T) {
		server, err := relay.New(relay.Config{})
		if err != nil {
			t.Fatal(err)
		}
		crowd := newCrowd(Limits{})
		defer crowd.close()
		l := &handed{conns: make(chan net.Conn), done: make(chan struct{})}
		served := make(chan error)
		go func() { served <- (&turn{server: server}).serve(l, crowd) }()
		const clients = 3
		for n := range clients {
			ours, theirs := net.Pipe()
			defer ours.Close()
			conn := &from{theirs, 40000 + n}
			if !crowd.admit(conn) {
				t.Fatal("the crowd is full")
			}
			secure := tls.Server(conn, conf)
			go secure.Handshake()
			if err := tls.Client(ours, trusting).Handshake(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			l.conns <- secure
		}
		synctest.Wait()
		if n := crowd.counted(); n != clients {
			t.Errorf("the crowd counts %d", n)
		}
		begin := time.Now()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		<-served
		if took := time.Since(begin); took != 0 {
			t.Errorf("it took %s", took)
		}
		if n := crowd.counted(); n != 0 {
			t.Errorf("the crowd counts %d, who are gone", n)
		}
	})
}

func (c *crowd) counted() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.conns)
}
