package devserver

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"rtcdev/devserver/lan"
	"rtcdev/devserver/portmux"
	"rtcdev/devserver/relay"
)

// turn is the relay on the server's port: over UDP on sockets of its own, over TCP and TLS on
// connections of the mux.
//
// There is a socket for each address. One for all of them would answer from the address that
// the system likes best, and browsers drop what comes from another one than they asked.
type turn struct {
	cfg    *Config
	server *relay.Server
	own    []netip.AddrPort // where the listeners are
	// follows tells that addresses come and go: the listener is for all.
	follows bool
	list    func() map[netip.Addr]bool // t.addresses

	running sync.WaitGroup // of sockets
	mu      sync.Mutex
	closed  bool
	sockets map[netip.Addr]net.PacketConn
	without map[netip.Addr]bool // addresses whose UDP port another program has
	missed  int                 // how often in a row an address could not be opened yet
	again   *time.Timer         // looks again then
	lan     netip.Addr          // where relayed sockets are real ones; told to be gone if not valid
}

// mostMissed is how often it is tried to open a new address: an IPv6 one can be used only
// after about a second, when nobody else has been found to have it (RFC 4862 §5.4).
const mostMissed = 4

// openRelay makes the relay, and the bad network in it as Config.Impair says.
func openRelay(cfg *Config, listeners []net.Listener, tell func(Event)) (*turn, *badNetwork, error) {
	var t *turn
	if !cfg.NoTURN {
		var err error
		if t, err = newTURN(cfg, listeners); err != nil {
			return nil, nil, err
		}
	}
	bad, err := newBadNetwork(cfg, t.relay(), tell)
	if err != nil {
		return nil, nil, errors.Join(err, t.close())
	}
	cfg.Control.set(bad)
	return t, bad, nil
}

// newTURN makes the relay. It is reached over UDP after look.
func newTURN(cfg *Config, listeners []net.Listener) (*turn, error) {
	t := &turn{
		cfg: cfg, follows: listensOn(listeners[0]).IsUnspecified(),
		sockets: make(map[netip.Addr]net.PacketConn), without: make(map[netip.Addr]bool),
	}
	t.list = t.addresses
	for _, l := range listeners {
		t.own = append(t.own, l.Addr().(*net.TCPAddr).AddrPort())
	}
	lanAddress, err := turnAddress(cfg, listensOn(listeners[0]))
	if err != nil {
		return nil, err
	}
	t.lan = lanAddress
	t.server, err = relay.New(relay.Config{
		LAN: lanAddress,
		OnRefused: func(r relay.Refusal) {
			cfg.Log.Debug("the relay refused", "what", r.String())
		},
	})
	if err != nil {
		return nil, fmt.Errorf("making the relay: %w", err)
	}
	return t, nil
}

// turnAddress is where relayed sockets are real ones; not valid in the closed world.
func turnAddress(cfg *Config, own netip.Addr) (netip.Addr, error) {
	if !cfg.TURNLAN {
		return netip.Addr{}, nil
	}
	known, err := lan.Addresses()
	if err != nil {
		return netip.Addr{}, fmt.Errorf("looking for an address for the relay: %w", err)
	}
	for _, a := range known {
		if !a.Public && a.IP.Is4() && (a.IP == own || own.IsUnspecified()) {
			return a.IP, nil
		}
	}
	return netip.Addr{}, noPrivateAddress()
}

