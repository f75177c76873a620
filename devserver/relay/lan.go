package relay

import (
	"fmt"
	"net"
	"net/netip"
)

// listenLAN opens a relayed socket on one of this machine's private addresses.
func listenLAN(lan netip.Addr, v6 bool) (*net.UDPConn, error) {
	if lan.Is6() != v6 {
		return nil, fmt.Errorf("opening a relayed socket on %s: the client asked for the other IP version", lan)
	}
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(lan, 0)))
	if err != nil {
		return nil, fmt.Errorf("opening a relayed socket on %s: %w", lan, err)
	}
	return conn, nil
}

// lanPeer says whether a is an address that only a local network has: RFC 1918,
// fc00::/7 (RFC 4193) and 169.254.0.0/16 (RFC 3927). Left out are the addresses at
// which clouds give a machine's secrets to whoever asks from that machine. One that
// is mapped into IPv6 is not a peer.
func lanPeer(a netip.Addr) bool {
	switch {
	case a.Is4In6() || a.Zone() != "":
		return false
	case netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254, 169}), 24).Contains(a), // AWS, Azure, GCP: .254
		netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254, 170}), 24).Contains(a),         // AWS ECS: .2, .23
		netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 0, 0x0e, 0xc2}), 32).Contains(a): // AWS: fd00:ec2::254
		return false
	case a.Is4() && a.IsLinkLocalUnicast():
		return true
	}
	return a.IsPrivate()
}

// reachesLAN says whether relayed sockets may send to a. Of this machine's own
// addresses it is only the one that they are on, where carry finds no sockets but
// relayed ones; and none of the network's broadcast addresses.
func (h *hub) reachesLAN(a netip.Addr) bool {
	if !lanPeer(a) {
		return false
	}
	if a == h.server.cfg.LAN {
		return true
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, i := range own {
		n, ok := i.(*net.IPNet)
		if !ok {
			continue
		}
		addr, _ := netip.AddrFromSlice(n.IP)
		ones, _ := n.Mask.Size()
		if a == addr.Unmap() || a == broadcast(netip.PrefixFrom(addr.Unmap(), ones)) {
			return false
		}
	}
	return true
}

// broadcast is an IPv4 network's broadcast address (RFC 919 §7); without one it is
// the zero Addr.
func broadcast(network netip.Prefix) netip.Addr {
	if !network.Addr().Is4() || network.Bits() > 30 { // RFC 3021: /31 has none
		return netip.Addr{}
	}
	a := network.Addr().As4()
	for bit := network.Bits(); bit < 32; bit++ {
		a[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(a)
}

// sendSocket sends to a peer outside, or returns false. pion has checked that there
// is a permission, which permit granted, so that to is a LAN peer; if it is this
// machine, it was not one of ours, and is refused.
func (r *relayed) sendSocket(to netip.AddrPort, payload []byte) bool {
	if to.Addr() == r.hub.server.cfg.LAN || !lanPeer(to.Addr()) || to.Port() == 0 {
		return r.client.refuse(Refusal{Reason: ForeignAddress, Peer: to})
	}
	_, err := r.socket.WriteToUDPAddrPort(payload, to)
	return err == nil
}

// readSocket takes in what peers send, until the socket is closed.
func (r *relayed) readSocket() {
	var buf buffer
	var row readErrors
	for {
		n, from, err := r.socket.ReadFromUDPAddrPort(buf[headroom:])
		if row.end(err, r.done) {
			_ = r.Close()
			return
		}
		if err != nil {
			continue
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if n > maxPayload || !lanPeer(from.Addr()) {
			continue
		}
		if r.hub.shaper.on.Load() {
			r.hub.shaper.pass(&r.shared.links.outside, buf[:headroom+n], func(frame []byte) { r.accept(from, frame, nil) })
			continue
		}
		r.accept(from, buf[:headroom+n], nil)
	}
}
