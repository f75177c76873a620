package portmux

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// patience is the default of Config.Patience.
const patience = 10 * time.Second

// The first bytes that tell the kinds apart: RFC 8446 §5.1 (ContentType handshake)
// and RFC 7983 §7 (STUN is 0 to 3).
const (
	tlsHandshake = 22
	stunBelow    = 4
)

// The ALPN protocols of STUN and TURN over TLS (RFC 7443 §3).
const (
	alpnTURN = "stun.turn"
	alpnSTUN = "stun.nat-discovery"
)

// alpnACME is what an ACME authority negotiates to see the certificate of a TLS-ALPN-01
// check, and nothing else (RFC 8737 §3).
const alpnACME = "acme-tls/1"

// Config is how a [Mux] treats connections. Hooks are called on the goroutines of
// connections, several at a time, and must return soon: Close waits for them, so
// they must not call it.
type Config struct {
	// TLS must be set, with a certificate or GetCertificate. The mux works with a
	// copy, whose NextProtos begin with h2 and http/1.1 and end with RFC 7443's. Who
	// negotiates RFC 8737's "acme-tls/1", if that is among them, is nobody's.
	TLS *tls.Config
	// Patience is how long a connection may take, in all, until a consumer has it;
	// default 10 s.
	Patience time.Duration
	// Admit, if set, is asked about every connection before anything is spent on
	// it. When it says no, the connection is closed, and Gone is not called.
	Admit func(net.Conn) bool
	// Gone, if set, hears of every admitted connection that the mux has closed.
	// One that was handed over is its consumer's to count: see [Accepted].
	Gone func(net.Conn)
	// OnRefused, if set, hears of every TLS handshake that failed, except for those
	// that Close ended.
	OnRefused func(Refusal)
}

// Mux tells apart what comes in on one port. See the package comment.
type Mux struct {
	cfg                 Config
	tls                 *tls.Config
	listeners           []net.Listener
	https, plain, relay *listener

	running sync.WaitGroup
	done    chan struct{} // closed when the mux is

	mu      sync.Mutex
	closed  bool
	telling map[*conn]struct{} // being told apart: Close closes them
}

// New returns a mux for connections of listeners, of which there is at least one;
// it closes them in the end. Nothing is accepted before [Mux.Serve].
func New(listeners []net.Listener, cfg Config) *Mux {
	cfg.Patience = cmp.Or(cfg.Patience, patience)
	addr := listeners[0].Addr()
	return &Mux{
		cfg: cfg, tls: muxTLS(cfg.TLS), listeners: listeners,
		https: newListener(addr), plain: newListener(addr), relay: newListener(addr),
		done: make(chan struct{}), telling: make(map[*conn]struct{}),
	}
}

// muxTLS is a copy of conf that negotiates the protocols of all consumers, and
// notes who could be given no certificate.
func muxTLS(conf *tls.Config) *tls.Config {
	conf = conf.Clone()
	protocols := []string{"h2", "http/1.1"}
	for _, p := range append(slices.Clone(conf.NextProtos), alpnTURN, alpnSTUN) {
		if !slices.Contains(protocols, p) {
			protocols = append(protocols, p)
		}
	}
	conf.NextProtos = protocols
	if get := conf.GetCertificate; get != nil {
		others := len(conf.Certificates) > 0 // used where GetCertificate gives none
		conf.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			cert, err := get(hello)
			isCheck := slices.Equal(hello.SupportedProtos, []string{alpnACME}) // of nobody who wants a page
			if !isCheck && (err != nil || cert == nil && !others) {
				noteNoCertificate(hello.Context())
			}
			return cert, err
		}
	}
	return conf
}

// HTTPS returns the listener for clients that do HTTP over TLS. Its connections are
// *tls.Conn or *[TLSConn]: see the package comment for what a server must do.
func (m *Mux) HTTPS() net.Listener { return m.https.take() }

// Plain returns the listener for clients that begin with neither TLS nor STUN.
func (m *Mux) Plain() net.Listener { return m.plain.take() }

// Relay returns the listener for STUN and TURN, over TCP and over TLS.
func (m *Mux) Relay() net.Listener { return m.relay.take() }

// Serve accepts connections until Close, and then returns [net.ErrClosed], or until
// a listener fails: then it closes the mux and returns that listener's error.
// Take the listeners before: see [Mux.HTTPS], [Mux.Plain] and [Mux.Relay].
func (m *Mux) Serve() error {
	failed := make(chan error, len(m.listeners))
	for _, l := range m.listeners {
		if !m.start(nil, func() { failed <- m.acceptFrom(l) }) {
			return net.ErrClosed
		}
	}
	err := <-failed
	m.Close()
	return err
}

