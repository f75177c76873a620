package devserver

import (
	"net"
	"net/http"
	"sync"
)

// How many connections that are no signaling there may be, where Config.Limits says
// nothing: as many as signaling may have. Browsers keep six to a server.
const (
	crowdInAll      = 4000
	crowdPerAddress = 500
)

// crowd bounds the connections that the HTTP server itself holds: those that say nothing,
// those that wait for another request. Signaling counts its own, which leave the server
// with their upgrade.
type crowd struct {
	inAll, perAddress int

	mu    sync.Mutex
	conns map[net.Conn]string
	hosts map[string]int
}

func newCrowd(l Limits) *crowd {
	c := &crowd{inAll: l.Connections, perAddress: l.ConnectionsPerAddress, conns: make(map[net.Conn]string), hosts: make(map[string]int)}
	if c.inAll == 0 {
		c.inAll = crowdInAll
	}
	if c.perAddress == 0 {
		c.perAddress = crowdPerAddress
	}
	return c
}

// change is the server's ConnState. A connection too many is closed before anything
// is spent on it, a TLS handshake above all.
func (c *crowd) change(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		host := hostOnly(conn.RemoteAddr().String())
		if len(c.conns) >= c.inAll || c.hosts[host] >= c.perAddress {
			conn.Close()
			return
		}
		c.conns[conn] = host
		c.hosts[host]++
	case http.StateHijacked, http.StateClosed:
		host, counted := c.conns[conn]
		if !counted {
			return
		}
		delete(c.conns, conn)
		if c.hosts[host]--; c.hosts[host] == 0 {
			delete(c.hosts, host)
		}
	}
}
