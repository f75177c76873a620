package relay

import (
	"net/netip"
	"time"

	"github.com/pion/stun/v4"
)

const (
	// maxPeers bounds the peer addresses that one allocation has permissions for, and
	// its channels. A call has a handful.
	maxPeers = 256
	// permissionLifetime is that of RFC 8656 §9.
	permissionLifetime = 5 * time.Minute
)

// permitted are the peers that an allocation asked permissions for, with when it last
// did. Only the goroutine of the front's pion uses it.
type permitted map[netip.Addr]time.Time

// expire forgets those whose permission has ended.
func (p permitted) expire(now time.Time) {
	for peer, asked := range p {
		if now.Sub(asked) > permissionLifetime {
			delete(p, peer)
		}
	}
}

// hasRoom says whether the allocation of the current message may have the permissions
// and the channel that it asks for; it answers and reports what may not be. pion is done
// with the messages before, so that none slips through beside another.
func (f *front) hasRoom() bool {
	c := f.current.client
	r := c.relayed.Load()
	if r == nil {
		return true
	}
	m := &stun.Message{Raw: f.current.raw}
	if m.Decode() != nil || m.Type.Class != stun.ClassRequest {
		return true
	}
	full := false
	switch m.Type.Method {
	case stun.MethodCreatePermission:
		full = r.fullOfPeers(m)
	case stun.MethodChannelBind:
		full = r.fullOfPeers(m) || r.fullOfChannels(peerOf(m))
	}
	if !full {
		return true
	}
	f.answer(c, m, stun.CodeInsufficientCapacity)
	return c.refuse(Refusal{Reason: TooManyPeers, Peer: peerOf(m)})
}

// fullOfPeers says whether there is no room for the peers in m.
func (r *relayed) fullOfPeers(m *stun.Message) bool {
	added := make(map[netip.Addr]bool)
	_ = m.ForEach(stun.AttrXORPeerAddress, func(m *stun.Message) error {
		peer := peerOf(m).Addr()
		if _, known := r.permitted[peer]; !known {
			added[peer] = true
		}
		return nil
	})
	if len(added) == 0 || len(r.permitted)+len(added) <= maxPeers {
		return false
	}
	r.permitted.expire(time.Now())
	return len(r.permitted)+len(added) > maxPeers
}

// fullOfChannels says whether there is no room for a channel to peer.
func (r *relayed) fullOfChannels(peer netip.AddrPort) bool {
	c := r.channels.Load()
	if c == nil || len(c.peers) < maxPeers {
		return false
	}
	_, known := c.numbers[peer]
	return !known
}
