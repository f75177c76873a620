package relay

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// backlog is how many packets may wait for pion at one relayed socket: only those
// from peers that no channel is bound to, which are few.
const backlog = 32

// relayed is an allocation's relayed socket. In the closed world it is nothing but
// an address and a queue; with Config.LAN it has a real socket, too.
//
// Packets from a peer with a channel go straight to the client (accept); all others
// wait in the queue for pion, which checks the permission and makes a Data
// indication of them.
type relayed struct {
	hub     *hub
	client  *client
	shared  *session
	session string
	addr    netip.AddrPort
	socket  *net.UDPConn // nil in the closed world
	queue   chan waitingPacket
	done    chan struct{}
	once    sync.Once

	permitted permitted

	mu       sync.Mutex               // of those who change channels
	channels atomic.Pointer[channels] // never changed, only replaced
}

type waitingPacket struct {
	from netip.AddrPort
	buf  *buffer
	n    int // of the payload, which is at headroom
}

// channels are an allocation's channels (RFC 8656 §12).
type channels struct {
	peers   map[uint16]netip.AddrPort
	numbers map[netip.AddrPort]uint16
}

func newRelayed(h *hub, c *client, shared *session, addr netip.AddrPort, socket *net.UDPConn) *relayed {
	return &relayed{
		hub: h, client: c, shared: shared, session: shared.name, addr: addr, socket: socket,
		queue: make(chan waitingPacket, backlog), done: make(chan struct{}), permitted: make(permitted),
	}
}

// bind adds a channel.
func (r *relayed) bind(number uint16, peer netip.AddrPort) {
	r.change(func(c *channels) { c.peers[number], c.numbers[peer] = peer, number })
}

// unbind removes a channel.
func (r *relayed) unbind(number uint16) {
	r.change(func(c *channels) {
		delete(c.numbers, c.peers[number])
		delete(c.peers, number)
	})
}

func (r *relayed) change(edit func(*channels)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := &channels{peers: make(map[uint16]netip.AddrPort), numbers: make(map[netip.AddrPort]uint16)}
	if old := r.channels.Load(); old != nil {
		for number, peer := range old.peers {
			next.peers[number], next.numbers[peer] = peer, number
		}
	}
	edit(next)
	r.channels.Store(next)
}

// peer returns the peer that a channel is bound to.
func (r *relayed) peer(number uint16) (netip.AddrPort, bool) {
	c := r.channels.Load()
	if c == nil {
		return netip.AddrPort{}, false
	}
	peer, ok := c.peers[number]
	return peer, ok
}

// accept takes a packet from a peer: frame is its payload after headroom.
func (r *relayed) accept(from netip.AddrPort, frame []byte, via collector) {
	counts := &r.hub.server.counts
	if c := r.channels.Load(); c != nil {
		if number, ok := c.numbers[from]; ok {
			binary.BigEndian.PutUint16(frame, number)
			binary.BigEndian.PutUint16(frame[2:], uint16(len(frame)-headroom))
			counts.packets.Add(1)
			counts.bytes.Add(uint64(len(frame) - headroom))
			if via == nil || !via.collect(r.client, frame) {
				r.client.out.send(r.client, frame)
			}
			return
		}
	}
	buf := r.hub.server.buffers.Get().(*buffer)
	select {
	case r.queue <- waitingPacket{from: from, buf: buf, n: copy(buf[headroom:], frame[headroom:])}:
	default:
		r.hub.server.buffers.Put(buf)
		counts.dropped.Add(1)
	}
}

// ReadFrom gives pion the next packet from a peer without a channel.
func (r *relayed) ReadFrom(p []byte) (int, net.Addr, error) {
	select {
	case <-r.done: // before what still waits
	default:
		select {
		case w := <-r.queue:
			n := copy(p, w.buf[headroom:headroom+w.n])
			r.hub.server.buffers.Put(w.buf)
			r.hub.server.counts.packets.Add(1)
			r.hub.server.counts.bytes.Add(uint64(n))
			return n, net.UDPAddrFromAddrPort(w.from), nil
		case <-r.done:
		}
	}
	r.hub.server.running.Done() // pion leaves at the first error
	return 0, nil, net.ErrClosed
}

// WriteTo sends what pion took out of a Send indication.
func (r *relayed) WriteTo(p []byte, to net.Addr) (int, error) {
	if len(p) > maxPayload {
		r.hub.server.counts.dropped.Add(1)
		return len(p), nil
	}
	buf := r.hub.server.buffers.Get().(*buffer)
	defer r.hub.server.buffers.Put(buf)
	n := copy(buf[headroom:], p)
	r.send(addrPort(to), buf[:headroom+n], nil)
	return n, nil
}

// send sends a client's packet to a peer: frame is its payload after headroom.
func (r *relayed) send(to netip.AddrPort, frame []byte, via collector) {
	if !r.shared.owner.budget.allow(len(frame) - headroom) {
		r.hub.server.counts.dropped.Add(1)
		return
	}
	if !r.hub.shaper.on.Load() {
		r.carry(to, frame, via)
		return
	}
	r.hub.shaper.pass(&r.shared.links.up, frame, func(frame []byte) { r.carry(to, frame, nil) })
}

// carry brings a packet to where it goes.
func (r *relayed) carry(to netip.AddrPort, frame []byte, via collector) {
	if peer := r.hub.find(to); peer != nil {
		if !r.hub.shaper.on.Load() {
			peer.accept(r.addr, frame, via)
			return
		}
		r.hub.shaper.pass(&peer.shared.links.down, frame, func(frame []byte) { peer.accept(r.addr, frame, nil) })
		return
	}
	if r.socket == nil || !r.sendSocket(to, frame[headroom:]) {
		r.hub.server.counts.dropped.Add(1)
	}
}

// Close ends the allocation: pion, whose ReadFrom fails, deletes it.
func (r *relayed) Close() error {
	r.once.Do(func() {
		r.hub.remove(r)
		r.client.relayed.CompareAndSwap(r, nil)
		close(r.done)
		if r.socket != nil {
			r.socket.Close()
		}
		r.client.out.released(r.client)
	})
	return nil
}

// LocalAddr is the relayed address, as a *net.UDPAddr.
func (r *relayed) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(r.addr) }

// The deadlines of a net.PacketConn, which pion does not set.
func (r *relayed) SetDeadline(time.Time) error      { return nil }
func (r *relayed) SetReadDeadline(time.Time) error  { return nil }
func (r *relayed) SetWriteDeadline(time.Time) error { return nil }

// budget is a token bucket that holds one second's worth.
type budget struct {
	rate int // bytes per second; 0 is no bound

	mu     sync.Mutex
	tokens float64
	at     time.Time
}

// allow takes n bytes out, if they are there.
func (b *budget) allow(n int) bool {
	if b.rate == 0 {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if b.at.IsZero() {
		b.tokens = float64(b.rate)
	} else {
		b.tokens = min(float64(b.rate), b.tokens+now.Sub(b.at).Seconds()*float64(b.rate))
	}
	b.at = now
	if b.tokens < float64(n) {
		return false
	}
	b.tokens -= float64(n)
	return true
}
