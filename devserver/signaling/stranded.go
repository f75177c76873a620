package signaling

import (
	"errors"
	"net"
	"net/netip"
)

// Strand tells the hub that this machine has lost an address, in another Wi-Fi for
// example: nothing arrives any more on the connections that came to it. Their
// peers may resume, should the address come back. But their pages, which have it in
// theirs, mostly cannot: so they give way to whoever finds the room full.
func (h *Hub) Strand(address netip.Addr) {
	h.mu.Lock()
	visits := make([]*Visit, 0, len(h.visits))
	for v := range h.visits {
		visits = append(visits, v)
	}
	h.mu.Unlock()
	for _, v := range visits {
		actions := v.doing()
		local, ok := actions.local().(*net.TCPAddr)
		if ok && local.AddrPort().Addr().Unmap().WithZone("") == address {
			v.stranded.Store(true)
			actions.cut()
		}
	}
}

// joinAsNative is Join, in the place of a stranded peer if need be.
func (h *Hub) joinAsNative(j Join) (*Member, error) {
	for {
		m, err := h.Join(j)
		var refused *Error
		if !errors.As(err, &refused) || refused.Code != RoomFull || !h.endStranded(j.Room) {
			return m, err
		}
	}
}

// endStranded ends a stranded peer of the room, and tells whether there was one.
func (h *Hub) endStranded(room string) bool {
	h.mu.Lock()
	var found *session
	for s := range h.away {
		if s.room == room && s.visit.Load().stranded.Load() {
			found = s
			delete(h.away, s)
			break
		}
	}
	h.mu.Unlock()
	if found == nil {
		return false
	}
	found.expire()
	return true
}
