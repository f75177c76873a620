package signaling

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Visit is one client that is connected, through whatever door: what it may use is
// counted here. Its methods may be called from any goroutine.
type Visit struct {
	hub      *Hub
	host     string
	addr     string
	counters *doorMetrics
	actions  visitActions
	heard    atomic.Int64 // when the client last showed that it is there, in Unix nanoseconds
	ended    sync.Once
	stranded atomic.Bool // see [Hub.Strand]

	mu       sync.Mutex
	messages bucket
	bytes    bucket
}

// visitActions are what a door does with its client on the hub's behalf.
type visitActions interface {
	stop(reason *Error)
	cut()
	look(now time.Time)
	depth() int
	local() net.Addr // where the client came to; nil if there is no one connection
}

// doing returns the actions, which are there from register on.
func (v *Visit) doing() visitActions {
	v.hub.mu.Lock()
	defer v.hub.mu.Unlock()
	return v.actions
}

func (v *Visit) depth() int { return v.doing().depth() }

// Admit counts a client in that has no WebSocket, such as one that polls. When there are too
// many, from its address or in all, or the hub is shutting down, it answers the
// request and returns nil. stop is called, on any goroutine, to have the door end the
// client; the door calls [Visit.End] then.
func (h *Hub) Admit(w http.ResponseWriter, r *http.Request, door string, stop func(*Error)) *Visit {
	v := new(Visit)
	if !h.admit(v, w, r, door) {
		return nil
	}
	h.register(v, &polling{v, stop})
	return v
}

// admit is the part of Admit before there is something to stop; register is the
// other. End ends either.
func (h *Hub) admit(v *Visit, w http.ResponseWriter, r *http.Request, door string) bool {
	v.hub, v.host, v.addr, v.counters = h, hostOf(r.RemoteAddr), r.RemoteAddr, h.metrics.door(door)
	now := time.Now().UnixNano()
	h.clock.Store(now)
	v.messages = newBucket(h.cfg.MessageRate, now)
	v.bytes = newBucket(h.cfg.ByteRate, now)
	v.heard.Store(now)
	if refused := h.enter(v); refused != nil {
		h.metrics.refused(refused.Code)
		h.report(r.RemoteAddr, "", refused)
		refuseRequest(w, http.StatusServiceUnavailable, refused)
		return false
	}
	v.counters.connections.Add(1)
	v.counters.connected.Add(1)
	return true
}

func (h *Hub) enter(v *Visit) *Error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closing:
		return stopping()
	case len(h.visits) >= h.cfg.MaxConnections:
		return refuse(Overloaded, "this server has as many connections as it may have; try again in a moment")
	case h.perHost[v.host] >= h.cfg.MaxPerAddress:
		return refuse(Overloaded, "there are %d connections from this address, and there may be no more", h.cfg.MaxPerAddress)
	}
	h.perHost[v.host]++
	v.actions = (*polling)(nil) // until register
	h.visits[v] = struct{}{}
	h.running.Add(1)
	h.startKeeping()
	return nil
}

// yield has the peer that has been away for longest, from the same address or at all,
// give way to a new one when there is no room for both: who leaves peers behind must not
// take up more than who keeps connections.
func (h *Hub) yield(v *Visit) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, n := h.longestAway(v.host)
	if s == nil || h.perHost[v.host]+n <= h.cfg.MaxPerAddress {
		if s, n = h.longestAway(""); s == nil || len(h.visits)+n <= h.cfg.MaxConnections {
			return
		}
	}
	delete(h.away, s)
	go s.expire()
}

// longestAway returns the peer from an address, or any if it is empty, that has been
// away for longest, and how many there are. It needs h.mu.
func (h *Hub) longestAway(host string) (longest *session, n int) {
	for s := range h.away {
		if host != "" && s.visit.Load().host != host {
			continue
		}
		n++
		if longest == nil || s.awaySince.Before(longest.awaySince) {
			longest = s
		}
	}
	return longest, n
}

