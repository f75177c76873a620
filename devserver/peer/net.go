package peer

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/transport/v4"
	"github.com/pion/transport/v4/stdnet"
)

// A boundNet is the network that pion reaches TURN servers by. Whatever it does ends
// with ctx: closing a connection waits for a TURN server that keeps silent otherwise,
// for minutes.
type boundNet struct {
	*stdnet.Net
	ctx context.Context
}

// newBoundNet makes a network that ends with ctx.
func newBoundNet(ctx context.Context) (*boundNet, error) {
	n, err := stdnet.NewNet()
	if err != nil {
		return nil, fmt.Errorf("looking at the network interfaces: %w", err)
	}
	return &boundNet{n, ctx}, nil
}

// Interfaces returns those that there are now.
func (n *boundNet) Interfaces() ([]*transport.Interface, error) {
	now, err := stdnet.NewNet()
	if err != nil {
		return nil, err
	}
	return now.Interfaces()
}

// connected tells whether the machine has an address that others can reach, be it only
// those of its local network.
func (n *boundNet) connected() (bool, error) {
	interfaces, err := n.Interfaces()
	if err != nil {
		return false, fmt.Errorf("looking at the network interfaces: %w", err)
	}
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		addresses, err := i.Addrs()
		if err != nil {
			continue // it has none
		}
		for _, a := range addresses {
			if prefix, ok := a.(*net.IPNet); ok && prefix.IP.IsGlobalUnicast() {
				return true, nil
			}
		}
	}
	return false, nil
}

// DialTCP is for TURN over TCP and TLS.
func (n *boundNet) DialTCP(network string, local, remote *net.TCPAddr) (transport.TCPConn, error) {
	var dialer net.Dialer
	if local != nil {
		dialer.LocalAddr = local
	}
	conn, err := dialer.DialContext(n.ctx, network, remote.String())
	if err != nil {
		return nil, err
	}
	return &boundTCP{conn.(*net.TCPConn), n.closing(conn)}, nil
}

// DialUDP is for TURN over DTLS.
func (n *boundNet) DialUDP(network string, local, remote *net.UDPAddr) (transport.UDPConn, error) {
	conn, err := net.DialUDP(network, local, remote)
	if err != nil {
		return nil, err
	}
	return &boundUDP{conn, n.closing(conn)}, nil
}

// ListenPacket is for TURN over UDP.
func (n *boundNet) ListenPacket(network, address string) (net.PacketConn, error) {
	conn, err := new(net.ListenConfig).ListenPacket(n.ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &boundPackets{conn, n.closing(conn)}, nil
}

// closing has the connection closed with n.ctx, unless the result is called before.
func (n *boundNet) closing(conn interface{ Close() error }) (stop func() bool) {
	return context.AfterFunc(n.ctx, func() { _ = conn.Close() }) // it is over either way
}

// ResolveTCPAddr looks up the address of a server.
func (n *boundNet) ResolveTCPAddr(network, address string) (*net.TCPAddr, error) {
	at, err := n.resolve(network, address)
	if err != nil {
		return nil, err
	}
	return net.TCPAddrFromAddrPort(at), nil
}

// ResolveUDPAddr looks up the address of a server.
func (n *boundNet) ResolveUDPAddr(network, address string) (*net.UDPAddr, error) {
	at, err := n.resolve(network, address)
	if err != nil {
		return nil, err
	}
	return net.UDPAddrFromAddrPort(at), nil
}

// resolve prefers IPv4, as net.ResolveTCPAddr does.
func (n *boundNet) resolve(network, address string) (netip.AddrPort, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("reading the port of %s: %w", address, err)
	}
	ips, err := net.DefaultResolver.LookupNetIP(n.ctx, "ip"+strings.TrimLeft(network, "tcpud"), host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	isIPv4 := func(ip netip.Addr) bool { return ip.Unmap().Is4() }
	return netip.AddrPortFrom(ips[max(0, slices.IndexFunc(ips, isIPv4))].Unmap(), uint16(port)), nil
}

type boundTCP struct {
	*net.TCPConn
	stop func() bool
}

func (c *boundTCP) Close() error {
	c.stop()
	return c.TCPConn.Close()
}

type boundUDP struct {
	*net.UDPConn
	stop func() bool
}

func (c *boundUDP) Close() error {
	c.stop()
	return c.UDPConn.Close()
}

type boundPackets struct {
	net.PacketConn
	stop func() bool
}

func (c *boundPackets) Close() error {
	c.stop()
	return c.PacketConn.Close()
}
