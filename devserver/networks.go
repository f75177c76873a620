package devserver

import (
	"cmp"
	"context"
	"errors"
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
	if cfg.Root != nil && !a.Public { // for which it does not sign
		n.SetUp = setUpAt(cfg, n.URL)
	}
	return n
}

// setUpAt is where a device begins that comes to this URL.
func setUpAt(cfg *Config, base string) string {
	setUp := "http" + strings.TrimPrefix(base, "https")
	if cfg.RoomToken != "" { // behind the #, which no browser sends over plain HTTP
		setUp += "#" + strings.TrimPrefix(withToken("", cfg.RoomToken), "&")
	}
	return setUp
}

// listensOn is the address that a listener is for.
func listensOn(l net.Listener) netip.Addr {
	return l.Addr().(*net.TCPAddr).AddrPort().Addr().Unmap()
}

// follow tells of other networks that the machine joins or leaves, told being those that
// were told of, until ctx ends; and lost of each address that it no longer has. It calls
// changed when the addresses are others.
func follow(ctx context.Context, cfg *Config, own netip.Addr, port int, told []Network, tell func(Event), lost func(netip.Addr), changed func()) {
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
		changed()
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

// naming makes this machine known by a name in multicast DNS.
type naming struct {
	cfg     *Config
	port    int
	guard   *hostGuard
	tell    func(Event)
	changed chan struct{} // has one when the addresses are others
	known   string        // the name that was told; empty if there is none
}

// run tells of the name that other devices find this machine by, and answers for one until
// ctx ends if nothing else does. The name is let in by guard. Without a network, or when
// another machine has the name, it tries again when the addresses change.
func (n *naming) run(ctx context.Context, own netip.Addr) {
	if !own.IsUnspecified() || n.cfg.Root == nil { // a certificate of the person's own is for other names
		return
	}
	for {
		if len(privateAddresses()) > 0 {
			err := n.once(ctx)
			if errors.Is(err, lan.ErrNameTaken) && n.known != "" {
				n.tell(Named{Event: "name", Time: time.Now(), Name: n.known, URL: urlFor(n.known, n.port), Lost: true})
				n.known = ""
			}
			if err != nil && ctx.Err() == nil {
				n.cfg.Log.Debug("being known by a name", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-n.changed:
		}
	}
}

// look has it look at the addresses again.
func (n *naming) look() {
	select {
	case n.changed <- struct{}{}:
	default: // it has not looked since the last time
	}
}

// once looks for the name, and answers for one as long as it can.
func (n *naming) once(ctx context.Context) error {
	name, err := lan.Name(ctx)
	if err != nil {
		return err
	}
	if name != "" {
		n.named(name, false)
		return nil
	}
	if name, err = lan.HostName(); err != nil {
		return err
	}
	return lan.Answer(ctx, name, privateAddresses, func() { n.named(name, true) })
}

func (n *naming) named(name string, own bool) {
	if name == n.known {
		return
	}
	n.known = name
	n.guard.allow(name)
	e := Named{Event: "name", Time: time.Now(), Name: name, URL: urlFor(name, n.port), Own: own}
	e.SetUp = setUpAt(n.cfg, e.URL)
	n.tell(e)
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
