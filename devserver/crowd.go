package devserver

import (
	"cmp"
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
// with their upgrade. Where there are too many, one without a request under way gives way
// to a new one; and one whose first request does not come in time is closed.
type crowd struct {
	inAll, perAddress int
	patience          time.Duration

	mu    sync.Mutex
	conns map[net.Conn]visitor
	hosts map[string]int
	timer *time.Timer // runs while a first request is waited for
	over  bool
}

type visitor struct {
	host  string
	since time.Time // it came, or its last request ended
	asked bool      // a request has come
	busy  int       // requests under way
	probe bool      // the last request was for a probe: signaling does not count it
	left  bool      // the server has handed that over, and its handler still has it
}

// crowdLook is how often the crowd looks for those who are late.
const crowdLook = time.Second

func newCrowd(l Limits) *crowd {
	c := &crowd{
		inAll: l.Connections, perAddress: l.ConnectionsPerAddress, patience: cmp.Or(l.Handshake, 10*time.Second),
		conns: make(map[net.Conn]visitor), hosts: make(map[string]int),
	}
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
	c.look()
	return true
}

// look needs c.mu.
func (c *crowd) look() {
	if c.timer == nil && !c.over {
		c.timer = time.AfterFunc(crowdLook, c.endLate)
	}
}

// endLate closes the connections whose first request has not come in time.
func (c *crowd) endLate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = nil
	for conn, v := range c.conns {
		switch {
		case v.asked:
		case time.Since(v.since) > c.patience:
			c.forget(conn)
			conn.Close()
		default:
			c.look()
		}
	}
}

// close ends what the crowd does by itself.
func (c *crowd) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.timer != nil {
		c.timer.Stop()
	}
}

// makeRoom ends the oldest connection of these that has no request, if there is one.
func (c *crowd) makeRoom(of func(visitor) bool) bool {
	var oldest net.Conn
	for conn, v := range c.conns {
		if v.busy == 0 && of(v) && (oldest == nil || v.since.Before(c.conns[oldest].since)) {
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

// crowdKey is the context key of a request's connection, as the port accepted it.
type crowdKey struct{}

// arrival is a server's ConnContext.
func (c *crowd) arrival(ctx context.Context, conn net.Conn) context.Context {
	conn = portmux.Accepted(conn)
	c.mu.Lock()
	defer c.mu.Unlock()
	return context.WithValue(signaling.Arrival(ctx, c.conns[conn].since), crowdKey{}, conn)
}

// requests tells the crowd of the requests that next has.
func (c *crowd) requests(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _ := r.Context().Value(crowdKey{}).(net.Conn)
		c.count(conn, func(v *visitor) {
			v.asked = true
			v.busy++
			v.probe = isProbe(r)
		})
		defer c.count(conn, func(v *visitor) {
			v.busy--
			v.since = time.Now()
			if v.left { // nobody else will tell of its end
				c.forget(conn)
			}
		})
		next.ServeHTTP(w, r)
	})
}

// count changes what is known of a connection, unless it has given way. change is called
// with c.mu.
func (c *crowd) count(conn net.Conn, change func(*visitor)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, counted := c.conns[conn]
	if !counted {
		return
	}
	change(&v)
	if _, counted := c.conns[conn]; counted {
		c.conns[conn] = v
	}
}

// change is a server's ConnState.
func (c *crowd) change(conn net.Conn, state http.ConnState) {
	conn = portmux.Accepted(conn)
	switch state {
	case http.StateClosed:
		c.gone(conn)
	case http.StateHijacked:
		c.count(conn, func(v *visitor) {
			if v.left = v.probe; !v.left {
				c.forget(conn)
			}
		})
	}
}
