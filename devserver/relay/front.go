package relay

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"
)

const (
	// headroom is a ChannelData header (RFC 8656 §12.4): every packet inside the
	// relay has room for one in front.
	headroom = 4
	// maxPayload is the largest packet that is relayed: pion's limit. A page's
	// packets fit an Ethernet frame.
	maxPayload = 1600
	// maxFrame is the largest message of a client that is read.
	maxFrame = 2048
	// waiting is how many STUN messages may wait for pion, of all clients.
	waiting = 256
)

// buffer holds one packet inside the relay.
type buffer [maxFrame]byte

// client is who has a 5-tuple with us (RFC 8656 §3.2).
type client struct {
	front *front
	addr  netip.AddrPort
	net   net.Addr // the same for pion: *net.UDPAddr or *net.TCPAddr
	out   outlet
	// heard is when the last packet came, in Unix nanoseconds.
	heard   atomic.Int64
	gone    atomic.Bool // the connection is closed
	relayed atomic.Pointer[relayed]
}

// outlet sends to clients.
type outlet interface {
	// send sends one message, or drops it. A ChannelData message comes unpadded.
	send(to *client, message []byte)
	// released is told when the client's allocation has ended.
	released(of *client)
}

// collector sends later, with others, what is sent while datagrams are handled.
type collector interface {
	// collect keeps a message without copying it, or returns false.
	collect(to *client, message []byte) bool
}

// front stands between the sockets of one transport and pion: it relays ChannelData
// itself and lets pion have the STUN messages that pass screen. To pion it is the
// net.PacketConn, so that pion has one goroutine and one set of 5-tuples for it.
type front struct {
	server *Server
	kind   string // "udp" or "tcp"
	queue  chan message
	// current is the message that pion is working on. pion takes the next one
	// only when it is done with that, so that its callbacks, which do not say whose
	// message it is, can look here. Only pion's goroutine may.
	current message

	once sync.Once
	done chan struct{} // closed by close
	left chan struct{} // closed when pion has heard of it

	mu      sync.RWMutex
	clients map[netip.AddrPort]*client
}

// message is a STUN message of a client, for pion.
type message struct {
	client *client
	id     transactionID
	raw    []byte
}

func newFront(s *Server, kind string) *front {
	return &front{
		server: s, kind: kind, queue: make(chan message, waiting),
		done: make(chan struct{}), left: make(chan struct{}), clients: make(map[netip.AddrPort]*client),
	}
}

// startPion has pion serve t, which is this front with its sockets.
func (f *front) startPion(t transport) error {
	_, err := turn.NewServer(turn.ServerConfig{
		Realm:         Realm,
		LoggerFactory: silence{},
		AuthHandler:   f.authenticate,
		QuotaHandler: func(session, _ string, client net.Addr) bool {
			return f.server.hub.makeRoom(session, addrPort(client).Addr()) || f.refuse(Refusal{Reason: QuotaReached, Session: session})
		},
		EventHandler:       f.events(),
		AllocationLifetime: f.server.cfg.Lifetime,
		PermissionTimeout:  permissionLifetime,
		// Without this a client over IPv6 would get an IPv6 relayed address unasked,
		// and could not reach one that came over IPv4.
		StrictAddressFamily: true,
		InboundMTU:          maxFrame + 1,
		PacketConnConfigs: []turn.PacketConnConfig{{
			PacketConn: t, RelayAddressGenerator: generator{f}, PermissionHandler: f.permit,
		}},
	})
	return err
}

func (f *front) events() turn.EventHandler {
	return turn.EventHandler{
		OnAuth: func(_, _ net.Addr, _, username, _, _ string, ok bool) {
			if ok {
				f.server.replays.note(f.current.id, f.owner())
				return
			}
			_, session, _ := parseUsername(username)
			f.refuse(Refusal{Reason: BadCredentials, Session: session})
		},
		OnChannelCreated: func(_, _ net.Addr, _, _, _ string, own, peer net.Addr, number uint16) {
			if r := f.server.hub.find(addrPort(own)); r != nil {
				r.bind(number, addrPort(peer))
			}
		},
		OnChannelDeleted: func(_, _ net.Addr, _, _, _ string, own, _ net.Addr, number uint16) {
			if r := f.server.hub.find(addrPort(own)); r != nil {
				r.unbind(number)
			}
		},
	}
}

