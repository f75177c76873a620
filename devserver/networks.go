package devserver

import (
	"cmp"
	"net"
	"net/netip"
	"strings"

	"rtcdev/devserver/lan"
)

// Network is an address by which other devices reach the server.
type Network struct {
	URL string `json:"url"` // such as "https://192.168.0.5:8443/"
	// SetUp is where a device begins that does not trust the authority yet: it is
	// shown how, and taken on. Empty with a certificate of the person's own.
	SetUp string `json:"setUp,omitempty"`
	// Interface is the name of the network interface, Kind what it is, such as
	// "Wi-Fi" or "Docker"; empty if that is not known.
	Interface string `json:"interface,omitempty"`
	Kind      string `json:"kind,omitempty"`
}

// networks lists where other devices reach a server that listens on ip, best first.
func networks(cfg *Config, ip net.IP, port int) (all []Network, err error) {
	own, ok := netip.AddrFromSlice(ip)
	if own = own.Unmap(); !ok || own.IsLoopback() {
		return nil, nil
	}
	known, err := lan.Addresses()
	for _, a := range known {
		// The authority may not sign for public addresses, but for the one that was asked for
		// there may be another certificate.
		if a.IP == own || own.IsUnspecified() && !a.Public {
			all = append(all, network(cfg, a, port))
		}
	}
	if len(all) == 0 && !own.IsUnspecified() {
		all = append(all, network(cfg, lan.Address{IP: own}, port))
	}
	return all, err
}

func network(cfg *Config, a lan.Address, port int) Network {
	n := Network{URL: urlFor(a.IP.String(), port), Interface: a.Interface, Kind: a.Product}
	if a.Kind != lan.Other {
		n.Kind = cmp.Or(n.Kind, a.Kind.String())
	}
	if cfg.Root != nil {
		n.SetUp = "http" + strings.TrimPrefix(n.URL, "https")
		if cfg.RoomToken != "" { // behind the #, which no browser sends over plain HTTP
			n.SetUp += "#" + strings.TrimPrefix(withToken("", cfg.RoomToken), "&")
		}
	}
	return n
}
