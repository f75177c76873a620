package relay

import (
	"cmp"
	"container/heap"
	"sync"
	"sync/atomic"
	"time"
)

// maxDelayed bounds the packets that are delayed at one time, to 32 MiB.
const maxDelayed = 16384

// shaper applies impairments. It has one goroutine, from the first Impair on.
type shaper struct {
	hub *hub
	// on is whether there was ever an impairment: until then a packet's way is not
	// longer for it.
	on atomic.Bool

	of func(session string) Path // guarded by hub.mu

	mu      sync.Mutex
	delayed delayedHeap
	number  uint64
	earlier chan struct{} // the first one is another one now
}

// links are a session's.
type links struct {
	up      link // what the session sends
	down    link // what it receives
	outside link // what it receives from outside of the relay (Config.LAN)
}

// Path is the network of one session: what its allocations send, and what they receive,
// together.
type Path struct{ Up, Down Impairment }

// Impair has of tell what network each session has, of those that are there from the
// next packet on, and of others when they come, until the next call; nil makes all
// networks good. It works on relayed packets only, so pages must be made to use the
// relay (iceTransportPolicy "relay").
//
// A packet passes the sender's Up and then the receiver's Down. So an impairment that
// every session has as its Up is passed once on the way between two of them.
//
// Impairments are as [ParseImpairment] makes them; others do nothing. of must not call
// the Server. The error is that of a server that is closed.
func (s *Server) Impair(of func(session string) Path) error {
	sh := &s.hub.shaper
	if of != nil && !s.startShaper(sh) {
		return errClosed
	}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	sh.of = of
	for _, session := range s.hub.sessions {
		sh.apply(session)
	}
	return nil
}

// startShaper starts the goroutine, once. It returns false when the server is closed.
func (s *Server) startShaper(sh *shaper) bool {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	if sh.on.Load() {
		return true
	}
	stop := make(chan struct{})
	var once sync.Once
	number, ok := s.begin(func() { once.Do(func() { close(stop) }) })
	if !ok {
		return false
	}
	sh.on.Store(true)
	go func() {
		defer s.end(number)
		sh.run(stop)
	}()
	return true
}

// apply gives a session the links that it shall have; hub.mu is held.
func (sh *shaper) apply(s *session) {
	var path Path
	if sh.of != nil {
		path = sh.of(s.name)
	}
	for _, i := range []*Impairment{&path.Up, &path.Down} {
		if i.validate() != nil {
			*i = Impairment{}
		}
	}
	s.links.up.set(path.Up)
	s.links.down.set(path.Down)
	s.links.outside.set(cmp.Or(path.Down, path.Up))
}

// pass has a packet go through l and then calls then: at once, or later, with a copy
// and on another goroutine.
func (sh *shaper) pass(l *link, frame []byte, then func(frame []byte)) {
	now := time.Now()
	out, ok := l.plan(now, len(frame)-headroom)
	switch {
	case !ok:
		sh.hub.server.counts.dropped.Add(1)
	case !out.After(now):
		then(frame)
	case !sh.add(out, frame, then):
		sh.hub.server.counts.dropped.Add(1)
	}
}

// add keeps a copy of a packet until out. It returns false when there are too many.
func (sh *shaper) add(out time.Time, frame []byte, then func([]byte)) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if len(sh.delayed) >= maxDelayed {
		return false
	}
	buf := sh.hub.server.buffers.Get().(*buffer)
	sh.number++
	d := &delayedPacket{out: out, number: sh.number, buf: buf, n: copy(buf[:], frame), then: then}
	heap.Push(&sh.delayed, d)
	if sh.delayed[0] == d {
		select {
		case sh.earlier <- struct{}{}:
		default:
		}
	}
	return true
}

// run lets packets go when it is time.
func (sh *shaper) run(stop <-chan struct{}) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		d, wait := sh.due(time.Now())
		if d != nil {
			d.then(d.buf[:d.n])
			sh.hub.server.buffers.Put(d.buf)
			continue
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-sh.earlier:
		case <-stop:
			return
		}
	}
}

// due takes the first packet whose time has come, or says how long that takes.
func (sh *shaper) due(now time.Time) (*delayedPacket, time.Duration) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if len(sh.delayed) == 0 {
		return nil, time.Hour
	}
	if wait := sh.delayed[0].out.Sub(now); wait > 0 {
		return nil, wait
	}
	return heap.Pop(&sh.delayed).(*delayedPacket), 0
}

type delayedPacket struct {
	out    time.Time
	number uint64 // the order of those that come out at the same time
	buf    *buffer
	n      int
	then   func(frame []byte)
}

// delayedHeap is a heap.Interface; the first comes out first.
type delayedHeap []*delayedPacket

func (h delayedHeap) Len() int { return len(h) }
func (h delayedHeap) Less(i, j int) bool {
	if c := h[i].out.Compare(h[j].out); c != 0 {
		return c < 0
	}
	return h[i].number < h[j].number
}
func (h delayedHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *delayedHeap) Push(x any)   { *h = append(*h, x.(*delayedPacket)) }
func (h *delayedHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return last
}