// permit is pion's PermissionHandler.
func (f *front) permit(_ net.Addr, peer net.IP) bool {
	addr, _ := netip.AddrFromSlice(peer)
	if !f.server.hub.reaches(addr) {
		return f.refuse(Refusal{Reason: ForeignAddress, Peer: netip.AddrPortFrom(addr, 0)})
	}
	if r := f.current.client.relayed.Load(); r != nil {
		r.permitted[addr] = time.Now()
	}
	return true
}

// refuse reports about the current message. It returns false.
func (f *front) refuse(r Refusal) bool { return f.current.client.refuse(r) }

// refuse reports what c was refused. It returns false.
func (c *client) refuse(r Refusal) bool {
	r.Client, r.Transport = c.addr, c.front.kind
	if held := c.relayed.Load(); held != nil && r.Session == "" {
		r.Session = held.session
	}
	c.front.server.counts.refused.Add(1)
	c.front.server.reporter.report(r)
	return false
}

// owner names the current message's sender.
func (f *front) owner() fiveTuple { return fiveTuple{front: f, addr: f.current.client.addr} }

// find returns the client with an allocation or a connection, or nil.
func (f *front) find(addr netip.AddrPort) *client {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.clients[addr]
}

// remember makes find find c. It returns false if there is another one already.
func (f *front) remember(c *client) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if other := f.clients[c.addr]; other != nil && other != c {
		return false
	}
	f.clients[c.addr] = c
	return true
}

// forget undoes remember.
func (f *front) forget(c *client) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.clients[c.addr] == c {
		delete(f.clients, c.addr)
	}
}

// close lets pion go. The sockets are the transport's to close.
func (f *front) close() { f.once.Do(func() { close(f.done) }) }

// ReadFrom gives pion the next message.
func (f *front) ReadFrom(p []byte) (int, net.Addr, error) {
	select {
	case <-f.done: // before what still waits
	default:
		if f.next() {
			return copy(p, f.current.raw), f.current.client.net, nil
		}
	}
	close(f.left) // pion stops at the first error
	return 0, nil, net.ErrClosed
}

// next makes the next message for pion the current one. It returns false once closed.
func (f *front) next() bool {
	for {
		select {
		case f.current = <-f.queue:
			if f.hasRoom() {
				return true
			}
		case <-f.done:
			return false
		}
	}
}

// Close, and the rest of what a net.PacketConn must have; pion calls none of it.
func (f *front) Close() error                     { f.close(); return nil }
func (f *front) SetDeadline(time.Time) error      { return nil }
func (f *front) SetReadDeadline(time.Time) error  { return nil }
func (f *front) SetWriteDeadline(time.Time) error { return nil }

// addrPort is the address and port of a *net.UDPAddr or *net.TCPAddr, of IPv4 where
// it is mapped into IPv6; of anything else it is the zero AddrPort.
func addrPort(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.UDPAddr:
		ap = a.AddrPort()
	case *net.TCPAddr:
		ap = a.AddrPort()
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// silence is where pion logs to: what matters is reported as Refusal.
type silence struct{}

func (silence) NewLogger(string) logging.LeveledLogger { return silence{} }
func (silence) Trace(string)                           {}
func (silence) Tracef(string, ...any)                  {}
func (silence) Debug(string)                           {}
func (silence) Debugf(string, ...any)                  {}
func (silence) Info(string)                            {}
func (silence) Infof(string, ...any)                   {}
func (silence) Warn(string)                            {}
func (silence) Warnf(string, ...any)                   {}
func (silence) Error(string)                           {}
func (silence) Errorf(string, ...any)                  {}
