package relay

import (
	"encoding/binary"
	"net/netip"
	"sync"

	"github.com/pion/stun/v4"
)

// What pion keeps to itself (RFC 8656 §18.7, RFC 5766 §14.7).
const protocolTCP = 6

type transactionID = [stun.TransactionIDSize]byte

// isChannelData tells ChannelData (RFC 8656 §12.4) from STUN by its first two bits.
func isChannelData(p []byte) bool { return len(p) >= headroom && p[0]>>6 == 1 }

// handle takes a message of c. If it is for pion, handle returns a copy; else it is
// done with, but raw may be in via.
func (f *front) handle(c *client, raw []byte, via collector) (m message, forPion bool) {
	if isChannelData(raw) {
		f.channelData(c, raw, via)
		return message{}, false
	}
	parsed := &stun.Message{Raw: raw}
	if !stun.IsMessage(raw) || parsed.Decode() != nil || !f.screen(c, parsed) {
		return message{}, false
	}
	return message{client: c, id: parsed.TransactionID, raw: append([]byte(nil), raw...)}, true
}

// channelData relays ChannelData from c. The frame is overwritten.
func (f *front) channelData(c *client, frame []byte, via collector) {
	n := int(binary.BigEndian.Uint16(frame[2:]))
	r := c.relayed.Load()
	if r == nil || n > len(frame)-headroom || n > maxPayload {
		f.server.counts.dropped.Add(1)
		return
	}
	peer, ok := r.peer(binary.BigEndian.Uint16(frame))
	if !ok {
		f.server.counts.dropped.Add(1)
		return
	}
	r.send(peer, frame[:headroom+n], via)
}

// screen says whether pion may have a message. What may never be is answered here,
// so that it does not depend on how pion takes it.
func (f *front) screen(c *client, m *stun.Message) bool {
	request := m.Type.Class == stun.ClassRequest
	switch m.Type.Method {
	case stun.MethodConnect, stun.MethodConnectionBind:
		if request {
			f.answer(c, m, stun.CodeForbidden)
		}
		return c.refuse(Refusal{Reason: TCPRelaying, Peer: peerOf(m)})
	case stun.MethodAllocate:
		if transport, err := m.Get(stun.AttrRequestedTransport); err == nil && len(transport) > 0 && transport[0] == protocolTCP {
			f.answer(c, m, stun.CodeUnsupportedTransProto)
			return c.refuse(Refusal{Reason: TCPRelaying})
		}
		if f.wantsPair(m) {
			f.answer(c, m, stun.CodeInsufficientCapacity)
			return c.refuse(Refusal{Reason: Unsupported})
		}
	case stun.MethodSend, stun.MethodCreatePermission, stun.MethodChannelBind:
		if peer, ok := f.server.hub.foreign(m); ok {
			if request {
				f.answer(c, m, stun.CodeForbidden)
			}
			return c.refuse(Refusal{Reason: ForeignAddress, Peer: peer})
		}
	}
	if request && f.server.replays.isReplay(m.TransactionID, fiveTuple{front: f, addr: c.addr}) {
		return c.refuse(Refusal{Reason: ReplayedRequest})
	}
	return true
}

// wantsPair says whether an Allocate request asks for what the relay does not have: a
// pair of ports (RFC 8656 §14.6 and §14.9), or one even port where the system chooses.
// In the closed world all ports are even.
func (f *front) wantsPair(m *stun.Message) bool {
	even, err := m.Get(stun.AttrEvenPort)
	asks := err == nil && (len(even) == 0 || even[0]&0x80 != 0 || f.server.cfg.LAN.IsValid())
	return asks || m.Contains(stun.AttrReservationToken)
}

// answer sends an error response.
func (f *front) answer(c *client, m *stun.Message, code stun.ErrorCode) {
	response, err := stun.Build(stun.NewTransactionIDSetter(m.TransactionID),
		stun.NewType(m.Type.Method, stun.ClassErrorResponse), code, stun.Fingerprint)
	if err == nil {
		c.out.send(c, response.Raw)
	}
}

// peerOf is the XOR-PEER-ADDRESS, as it came; without one it is the zero AddrPort.
func peerOf(m *stun.Message) netip.AddrPort {
	var peer stun.XORMappedAddress // of the same form
	if peer.GetFromAs(m, stun.AttrXORPeerAddress) != nil {
		return netip.AddrPort{}
	}
	addr, _ := netip.AddrFromSlice(peer.IP)
	return netip.AddrPortFrom(addr, uint16(peer.Port))
}

// foreign returns the first peer in m that the hub does not reach, if there is one.
// What is no address, pion refuses.
func (h *hub) foreign(m *stun.Message) (peer netip.AddrPort, found bool) {
	_ = m.ForEach(stun.AttrXORPeerAddress, func(m *stun.Message) error {
		if p := peerOf(m); !found && p.IsValid() && !h.reaches(p.Addr()) {
			peer, found = p, true
		}
		return nil
	})
	return peer, found
}

// replays remembers who made the requests that were authenticated. A request that
// was overheard is valid for as long as its nonce, an hour, and pion's nonces are the
// same for everyone; so the same request from another 5-tuple is a replay.
type replays struct {
	mu    sync.Mutex
	owner map[transactionID]fiveTuple
	ring  []transactionID // the order in which they came
	next  int
}

// fiveTuple names a client while it is there.
type fiveTuple struct {
	front *front
	addr  netip.AddrPort
}

// maxReplays bounds the memory, about 1.5 MiB. A session makes about one request a
// minute for each allocation and peer.
const maxReplays = 16384

func (r *replays) note(id transactionID, owner fiveTuple) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.owner == nil {
		r.owner = make(map[transactionID]fiveTuple)
	}
	if _, known := r.owner[id]; known {
		return
	}
	if len(r.ring) < maxReplays {
		r.ring = append(r.ring, id)
	} else {
		delete(r.owner, r.ring[r.next])
		r.ring[r.next] = id
		r.next = (r.next + 1) % maxReplays
	}
	r.owner[id] = owner
}

func (r *replays) isReplay(id transactionID, from fiveTuple) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	owner, known := r.owner[id]
	return known && owner != from
}
