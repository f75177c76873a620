package relay

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/pion/turn/v5"
)

var (
	errFull      = errors.New("too many allocations")
	errClosed    = errors.New("the relay is closed")
	errTCP       = errors.New("TCP is not relayed")
	errGone      = errors.New("the client is gone")
	errNoAddress = errors.New("no relayed address is free")
)

// silent is how long nothing must have come from a client before its allocation
// gives way to a new one when a quota is reached. It is well above the 5 s in which
// a call that uses the relay checks for consent (RFC 7675 §5.1).
const silent = 15 * time.Second

// hub holds the relayed sockets of all transports and carries packets between them.
type hub struct {
	server *Server
	shaper shaper

	mu       sync.RWMutex
	closed   bool
	sockets  map[netip.AddrPort]*relayed
	sessions map[string]*session
	owners   map[string]*owner
	clients  map[netip.Addr]int // how many allocations each IP address has
	next     uint32             // the next relayed address to try
}

// session is what the allocations of one session share.
type session struct {
	name  string
	count int // of allocations; guarded by hub.mu
	owner *owner
	links links
}

// owner is what the sessions with the same beginning of their name share: see
// [Server.Credentials].
type owner struct {
	name   string
	count  int // of allocations; guarded by hub.mu
	budget budget
}

// ownerOf is the part of a session's name that quotas go by.
func ownerOf(session string) string {
	name, _, _ := strings.Cut(session, ".")
	return name
}

func newHub(s *Server) *hub {
	h := &hub{
		server: s, sockets: make(map[netip.AddrPort]*relayed), sessions: make(map[string]*session),
		owners: make(map[string]*owner), clients: make(map[netip.Addr]int),
		next: rand.Uint32N(closedWorldSize),
	}
	h.shaper.hub = h
	h.shaper.earlier = make(chan struct{}, 1)
	return h
}

func (h *hub) find(addr netip.AddrPort) *relayed {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.sockets[addr]
}

func (h *hub) count() int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return len(h.sockets)
}

// quotas says which quotas leave no room for one more allocation.
type quotas struct{ ofOwner, ofAddress, ofAll bool }

// full returns the quotas that are reached for a session and a client; h.mu is held.
func (h *hub) full(session string, client netip.Addr) (q quotas) {
	if o := h.owners[ownerOf(session)]; o != nil {
		q.ofOwner = o.count >= h.server.cfg.PerSession
	}
	q.ofAddress = h.clients[client] >= h.server.cfg.PerAddress
	q.ofAll = len(h.sockets) >= h.server.cfg.Total
	return q
}

// makeRoom says whether the session can have one more allocation for a client. Where a
// quota is reached, the allocation that has been silent for longest goes, of those that
// count for that quota; for two quotas it is one that counts for both. So whoever
// reloads a page is never locked out by what the page left behind.
func (h *hub) makeRoom(session string, client netip.Addr) bool {
	h.mu.RLock()
	full := h.full(session, client)
	var oldest *relayed
	heard := time.Now().Add(-silent).UnixNano()
	for _, r := range h.sockets {
		if full == (quotas{}) {
			break
		}
		counts := (!full.ofOwner || r.shared.owner.name == ownerOf(session)) &&
			(!full.ofAddress || r.client.addr.Addr() == client)
		if at := r.client.heard.Load(); counts && at <= heard {
			oldest, heard = r, at
		}
	}
	h.mu.RUnlock()
	if oldest != nil {
		_ = oldest.Close()
		return true
	}
	return full == (quotas{})
}

// add makes a relayed socket for c. It is pion's to read from, once it exists.
func (h *hub) add(c *client, name string, v6 bool) (*relayed, error) {
	var socket *net.UDPConn
	if lan := h.server.cfg.LAN; lan.IsValid() {
		var err error
		if socket, err = listenLAN(lan, v6); err != nil {
			return nil, err
		}
	}
	r, err := h.insert(c, name, v6, socket)
	if err != nil {
		if socket != nil {
			socket.Close()
		}
		return nil, err
	}
	c.relayed.Store(r)
	if c.gone.Load() { // it went in between, and did not see r
		_ = r.Close()
	}
	return r, nil
}

