package lan

import (
	"cmp"
	"net/netip"
	"slices"
)

// machine is all that the order of the addresses is decided on.
type machine struct {
	os          string // as runtime.GOOS
	wsl         bool   // Linux below Windows
	defaultLink string // the interface of the default route; empty without one
	links       []link // in the system's order
}

// link is one interface that is up, with a cable or Wi-Fi, and not loopback.
type link struct {
	name     string
	hardware string // the MAC address, "02:42:ac:11:00:02"; empty without one
	devType  string // Linux: DEVTYPE of the device's uevent, "wlan", "bridge"; empty for Ethernet
	virtual  bool   // Linux: no hardware is behind it
	ips      []netip.Addr
}

// rank lists the addresses that another device may use, best first.
func rank(m machine) []Address {
	type ranked struct {
		Address
		class, order int
	}
	var all []ranked
	for order, l := range m.links {
		kind, product := classify(m, l)
		for _, ip := range l.ips {
			if !isOffered(ip) {
				continue
			}
			a := Address{IP: ip.WithZone(""), Interface: l.name, Kind: kind, Product: product,
				DefaultRoute: l.name == m.defaultLink, Public: !isPrivate(ip)}
			all = append(all, ranked{a, class(a), order})
		}
	}
	slices.SortFunc(all, func(a, b ranked) int {
		return cmp.Or(
			compareBool(a.Public, b.Public),
			cmp.Compare(a.class, b.class),
			cmp.Compare(a.order, b.order),
			a.IP.Compare(b.IP), // IPv4 is before IPv6
		)
	})
	list := make([]Address, len(all))
	for i, r := range all {
		list[i] = r.Address
	}
	return slices.Compact(list)
}

// class is smaller for an interface that a phone is more likely to reach. A bridge or a
// virtual switch that has the default route stands for the cable behind it; a VPN that has
// it leads away from the phone.
func class(a Address) int {
	switch {
	case a.DefaultRoute && a.Kind != VPN:
		return 0
	case a.Kind == Ethernet, a.Kind == WiFi:
		return 1
	case a.Kind == Other:
		return 2
	case a.Kind == VPN:
		return 3
	}
	return 4
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// isOffered is whether another device can use ip: no loopback, link-local, multicast.
func isOffered(ip netip.Addr) bool { return ip.IsGlobalUnicast() }

// isPrivate is whether ip is of RFC 1918, RFC 4193 or the shared 100.64.0.0/10 of RFC 6598,
// which VPNs and telephone hotspots use.
func isPrivate(ip netip.Addr) bool {
	shared := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10)
	return ip.IsPrivate() || shared.Contains(ip)
}
