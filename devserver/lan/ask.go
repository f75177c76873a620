package lan

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// ErrNoMulticast is returned when no interface of this machine lets multicast DNS out.
var ErrNoMulticast = errors.New("no network interface of this machine takes multicast DNS")

const (
	mdnsPort    = 5353 // RFC 6762 section 3, as are the groups
	cacheFlush  = 1 << 15
	probeCount  = 3                      // RFC 6762 section 8.1
	probePause  = 250 * time.Millisecond // the same section
	mdnsHops    = 255                    // RFC 6762 section 11
	maxPacket   = 9000                   // bytes; RFC 6762 section 17
	maxPointers = 8                      // addresses whose name is asked for in one query
)

func group4() net.IP { return net.IPv4(224, 0, 0, 251) }
func group6() net.IP { return net.ParseIP("ff02::fb") }

// A reply is one record that somebody on the local network answered with.
type reply struct {
	record dnsmessage.Resource
	from   netip.Addr
}

// address is the address that the reply gives to name, which ends with a dot.
func (r reply) address(name string) (ip netip.Addr, ok bool) {
	if !sameName(r.record.Header.Name.String(), name) || r.record.Header.Class&^cacheFlush != dnsmessage.ClassINET {
		return netip.Addr{}, false
	}
	switch body := r.record.Body.(type) {
	case *dnsmessage.AResource:
		return netip.AddrFrom4(body.A), true
	case *dnsmessage.AAAAResource:
		return netip.AddrFrom16(body.AAAA).Unmap(), true
	}
	return netip.Addr{}, false
}

// ask sends a one-shot query (RFC 6762 section 5.1) three times on each interface, and gives
// got each answer until got has enough or 750 ms are over. Such a query comes from a port
// of its own, so every responder replies to it alone, those of this machine too. The
// error is ErrNoMulticast or that of ctx.
func ask(ctx context.Context, ifaces []net.Interface, questions []dnsmessage.Question, got func(reply) (enough bool)) error {
	id := uint16(rand.Uint32())
	query, err := (&dnsmessage.Message{Header: dnsmessage.Header{ID: id}, Questions: questions}).Pack()
	if err != nil {
		return fmt.Errorf("packing a multicast DNS query: %w", err)
	}
	a, err := newAsker(id)
	if err != nil {
		return err
	}
	defer a.close()
	for range probeCount {
		if a.send(query, ifaces) == 0 {
			return ErrNoMulticast
		}
		for pause := time.After(probePause); pause != nil; {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-pause:
				pause = nil
			case r := <-a.replies:
				if got(r) {
					return nil
				}
			}
		}
	}
	return nil
}

// asker has the sockets of one query, and a reader for each.
type asker struct {
	id      uint16
	four    *ipv4.PacketConn // nil where the machine has no IPv4
	six     *ipv6.PacketConn // nil where the machine has no IPv6
	replies chan reply
	done    chan struct{}
	readers sync.WaitGroup
}

func newAsker(id uint16) (*asker, error) {
	a := &asker{id: id, replies: make(chan reply), done: make(chan struct{})}
	c4, err4 := net.ListenUDP("udp4", nil)
	if err4 == nil {
		a.four = ipv4.NewPacketConn(c4)
		_ = a.four.SetMulticastTTL(mdnsHops) // responders are to take less too
		a.readers.Go(func() { a.read(c4) })
	}
	c6, err6 := net.ListenUDP("udp6", nil)
	if err6 == nil {
		a.six = ipv6.NewPacketConn(c6)
		_ = a.six.SetMulticastHopLimit(mdnsHops)
		a.readers.Go(func() { a.read(c6) })
	}
	if err4 != nil && err6 != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoMulticast, err4)
	}
	return a, nil
}

func (a *asker) close() {
	close(a.done)
	if a.four != nil {
		_ = a.four.Close()
	}
	if a.six != nil {
		_ = a.six.Close()
	}
	a.readers.Wait()
}

// send counts the interfaces and families on which the query went out.
func (a *asker) send(query []byte, ifaces []net.Interface) (sent int) {
	for _, iface := range ifaces {
		has4, has6 := families(iface)
		if a.four != nil && has4 && a.four.SetMulticastInterface(&iface) == nil {
			if _, err := a.four.WriteTo(query, nil, &net.UDPAddr{IP: group4(), Port: mdnsPort}); err == nil {
				sent++
			}
		}
		if a.six != nil && has6 && a.six.SetMulticastInterface(&iface) == nil {
			if _, err := a.six.WriteTo(query, nil, &net.UDPAddr{IP: group6(), Port: mdnsPort, Zone: iface.Name}); err == nil {
				sent++
			}
		}
	}
	return sent
}

func (a *asker) read(conn *net.UDPConn) {
	buf := make([]byte, maxPacket)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // Windows reports what became of an earlier query here
		}
		for _, record := range answers(buf[:n], a.id) {
			select {
			case <-a.done:
				return
			case a.replies <- reply{record, from.Addr().Unmap().WithZone("")}:
			}
		}
	}
}

// answers are the records that a packet answers the query of this id with: none when it is
// no such packet.
func answers(packet []byte, id uint16) []dnsmessage.Resource {
	var p dnsmessage.Parser
	header, err := p.Start(packet)
	if err != nil || !header.Response || header.ID != id || p.SkipAllQuestions() != nil {
		return nil
	}
	var list []dnsmessage.Resource
	for {
		record, err := p.Answer()
		if err != nil { // the end, or broken: what was whole counts
			return list
		}
		list = append(list, record)
	}
}

// families says which of IPv4 and IPv6 the interface has an address of.
func families(iface net.Interface) (has4, has6 bool) {
	for _, ip := range addressesOf(iface) {
		has4, has6 = has4 || ip.Is4(), has6 || ip.Is6()
	}
	return has4, has6
}

// ownAddresses are all addresses of this machine, whatever their sort.
func ownAddresses() (map[netip.Addr]bool, error) {
	nets, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("listing this machine's addresses: %w", err)
	}
	own := make(map[netip.Addr]bool)
	for _, ip := range plainAddresses(nets) {
		own[ip] = true
	}
	return own, nil
}

// question asks for records of a name that ends with a dot.
func question(name string, kind dnsmessage.Type) (dnsmessage.Question, error) {
	n, err := dnsmessage.NewName(name)
	if err != nil {
		return dnsmessage.Question{}, fmt.Errorf("asking for %q: %w", name, err)
	}
	return dnsmessage.Question{Name: n, Type: kind, Class: dnsmessage.ClassINET}, nil
}

// addressQuestions ask for the addresses of a name that ends with a dot.
func addressQuestions(name string) ([]dnsmessage.Question, error) {
	four, err := question(name, dnsmessage.TypeA)
	if err != nil {
		return nil, err
	}
	six := four
	six.Type = dnsmessage.TypeAAAA
	return []dnsmessage.Question{four, six}, nil
}