func (h *hub) insert(c *client, name string, v6 bool, socket *net.UDPConn) (*relayed, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, errClosed
	}
	if h.full(name, c.addr.Addr()) != (quotas{}) {
		return nil, errFull
	}
	var addr netip.AddrPort
	if socket != nil {
		addr = addrPort(socket.LocalAddr())
	} else if addr = h.freeAddress(v6); !addr.IsValid() {
		return nil, errNoAddress
	}
	shared := h.sessions[name]
	if shared == nil {
		shared = &session{name: name, owner: h.owners[ownerOf(name)]}
		if shared.owner == nil {
			shared.owner = &owner{name: ownerOf(name), budget: budget{rate: h.server.cfg.BytesPerSecond}}
			h.owners[shared.owner.name] = shared.owner
		}
		h.shaper.apply(shared)
		h.sessions[name] = shared
	}
	shared.count++
	shared.owner.count++
	h.clients[c.addr.Addr()]++
	r := newRelayed(h, c, shared, addr, socket)
	h.sockets[addr] = r
	h.server.running.Add(1) // until pion has left it
	if socket != nil {
		h.server.running.Go(r.readSocket)
	}
	return r, nil
}

// freeAddress is a closed-world address that no relayed socket has; h.mu is held.
func (h *hub) freeAddress(v6 bool) netip.AddrPort {
	for range closedWorldSize {
		h.next = (h.next + 1) % closedWorldSize
		addr := netip.AddrPortFrom(closedWorldAddr(h.next, v6), relayedPort)
		if h.sockets[addr] == nil {
			return addr
		}
	}
	return netip.AddrPort{}
}

// remove takes r out.
func (h *hub) remove(r *relayed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sockets[r.addr] != r {
		return
	}
	delete(h.sockets, r.addr)
	address := r.client.addr.Addr()
	if h.clients[address]--; h.clients[address] == 0 {
		delete(h.clients, address)
	}
	if r.shared.count--; r.shared.count == 0 {
		delete(h.sessions, r.session)
	}
	if o := r.shared.owner; o.count > 1 {
		o.count--
	} else {
		delete(h.owners, o.name)
	}
}

// close ends all allocations, and lets no new one be.
func (h *hub) close() {
	h.mu.Lock()
	h.closed = true
	all := make([]*relayed, 0, len(h.sockets))
	for _, r := range h.sockets {
		all = append(all, r)
	}
	h.mu.Unlock()
	for _, r := range all {
		_ = r.Close()
	}
}

// reaches says whether relayed sockets may send to an address.
func (h *hub) reaches(a netip.Addr) bool {
	if h.server.cfg.LAN.IsValid() {
		return h.reachesLAN(a)
	}
	return closedWorld(a)
}

// generator is pion's way to relayed sockets, for the transport's current message.
type generator struct{ front *front }

// Validate has nothing to check.
func (g generator) Validate() error { return nil }

// AllocatePacketConn makes a relayed socket.
func (g generator) AllocatePacketConn(conf turn.AllocateListenerConfig) (net.PacketConn, net.Addr, error) {
	c := g.front.current.client
	if conf.Realm == "" { // pion looks for an even port, and closes this again
		even := net.UDPAddrFromAddrPort(netip.AddrPortFrom(closedWorldAddr(0, false), relayedPort))
		return probe{}, even, nil
	}
	if !g.front.remember(c) {
		return nil, nil, fmt.Errorf("%s: %w", c.addr, errGone)
	}
	r, err := g.front.server.hub.add(c, conf.UserID, conf.Network == "udp6")
	if err != nil {
		return nil, nil, fmt.Errorf("making a relayed socket for %s: %w", c.addr, err)
	}
	return r, r.LocalAddr(), nil
}

// probe is a socket that is only closed.
type probe struct{ net.PacketConn }

func (probe) Close() error { return nil }

// AllocateListener refuses.
func (g generator) AllocateListener(turn.AllocateListenerConfig) (net.Listener, net.Addr, error) {
	return nil, nil, errTCP
}

// AllocateConn refuses.
func (g generator) AllocateConn(turn.AllocateConnConfig) (net.Conn, error) { return nil, errTCP }
