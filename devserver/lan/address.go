package lan

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
)

// An Address is one at which another device may reach this machine.
type Address struct {
	IP        netip.Addr // IPv4 as such, IPv6 without a zone
	Interface string     // its name, as the system has it: "wlan0", "en0", "Wi-Fi"
	Kind      Kind
	// Product is what made a VPN or virtual interface, where that is known: "Docker",
	// "WSL", "Tailscale". Else it is empty.
	Product string
	// DefaultRoute is whether what this machine sends to the internet leaves by this
	// interface, which is most often the network that the phone is in too.
	DefaultRoute bool
	// Public is whether the address is outside the private ranges (RFC 1918, RFC 6598,
	// RFC 4193). The authority of package certs may not sign for those.
	Public bool
}

// Kind is what sort of interface an address is on.
type Kind int

// The kinds of interfaces.
const (
	Other    Kind = iota // nothing more is known
	Ethernet             // a cable
	WiFi
	VPN     // another machine of the same VPN can reach it, a phone nearby cannot
	Virtual // of containers, virtual machines or bridges: reached from this machine only
)

// String is the kind as a person reads it.
func (k Kind) String() string {
	switch k {
	case Ethernet:
		return "Ethernet"
	case WiFi:
		return "Wi-Fi"
	case VPN:
		return "VPN"
	case Virtual:
		return "virtual"
	}
	return "other"
}

// Addresses lists the addresses of this machine that another device may use: private
// ones first (RFC 1918, 100.64.0.0/10, fc00::/7), public ones last. Among each, the
// interface with the default route comes first, then other real ones, then VPNs, then
// virtual ones; a VPN stays behind the real ones though it has the default route. An
// interface's IPv4 addresses come before its IPv6 addresses. The list is empty on a machine
// without a network. The error is the system's, when it does not tell its interfaces.
func Addresses() ([]Address, error) {
	m, err := readMachine()
	if err != nil {
		return nil, err
	}
	return rank(m), nil
}

// readMachine reads the table that rank decides on.
func readMachine() (machine, error) {
	ifaces, err := net.Interfaces()
	if err != nil {
		return machine{}, fmt.Errorf("listing this machine's network interfaces: %w", err)
	}
	m := machine{os: runtime.GOOS, wsl: isWSL()}
	for _, iface := range ifaces {
		if iface.Flags&net.FlagLoopback != 0 || !works(iface) {
			continue
		}
		ips := addressesOf(iface)
		if len(ips) == 0 {
			continue
		}
		l := link{name: iface.Name, hardware: iface.HardwareAddr.String(), ips: ips}
		l.devType, l.virtual = device(iface.Name)
		m.links = append(m.links, l)
	}
	m.defaultLink = defaultLink(m.links)
	return m, nil
}

// works is whether the interface is switched on and has its cable or its Wi-Fi.
func works(iface net.Interface) bool {
	return iface.Flags&net.FlagUp != 0 && iface.Flags&net.FlagRunning != 0
}

// addressesOf lists an interface's addresses, without zones. An interface that went away
// in the meantime has none.
func addressesOf(iface net.Interface) []netip.Addr {
	nets, err := iface.Addrs()
	if err != nil {
		return nil
	}
	return plainAddresses(nets)
}

func plainAddresses(nets []net.Addr) []netip.Addr {
	var ips []netip.Addr
	for _, n := range nets {
		ipnet, ok := n.(*net.IPNet)
		if !ok {
			continue
		}
		if ip, ok := netip.AddrFromSlice(ipnet.IP); ok {
			ips = append(ips, ip.Unmap())
		}
	}
	return ips
}

// defaultByConnect is the interface whose address the system would send from, to the
// internet. Connecting a UDP socket sends nothing; the addresses are of documentation
// (RFC 5737, RFC 3849), so there is nobody who could be reached.
func defaultByConnect(links []link) string {
	for _, far := range []string{"192.0.2.1:9", "[2001:db8::1]:9"} {
		conn, err := net.Dial("udp", far)
		if err != nil {
			continue // no route in this family
		}
		local := conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap().WithZone("")
		_ = conn.Close() // nothing was sent, nothing can be lost
		for _, l := range links {
			for _, ip := range l.ips {
				if ip == local {
					return l.name
				}
			}
		}
	}
	return ""
}