// register makes the visit known to Shutdown and the keeper.
func (h *Hub) register(v *Visit, actions visitActions) {
	h.mu.Lock()
	v.actions = actions
	closing := h.closing
	h.mu.Unlock()
	if closing { // Shutdown ran between enter and now
		actions.stop(stopping())
	}
}

// Addr is the client's network address, "host:port".
func (v *Visit) Addr() string { return v.addr }

// Take counts one message of n bytes from the client. The error is [*Error] with
// TooLarge or RateLimited; the door then ends the client.
func (v *Visit) Take(n int) error {
	limit := &v.hub.cfg
	if n > limit.MaxMessage {
		return refuse(TooLarge, "the message is larger than %d bytes", limit.MaxMessage)
	}
	v.counters.messagesIn.Add(1)
	v.counters.bytesIn.Add(int64(n))
	return v.spend(n)
}

// spend takes one message or ping of n bytes out of the client's buckets.
func (v *Visit) spend(n int) error {
	limit := &v.hub.cfg
	now := v.hub.clock.Load()
	v.heard.Store(now)
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.messages.take(1, now) {
		return refuse(RateLimited, "more than %d messages a second", limit.MessageRate)
	}
	if !v.bytes.take(n, now) {
		return refuse(RateLimited, "more than %d bytes a second", limit.ByteRate)
	}
	return nil
}

// inherit takes over what another visit of the same client has used up.
func (v *Visit) inherit(before *Visit) {
	before.mu.Lock()
	messages, bytes := before.messages, before.bytes
	before.mu.Unlock()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.messages, v.bytes = messages, bytes
}

// Sent counts one message of n bytes to the client.
func (v *Visit) Sent(n int) {
	v.counters.messagesOut.Add(1)
	v.counters.bytesOut.Add(int64(n))
}

// End counts the client out, because of e, or nil when nothing was wrong. Only the first
// call counts.
func (v *Visit) End(e *Error) {
	code := closeNormal
	if e != nil {
		code = closeCode(e.Code)
	}
	v.end(code)
}

// end is End with a close code.
func (v *Visit) end(code int) {
	v.ended.Do(func() {
		h := v.hub
		h.metrics.closed(code)
		v.counters.connections.Add(-1)
		h.mu.Lock()
		delete(h.visits, v)
		if h.perHost[v.host]--; h.perHost[v.host] == 0 {
			delete(h.perHost, v.host)
		}
		h.mu.Unlock()
		h.running.Done()
	})
}

// polling is a visit that the hub can only stop: its door keeps its own deadlines.
type polling struct {
	visit  *Visit
	ending func(*Error)
}

func (p *polling) stop(reason *Error) {
	if p != nil {
		p.ending(reason)
	}
}

func (p *polling) cut() {
	if p != nil {
		p.ending(stopping())
	}
}

func (*polling) look(time.Time)  {}
func (*polling) depth() int      { return 0 }
func (*polling) local() net.Addr { return nil }

// hostOf is what the connections of one client have in common: its address, or of IPv6
// the /64 in which it can choose any.
func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() || ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() {
		return ip.String() // of a local network, whose devices share the /64
	}
	prefix, err := ip.Prefix(64)
	if err != nil {
		return host
	}
	return prefix.String()
}

// bucket is a token bucket: it fills at rate a second up to five seconds' worth. Times
// are in Unix nanoseconds.
type bucket struct {
	rate, level float64
	at          int64
}

func newBucket(rate int, now int64) bucket {
	return bucket{float64(rate), float64(rate) * burst, now}
}

func (b *bucket) take(n int, now int64) bool {
	if now > b.at {
		b.level = min(b.rate*burst, b.level+b.rate*time.Duration(now-b.at).Seconds())
		b.at = now
	}
	if b.level < float64(n) {
		return false
	}
	b.level -= float64(n)
	return true
}
