package devserver

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

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

// networks lists where other devices reach a server that listens on own, best first:
// known are this machine's addresses.
func networks(cfg *Config, own netip.Addr, known []lan.Address, port int) (all []Network) {
	if own.IsLoopback() {
		return nil
	}
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
	return all
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

// listensOn is the address that a listener is for.
func listensOn(l net.Listener) netip.Addr {
	return l.Addr().(*net.TCPAddr).AddrPort().Addr().Unmap()
}

// follow tells of other networks that the machine joins or leaves, told being those that
// were told of, until ctx ends; and lost of each address that it no longer has.
func follow(ctx context.Context, cfg *Config, own netip.Addr, port int, told []Network, tell func(Event), lost func(netip.Addr)) {
	if !own.IsUnspecified() {
		return // it listens where it was told to, and nowhere else
	}
	var before []lan.Address
	err := lan.Watch(ctx, func(known []lan.Address) {
		for _, a := range before {
			if !slices.ContainsFunc(known, func(b lan.Address) bool { return b.IP == a.IP }) {
				lost(a.IP)
			}
		}
		before = slices.Clone(known)
		now := networks(cfg, own, known, port)
		if !slices.Equal(now, told) {
			told = now
			tell(NetworkChange{Event: "networks", Time: time.Now(), Networks: append([]Network{}, now...)}) // never null
		}
	})
	if err != nil {
		cfg.Log.Debug("watching this machine's addresses", "error", err)
	}
}

// beNamed tells of the name that other devices find this machine by, in multicast DNS, and
// answers for one until ctx ends if nothing else does. The name is let in by guard.
func beNamed(ctx context.Context, cfg *Config, own netip.Addr, port int, guard *hostGuard, tell func(Event)) {
	if !own.IsUnspecified() || cfg.Root == nil { // a certificate of the person's own is for other names
		return
	}
	named := func(name string, ours bool) {
		guard.allow(name)
		tell(Named{Event: "name", Time: time.Now(), Name: name, URL: urlFor(name, port), Own: ours})
	}
	name, err := lan.Name(ctx)
	switch {
	case err == nil && name != "":
		named(name, false)
		return
	case err == nil:
		if name, err = lan.HostName(); err == nil {
			err = lan.Answer(ctx, name, privateAddresses, func() { named(name, true) })
		}
	}
	if err != nil && ctx.Err() == nil {
		cfg.Log.Debug("being known by a name", "error", err)
	}
}

// privateAddresses are those that the authority signs for.
func privateAddresses() (ips []netip.Addr) {
	known, _ := lan.Addresses() // without them there is no network to answer on
	for _, a := range known {
		if !a.Public {
			ips = append(ips, a.IP)
		}
	}
	return ips
}