// Close closes the port and every connection that was still being told apart, and
// makes the listeners' Accept return [net.ErrClosed]. When it returns, no goroutine
// of the mux is left. Connections that were handed over stay open.
func (m *Mux) Close() {
	m.mu.Lock()
	if !m.closed {
		m.closed = true
		close(m.done)
	}
	for c := range m.telling {
		c.Close()
	}
	m.mu.Unlock()
	for _, l := range m.listeners {
		l.Close()
	}
	for _, l := range []*listener{m.https, m.plain, m.relay} {
		l.Close()
	}
	m.running.Wait()
}

// start runs f on a goroutine that Close waits for, with a connection that Close
// closes unless that is nil. Once the mux is closed, it does not and returns false.
func (m *Mux) start(c *conn, f func()) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	if c != nil {
		m.telling[c] = struct{}{}
	}
	m.running.Go(f)
	return true
}

func (m *Mux) isClosed() bool {
	select {
	case <-m.done:
		return true
	default:
		return false
	}
}

// acceptFrom hands each new connection to a goroutine, until l is closed or fails. As
// net/http does, it waits while the system says that it is out of something.
func (m *Mux) acceptFrom(l net.Listener) error {
	const first, longest = 5 * time.Millisecond, time.Second
	delay := first
	for {
		accepted, err := l.Accept()
		if err == nil {
			delay = first
			m.welcome(accepted)
			continue
		}
		if m.isClosed() {
			return net.ErrClosed
		}
		var passing interface{ Temporary() bool } // EMFILE, ENFILE
		if !errors.As(err, &passing) || !passing.Temporary() {
			return fmt.Errorf("accepting on %s: %w", l.Addr(), err)
		}
		select {
		case <-time.After(delay):
		case <-m.done:
			return net.ErrClosed
		}
		delay = min(2*delay, longest)
	}
}

func (m *Mux) welcome(accepted net.Conn) {
	c := &conn{Conn: accepted}
	if m.cfg.Admit != nil && !m.cfg.Admit(c) {
		c.Close()
		return
	}
	if !m.start(c, func() { m.handOver(c) }) {
		m.drop(c)
	}
}

// handOver gives the connection to the consumer that its first bytes ask for, or
// closes it.
func (m *Mux) handOver(c *conn) {
	deadline := time.Now().Add(m.cfg.Patience)
	_ = c.SetDeadline(deadline) // what fails here, fails again in Read
	kind, conn := m.tell(c)
	if kind != nil {
		_ = c.SetDeadline(time.Time{})
	}
	m.mu.Lock()
	delete(m.telling, c) // from here on it is the consumer's, or closed below
	m.mu.Unlock()
	if kind == nil || !kind.offer(conn, deadline) {
		m.drop(c)
	}
}

// drop closes without TLS's close_notify, which could block.
func (m *Mux) drop(c *conn) {
	c.Close()
	if m.cfg.Gone != nil {
		m.cfg.Gone(c)
	}
}

// tell returns whose connection it is, and in which form; nil when it is nobody's.
func (m *Mux) tell(c *conn) (*listener, net.Conn) {
	b := new(beginning)
	first, err := b.first.readFrom(c.Conn)
	if err != nil {
		return nil, nil
	}
	c.begin.Store(b)
	switch {
	case first == tlsHandshake:
		return m.tellTLS(c, b)
	case first < stunBelow:
		return m.relay, c
	}
	return m.plain, c
}

func (m *Mux) tellTLS(c *conn, b *beginning) (*listener, net.Conn) {
	secure := tls.Server(c, m.tls)
	b.handshake = true
	if err := secure.HandshakeContext(b.context()); err != nil {
		reason, alert := b.reasonOf(err)
		m.refused(secure, reason, alert, err)
		return nil, nil
	}
	c.begin.Store(nil)
	switch secure.ConnectionState().NegotiatedProtocol {
	case alpnTURN, alpnSTUN:
		return m.relay, secure
	case alpnACME:
		return nil, nil
	case "":
		return m.tellInside(secure)
	}
	return m.https, secure
}

// tellInside is for a client without ALPN.
func (m *Mux) tellInside(secure *tls.Conn) (*listener, net.Conn) {
	c := &TLSConn{Conn: secure}
	first, err := c.first.readFrom(secure)
	switch {
	case err != nil:
		if alert := alertOf(err); alert != 0 { // with TLS 1.3, later than others do
			m.refused(secure, reasonOfAlert(alert), alert, err)
		}
		return nil, nil
	case first < stunBelow:
		return m.relay, c
	}
	return m.https, c
}

func (m *Mux) refused(secure *tls.Conn, reason Reason, alert tls.AlertError, err error) {
	if m.cfg.OnRefused == nil || m.isClosed() {
		return
	}
	m.cfg.OnRefused(Refusal{
		Remote: secure.RemoteAddr(), Local: secure.LocalAddr(), ServerName: secure.ConnectionState().ServerName,
		Reason: reason, Alert: alert, Err: err,
	})
}
