package relay

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/pion/turn/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what should come at once.
const patience = 10 * time.Second

// world is a server with one address of each transport.
type world struct {
	*Server
	t             testing.TB
	udp, tcp, tls net.Addr
	roots         *x509.CertPool

	mu       sync.Mutex
	refusals []Refusal
	refused  chan struct{} // one token per refusal that nobody waited for yet
}

// start starts a server on loopback, which the test ends.
func start(t testing.TB, cfg Config) *world {
	t.Helper()
	w := &world{t: t, refused: make(chan struct{}, 1000)}
	cfg.OnRefused = w.note
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.Server = s
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	secure, err := tls.Listen("tcp", "127.0.0.1:0", w.certificate())
	if err != nil {
		t.Fatal(err)
	}
	w.udp, w.tcp, w.tls = udp.LocalAddr(), tcp.Addr(), secure.Addr()
	var serving sync.WaitGroup
	for _, serve := range []func() error{
		func() error { return s.ServePacket(udp) },
		func() error { return s.Serve(tcp) },
		func() error { return s.Serve(secure) },
	} {
		serving.Go(func() {
			if err := serve(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Serve returned %v", err)
			}
		})
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		serving.Wait()
		if n := s.Stats().Allocations; n != 0 {
			t.Errorf("%d allocations are left after Close", n)
		}
	})
	return w
}

func (w *world) note(r Refusal) {
	w.mu.Lock()
	w.refusals = append(w.refusals, r)
	w.mu.Unlock()
	w.refused <- struct{}{}
}

// waitRefusal waits until something was refused that is as wanted.
func (w *world) waitRefusal(wanted func(Refusal) bool) Refusal {
	w.t.Helper()
	late := time.After(patience)
	for {
		w.mu.Lock()
		for _, r := range w.refusals {
			if wanted(r) {
				w.mu.Unlock()
				return r
			}
		}
		all := w.refusals
		w.mu.Unlock()
		select {
		case <-w.refused:
		case <-late:
			w.t.Fatalf("not reported; these were: %v", all)
		}
	}
}

// certificate makes a server certificate for 127.0.0.1 that w.roots trusts.
func (w *world) certificate() *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		w.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		w.t.Fatal(err)
	}
	w.roots = x509.NewCertPool()
	w.roots.AddCert(leaf)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// peer is pion's TURN client with one allocation.
type peer struct {
	*turn.Client
	t       testing.TB
	server  net.Addr
	control net.PacketConn
	relay   net.PacketConn
}

// dial connects over "udp", "tcp" or "tls".
func (w *world) dial(transport string) (net.PacketConn, net.Addr) {
	w.t.Helper()
	var conn net.Conn
	var err error
	addr := w.tcp
	switch transport {
	case "udp":
		pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			w.t.Fatal(err)
		}
		return pc, w.udp
	case "tcp":
		conn, err = net.Dial("tcp", w.tcp.String())
	case "tls":
		addr = w.tls
		conn, err = tls.Dial("tcp", w.tls.String(), &tls.Config{RootCAs: w.roots})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return turn.NewSTUNConn(conn), addr
}

// client connects a client that the test closes, and makes no allocation.
func (w *world) client(transport string, credentials Credentials) *peer {
	w.t.Helper()
	control, server := w.dial(transport)
	c, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: server.String(), TURNServerAddr: server.String(), Conn: control,
		Username: credentials.Username, Password: credentials.Password, Realm: Realm, LoggerFactory: silence{},
		RTO: time.Second,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := c.Listen(); err != nil {
		w.t.Fatal(err)
	}
	p := &peer{Client: c, t: w.t, server: server, control: control}
	w.t.Cleanup(p.close)
	return p
}

func (p *peer) close() {
	if p.relay != nil {
		_ = p.relay.Close()
	}
	p.Client.Close()
	_ = p.control.Close()
}

// allocated connects a client and makes an allocation.
func (w *world) allocated(transport, session string) *peer {
	w.t.Helper()
	p := w.client(transport, w.Credentials(session))
	relay, err := p.Allocate()
	if err != nil {
		w.t.Fatalf("allocating over %s: %v", transport, err)
	}
	p.relay = relay
	return p
}

func (p *peer) addr() net.Addr { return p.relay.LocalAddr() }

// permit allows other to send to p.
func (p *peer) permit(other *peer) {
	p.t.Helper()
	if err := p.CreatePermission(other.addr()); err != nil {
		p.t.Fatal(err)
	}
}

// sendTo sends until other has it, because UDP may lose it, and returns who other says
// sent it.
func (p *peer) sendTo(other *peer, text string) net.Addr {
	p.t.Helper()
	got := make(chan net.Addr, 1)
	go func() {
		defer close(got)
		buf := make([]byte, 2000)
		_ = other.relay.SetReadDeadline(time.Now().Add(patience))
		for {
			n, from, err := other.relay.ReadFrom(buf)
			if err != nil {
				return
			}
			if string(buf[:n]) == text {
				got <- from
				return
			}
		}
	}()
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for {
		if _, err := p.relay.WriteTo([]byte(text), other.addr()); err != nil {
			p.t.Fatal(err)
		}
		select {
		case from := <-got:
			if from == nil {
				p.t.Fatalf("%q did not arrive", text)
			}
			return from
		case <-again.C:
		}
	}
}
