package devserver

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"rtcdev/devserver/lan"
	"rtcdev/devserver/portmux"
	"rtcdev/devserver/relay"
)

// turn is the relay on the server's port: over UDP on sockets of its own, over TCP and TLS on
// connections of the mux.
type turn struct {
	server  *relay.Server
	packets []net.PacketConn
}

// openTURN opens the sockets beside the listeners. Without UDP, which another program may
// have, calls are relayed over TCP.
func openTURN(cfg *Config, listeners []net.Listener) (*turn, error) {
	if cfg.NoTURN {
		return nil, nil
	}
	lanAddress, err := turnAddress(cfg, listensOn(listeners[0]))
	if err != nil {
		return nil, err
	}
	server, err := relay.New(relay.Config{
		LAN: lanAddress,
		OnRefused: func(r relay.Refusal) {
			cfg.Log.Debug("the relay refused", "what", r.String())
		},
	})
	if err != nil {
		return nil, fmt.Errorf("making the relay: %w", err)
	}
	t := &turn{server: server}
	for _, l := range listeners {
		conn, err := net.ListenPacket("udp", l.Addr().String())
		if err != nil {
			cfg.Log.Warn("calls are relayed over TCP only", "error", err)
			continue
		}
		t.packets = append(t.packets, conn)
	}
	return t, nil
}

// turnAddress is where relayed sockets are real ones; not valid in the closed world.
func turnAddress(cfg *Config, own netip.Addr) (netip.Addr, error) {
	if !cfg.TURNLAN {
		return netip.Addr{}, nil
	}
	known, err := lan.Addresses()
	if err != nil {
		return netip.Addr{}, fmt.Errorf("looking for an address for the relay: %w", err)
	}
	for _, a := range known {
		if !a.Public && a.IP.Is4() && (a.IP == own || own.IsUnspecified()) {
			return a.IP, nil
		}
	}
	return netip.Addr{}, noPrivateAddress()
}

// serves are the calls that serve until close.
func (t *turn) serves(streams net.Listener, crowd *crowd) (all []func() error) {
	if t == nil {
		return nil
	}
	for _, conn := range t.packets {
		all = append(all, func() error { return t.server.ServePacket(conn) })
	}
	return append(all, func() error { return t.server.Serve(&relayed{streams, crowd}) })
}

func (t *turn) relay() *relay.Server {
	if t == nil {
		return nil
	}
	return t.server
}

func (t *turn) close() error {
	if t == nil {
		return nil
	}
	err := t.server.Close()
	for _, conn := range t.packets { // those that were never served
		if closeErr := conn.Close(); !errors.Is(closeErr, net.ErrClosed) {
			err = errors.Join(err, closeErr)
		}
	}
	return err
}

// relayed has the crowd count the relay's connections until they end.
type relayed struct {
	net.Listener
	crowd *crowd
}

func (l *relayed) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.crowd.count(portmux.Accepted(conn), func(v *visitor) {
		v.asked = true
		v.busy++
	})
	return &relayedConn{conn, l.crowd}, nil
}

type relayedConn struct {
	net.Conn
	crowd *crowd
}

func (c *relayedConn) Close() error {
	c.crowd.gone(portmux.Accepted(c.Conn))
	return c.Conn.Close()
}
