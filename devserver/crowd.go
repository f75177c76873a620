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
// with their upgrade. Where there are too many, one that no server has got yet, since it
// says nothing or is slow, gives way to a new one.
type crowd struct {
	inAll, perAddress int

	mu    sync.Mutex
	conns map[net.Conn]visitor
	hosts map[string]int
}

type visitor struct {
	host   string
	since  time.Time
	served bool // a server has it
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
	if c.hosts[host] >= c.perAddress && !c.makeRoom(func(v visitor) bool { return v.host == host }) ||
		len(c.conns) >= c.inAll && !c.makeRoom(func(visitor) bool { return true }) {
		return false
	}
	c.conns[conn] = visitor{host: host, since: time.Now()}
	c.hosts[host]++
	return true
}

// makeRoom ends the oldest connection of these that no server has, if there is one.
func (c *crowd) makeRoom(of func(visitor) bool) bool {
	var oldest net.Conn
	for conn, v := range c.conns {
		if !v.served && of(v) && (oldest == nil || v.since.Before(c.conns[oldest].since)) {
			oldest = conn
		}
	}
	if oldest == nil {
		return false
	}
	c.forget(oldest)
	oldest.Close()
	return true
}

// gone is the port's hook for a connection that no server got.
func (c *crowd) gone(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(conn)
}

func (c *crowd) forget(conn net.Conn) {
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
	conn = portmux.Accepted(conn)
	v, counted := c.conns[conn]
	if counted { // else it has just given way
		v.served = true
		c.conns[conn] = v
	}
	return signaling.Arrival(ctx, v.since)
}

// change is a server's ConnState.
func (c *crowd) change(conn net.Conn, state http.ConnState) {
	if state == http.StateHijacked || state == http.StateClosed {
		c.gone(portmux.Accepted(conn))
	}
}
