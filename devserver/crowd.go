package devserver

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"rtcdev/devserver/portmux"
	"rtcdev/devserver/signaling"
)

// How many connections that are no signaling there may be, where Config.Limits says
// nothing: as many as signaling may have. Browsers keep six to a server.
const (
	crowdInAll      = 4000
	crowdPerAddress = 500
)

// crowd bounds the connections that the port and its servers hold: those that say nothing,
// those that wait for another request. Signaling counts its own, which leave the server
// with their upgrade.
type crowd struct {
	inAll, perAddress int

	mu    sync.Mutex
	conns map[net.Conn]visitor
	hosts map[string]int
}

type visitor struct {
	host  string
	since time.Time
}

func newCrowd(l Limits) *crowd {
	c := &crowd{inAll: l.Connections, perAddress: l.ConnectionsPerAddress, conns: make(map[net.Conn]visitor), hosts: make(map[string]int)}
	if c.inAll == 0 {
		c.inAll = crowdInAll
	}
	if c.perAddress == 0 {
		c.perAddress = crowdPerAddress
	}
	return c
}

// admit is the port's hook. A connection too many is closed before anything is spent on
// it, a TLS handshake above all.
func (c *crowd) admit(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	host := hostOnly(conn.RemoteAddr().String())
	if len(c.conns) >= c.inAll || c.hosts[host] >= c.perAddress {
		return false
	}
	c.conns[conn] = visitor{host, time.Now()}
	c.hosts[host]++
	return true
}

// gone is the port's hook for a connection that no server got.
func (c *crowd) gone(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, counted := c.conns[conn]
	if !counted {
		return
	}
	delete(c.conns, conn)
	if c.hosts[v.host]--; c.hosts[v.host] == 0 {
		delete(c.hosts, v.host)
	}
}

// arrival is a server's ConnContext.
func (c *crowd) arrival(ctx context.Context, conn net.Conn) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	return signaling.Arrival(ctx, c.conns[portmux.Accepted(conn)].since)
}

// change is a server's ConnState.
func (c *crowd) change(conn net.Conn, state http.ConnState) {
	if state == http.StateHijacked || state == http.StateClosed {
		c.gone(portmux.Accepted(conn))
	}
}