// look opens sockets for the addresses that the machine has now, and closes those for
// addresses that it no longer has. Where another program has the UDP port, calls are
// relayed over TCP: it returns what is to be told of that.
func (t *turn) look() (told []Event) {
	if t == nil {
		return nil
	}
	wanted := t.list()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	for address, conn := range t.sockets {
		if !wanted[address] {
			delete(t.sockets, address)
			conn.Close() // ends its serving
		}
	}
	missed := false
	for address := range wanted {
		if t.sockets[address] != nil {
			continue
		}
		err := t.open(address)
		switch {
		case err == nil:
		case !isTaken(err):
			missed = true
		case !t.without[address]:
			t.without[address] = true
			told = append(told, TCPOnly{Event: "tcp-only", Address: t.at(address)})
		}
	}
	t.lookAgain(missed)
	if t.lan.IsValid() && !wanted[t.lan] {
		told = append(told, RelayLost{Event: "relay-lost", Address: t.lan.String()})
		t.lan = netip.Addr{}
	}
	return told
}

// lookAgain has an address that could not be opened tried again, in 1, 2, 4 and 8 s. It needs
// t.mu.
func (t *turn) lookAgain(missed bool) {
	if !missed {
		t.missed = 0
		return
	}
	if t.missed < mostMissed {
		t.again = time.AfterFunc(time.Second<<t.missed, func() { t.look() })
		t.missed++
	}
}

func (t *turn) at(address netip.Addr) string {
	return netip.AddrPortFrom(address, t.own[0].Port()).String()
}

// open opens a socket. It needs t.mu.
func (t *turn) open(address netip.Addr) error {
	conn, err := net.ListenPacket("udp", t.at(address))
	if err != nil {
		t.cfg.Log.Debug("opening a socket for the relay", "address", t.at(address), "error", err)
		return err
	}
	t.sockets[address] = conn
	t.running.Go(func() {
		if err := t.server.ServePacket(conn); !errors.Is(err, net.ErrClosed) {
			t.cfg.Log.Warn("relaying over UDP has ended", "address", t.at(address), "error", err)
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.sockets[address] == conn { // it ended by itself: the next look opens another
			delete(t.sockets, address)
		}
	})
	return nil
}

// addresses are those that the listeners answer on.
func (t *turn) addresses() map[netip.Addr]bool {
	all := make(map[netip.Addr]bool)
	for _, own := range t.own {
		all[own.Addr().Unmap()] = true
	}
	if !t.follows {
		return all
	}
	onlyIPv4 := t.own[0].Addr().Is4()
	clear(all)
	interfaces, _ := net.Interfaces() // without them there is TCP
	for _, i := range interfaces {
		addrs, _ := i.Addrs()
		for _, a := range addrs {
			prefix, err := netip.ParsePrefix(a.String())
			if err != nil || onlyIPv4 && !prefix.Addr().Is4() {
				continue
			}
			address := prefix.Addr().Unmap()
			if address.IsLinkLocalUnicast() && address.Is6() {
				address = address.WithZone(i.Name)
			}
			all[address] = true
		}
	}
	return all
}

// serve serves the connections of the mux until close.
func (t *turn) serve(streams net.Listener, crowd *crowd) error {
	return t.server.Serve(&relayed{streams, crowd})
}

func (t *turn) relay() *relay.Server {
	if t == nil {
		return nil
	}
	return t.server
}

func (t *turn) close() error {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	t.closed = true
	if t.again != nil {
		t.again.Stop()
	}
	t.mu.Unlock()
	err := t.server.Close()
	t.running.Wait()
	return err
}

// relayed has the crowd count the relay's connections until they end.
type relayed struct {
	net.Listener
	crowd *crowd
}

func (l *relayed) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.crowd.count(portmux.Accepted(conn), func(v *visitor) {
		v.asked = true
		v.busy++
	})
	return &relayedConn{conn, l.crowd}, nil
}

type relayedConn struct {
	net.Conn
	crowd *crowd
}

// NetConn is the connection below TLS. The relay closes that one to hang up: closing TLS
// would wait for a client that does not read.
func (c *relayedConn) NetConn() net.Conn { return &relayedConn{portmux.Accepted(c.Conn), c.crowd} }

func (c *relayedConn) Close() error {
	c.crowd.gone(portmux.Accepted(c.Conn))
	return c.Conn.Close()
}
