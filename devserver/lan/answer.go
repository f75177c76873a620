package lan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/pion/logging"
	"github.com/pion/mdns/v2"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// ErrNameTaken is returned when another machine on the network answers for the name.
var ErrNameTaken = errors.New("another machine on this network has the name")

const (
	// answerTTL is short, in seconds, because pion/mdns tells nobody when an address is
	// gone: what was answered has to go by itself. RFC 6762 section 6.7 has it as the most
	// for resolvers that are not of multicast DNS.
	answerTTL = 10
	// probeInterval is how often Answer asks again whether another machine has the name.
	// One that came later may not have noticed that the name is in use: pion/mdns answers
	// no question for all types, as most probes are.
	probeInterval = 30 * time.Second
)

// Answer answers for name, "laptop.local", by multicast DNS (RFC 6762), with the addresses
// that addrs lists: on the interface of each, with at most one IPv4 and one IPv6 address,
// the first ones of the list. addrs is called every two seconds, in the goroutine that
// called Answer. When it lists none, as on a machine without a network, the answer is given
// on the loopback interface only, with loopback's address.
//
// Before it answers on an interface it asks three times in 750 ms whether somebody else
// there has the name (section 8.1), and while it answers every 30 s. Another responder of
// this same machine is no other: both then answer the same. ready, which may be nil, is
// called once, when the name is answered for.
//
// It returns nil when ctx is done, and then has stopped. Else the error is ErrBadName,
// ErrNameTaken, or ErrNoMulticast when none of the interfaces could be used; nothing is
// answered any more.
func Answer(ctx context.Context, name string, addrs func() []netip.Addr, ready func()) error {
	return answer(ctx, name, addrs, ready, probeInterval)
}

// answer is Answer that asks every interval whether another machine has the name.
func answer(ctx context.Context, name string, addrs func() []netip.Addr, ready func(), interval time.Duration) error {
	if ready == nil {
		ready = func() {}
	}
	if !isName(name) {
		return fmt.Errorf("%q: %w", name, ErrBadName)
	}
	a := &answerer{name: name, interval: interval, conns: make(map[spot]*mdns.Conn)}
	defer a.keep(nil)
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for begun := false; ; begun = true {
		err := a.update(ctx, addrs())
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, ErrNameTaken) || err != nil && !begun {
			return fmt.Errorf("answering for %s: %w", name, err)
		}
		if !begun {
			ready()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// answerer has a responder for each address it answers with: one of pion/mdns has one
// address only, and the interfaces that there were when it began.
type answerer struct {
	name     string
	interval time.Duration       // between two questions whether the name is still free
	conns    map[spot]*mdns.Conn // nil where there can be none: it is not tried again
	probed   time.Time           // when that was asked last
}

// place is an address and its interface.
type place struct {
	ip    netip.Addr
	iface net.Interface
}

// spot tells places apart: an interface that was plugged in anew is another one.
type spot struct {
	ip    netip.Addr
	index int
}

func (p place) spot() spot { return spot{p.ip, p.iface.Index} }

// update ends the responders whose address is no longer listed, asks whether the name is
// still free, and begins those that are missing. Without any responder there is an error.
func (a *answerer) update(ctx context.Context, ips []netip.Addr) error {
	places, err := placesOf(ips)
	if err != nil {
		return err
	}
	a.keep(places)
	due := time.Since(a.probed) >= a.interval
	var missing []place
	var where []net.Interface
	for _, p := range places {
		_, tried := a.conns[p.spot()]
		if !tried {
			missing = append(missing, p)
		}
		if !tried || due {
			where = append(where, p.iface)
		}
	}
	if len(where) > 0 {
		if err := a.probe(ctx, where); err != nil {
			return err
		}
	}
	for _, p := range missing {
		conn, failed := respond(a.name, p)
		if failed != nil {
			err = fmt.Errorf("%s: %w", p.iface.Name, failed)
		}
		a.conns[p.spot()] = conn
	}
	for _, conn := range a.conns {
		if conn != nil {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoMulticast, err)
	}
	return ErrNoMulticast
}

// keep ends the responders of all places but these.
func (a *answerer) keep(places []place) {
	for at, conn := range a.conns {
		if slices.ContainsFunc(places, func(p place) bool { return p.spot() == at }) {
			continue
		}
		if conn != nil {
			_ = conn.Close()
		}
		delete(a.conns, at)
	}
}

// probe is ErrNameTaken when another machine has the name on one of the interfaces.
// Loopback has no other machine.
func (a *answerer) probe(ctx context.Context, ifaces []net.Interface) error {
	a.probed = time.Now()
	ifaces = slices.CompactFunc(ifaces, func(a, b net.Interface) bool { return a.Index == b.Index })
	ifaces = slices.DeleteFunc(ifaces, func(i net.Interface) bool { return i.Flags&net.FlagLoopback != 0 })
	if len(ifaces) == 0 {
		return nil
	}
	questions, err := addressQuestions(a.name + ".")
	if err != nil {
		return err
	}
	own, err := ownAddresses()
	if err != nil {
		return err
	}
	taken := false
	err = ask(ctx, ifaces, questions, func(r reply) bool {
		ip, ok := r.address(a.name + ".")
		taken = taken || ok && !own[ip] && !own[r.from]
		return taken
	})
	if taken {
		return ErrNameTaken
	}
	return err
}

// placesOf finds the interfaces of the addresses that multicast is possible on, and takes
// one address of each family for each. Where no addresses are given it is loopback's.
func placesOf(ips []netip.Addr) ([]place, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("listing this machine's network interfaces: %w", err)
	}
	var places []place
	for _, iface := range all {
		has, loop := addressesOf(iface), iface.Flags&net.FlagLoopback != 0
		switch {
		case !works(iface) || len(has) == 0:
		case loop && len(ips) == 0:
			return []place{{has[0], iface}}, nil
		case !loop && iface.Flags&net.FlagMulticast != 0:
			for _, four := range []bool{true, false} {
				i := slices.IndexFunc(ips, func(ip netip.Addr) bool {
					return ip.Is4() == four && isOffered(ip) && slices.Contains(has, ip)
				})
				if i >= 0 {
					places = append(places, place{ips[i], iface})
				}
			}
		}
	}
	return places, nil
}

// respond answers for name on the interface of the place, with its address.
func respond(name string, p place) (*mdns.Conn, error) {
	has4, has6 := families(p.iface)
	var four *ipv4.PacketConn
	var six *ipv6.PacketConn
	// Sockets for the group of an address, which Go shares with the other responders.
	if has4 {
		if c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: group4(), Port: mdnsPort}); err == nil {
			four = ipv4.NewPacketConn(c)
		}
	}
	if has6 {
		if c, err := net.ListenUDP("udp6", &net.UDPAddr{IP: group6(), Port: mdnsPort}); err == nil {
			six = ipv6.NewPacketConn(c)
		}
	}
	conn, err := mdns.NewServer(four, six,
		mdns.WithName("rtcdev"),
		mdns.WithLocalNames(name),
		mdns.WithLocalAddress(p.ip.AsSlice()),
		mdns.WithInterfaces(p.iface),
		mdns.WithIncludeLoopback(p.ip.IsLoopback()),
		mdns.WithRecordTypes(dnsmessage.TypeA, dnsmessage.TypeAAAA),
		mdns.WithResponseTTL(answerTTL),
		mdns.WithCacheRefresh(false),
		mdns.WithLoggerFactory(&logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}),
	)
	if err != nil {
		if four != nil {
			_ = four.Close()
		}
		if six != nil {
			_ = six.Close()
		}
		return nil, err
	}
	return conn, nil
}
