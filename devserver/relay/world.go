package relay

import (
	"encoding/binary"
	"net/netip"
)

// The closed world's relayed addresses are from the ranges for benchmarks of network
// devices: 198.18.0.0/15 (RFC 2544, appendix C.2.2) and 2001:2::/48 (RFC 5180 §8).
// No host on the internet or in a private network has one, so that a browser that
// tries such a candidate without the relay reaches nobody. Browsers accept them
// because to ICE (RFC 8445) a candidate's address is opaque: it is compared, and
// for a relayed one only ever written into messages to the relay (TestChromium shows
// it). Chromium does drop candidates with ports below 1024.
const (
	// closedWorldSize is how many addresses are used: each relayed socket has one of
	// its own, so that a permission, which is for an address (RFC 8656 §9), is for
	// one peer only.
	closedWorldSize = 1<<17 - 2
	// relayedPort is the port of all of them, from the range of RFC 8656 §7.2.
	relayedPort = 50000
)

// closedWorldAddr is the n-th address, n < closedWorldSize. The first and the last
// of the range are left out.
func closedWorldAddr(n uint32, v6 bool) netip.Addr {
	if v6 {
		a := [16]byte{0x20, 0x01, 0x00, 0x02}
		binary.BigEndian.PutUint32(a[12:], n+1)
		return netip.AddrFrom16(a)
	}
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], 198<<24|18<<16|(n+1))
	return netip.AddrFrom4(a)
}

// closedWorld says whether a is an address that closedWorldAddr makes. One that is
// mapped into IPv6 is not.
func closedWorld(a netip.Addr) bool {
	if !a.IsValid() {
		return false
	}
	b := a.AsSlice()
	n := binary.BigEndian.Uint32(b[len(b)-4:]) - 1
	if a.Is4() {
		n -= 198<<24 | 18<<16
	}
	return n < closedWorldSize && a == closedWorldAddr(n, !a.Is4())
}
