package signaling

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// Hub keeps the rooms and is the http.Handler of the native WebSocket door. Make
// one with [New]; end it with [Hub.Shutdown].
type Hub struct {
	cfg      Config
	upgrader websocket.Upgrader
	buffers  *sync.Pool
	workers  workers
	looks    atomic.Int64 // how often the keeper has looked
	clock    atomic.Int64 // when it did so last, in Unix nanoseconds: asking the system costs more than a message's share of it
	metrics  *counts
	reports  reports
	running  sync.WaitGroup // one per visit, and the keeper

	mu       sync.Mutex
	rooms    map[string]*room
	visits   map[*Visit]struct{} // every client that is connected
	perHost  map[string]int
	sessions map[string]*session // native peers by their tokens
	away     map[*session]struct{}
	keeping  bool
	closing  bool
}

// New returns a hub without rooms.
func New(cfg Config) *Hub {
	h := &Hub{
		cfg:      cfg.withDefaults(),
		buffers:  newBufferPool(),
		metrics:  newCounts(),
		rooms:    make(map[string]*room),
		visits:   make(map[*Visit]struct{}),
		perHost:  make(map[string]int),
		sessions: make(map[string]*session),
		away:     make(map[*session]struct{}),
	}
	h.upgrader = websocket.Upgrader{
		HandshakeTimeout: h.cfg.WriteTimeout,
		// ReadBufferSize is 0: see wireHijacker.
		// The queues frame and batch what is sent: gorilla's buffer is never used.
		WriteBufferSize: 512,
		WriteBufferPool: new(sync.Pool),
		CheckOrigin:     h.checkOrigin,
		// Compression stays off: a few KiB of it decompress to a hundred MiB.
	}
	return h
}

// Stats counts what a hub holds at one moment.
type Stats struct{ Rooms, Peers int }

// Stats returns the current counts.
func (h *Hub) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := Stats{Rooms: len(h.rooms)}
	for _, r := range h.rooms {
		s.Peers += r.users
	}
	return s
}

// Join puts a client into a room. Its Receiver has heard Welcome, before anything
// else, when Join returns. The error is [*Error] with RoomFull, TooManyRooms,
// IDTaken or ShuttingDown.
func (h *Hub) Join(j Join) (*Member, error) {
	if j.Size <= 0 {
		j.Size = h.cfg.RoomSize
	}
	instance := newID()
	if j.ID == "" {
		j.ID = instance
	}
	r, refused := h.getRoom(j.Room)
	if refused != nil {
		return nil, refused
	}
	m := &Member{
		hub: h, room: r, id: j.ID, instance: instance, door: j.Door, addr: j.Addr, size: j.Size,
		receiver: j.Receiver, settled: make(chan struct{}),
	}
	r.mu.Lock()
	r.asking = append(r.asking, m)
	r.mu.Unlock()
	r.channel.Publish(BusEvent{Kind: BusJoin, Peer: m.id, Instance: m.instance, Size: j.Size, Quiet: j.Quiet})
	<-m.settled
	m.settled = nil // one thing less to keep for each connection
	if m.refused != nil {
		m.Leave() // takes the join back, which holds at the bus
		return nil, m.refused
	}
	return m, nil
}

// getRoom returns the room, for one place more.
func (h *Hub) getRoom(name string) (*room, *Error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closing {
		return nil, stopping()
	}
	r := h.rooms[name]
	if r == nil {
		if len(h.rooms) >= h.cfg.MaxRooms {
			return nil, refuse(TooManyRooms, "this server has as many rooms as it may have, %d", len(h.rooms))
		}
		r = &room{hub: h, name: name}
		r.channel = h.cfg.Bus.Open(name, r.deliver)
		h.rooms[name] = r
	}
	r.users++
	return r, nil
}

// putRoom gives a place back.
func (h *Hub) putRoom(r *room) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.users--; r.users == 0 {
		delete(h.rooms, r.name)
		r.channel.Close()
	}
}

// Shutdown tells every client that the server is stopping, closes their
// connections and waits for them to end. When ctx ends first the connections
// are cut, and Shutdown returns ctx's error after they are gone.
func (h *Hub) Shutdown(ctx context.Context) error {
	h.mu.Lock()
	h.closing = true
	visits := make([]*Visit, 0, len(h.visits))
	for v := range h.visits {
		visits = append(visits, v)
	}
	away := make([]*session, 0, len(h.away))
	for s := range h.away {
		away = append(away, s)
	}
	h.mu.Unlock()
	for _, v := range visits {
		v.doing().stop(stopping())
	}
	for _, s := range away {
		s.end(stopping())
	}
	gone := make(chan struct{})
	go func() { h.running.Wait(); close(gone) }()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
	}
	for _, v := range visits {
		v.doing().cut()
	}
	<-gone
	return fmt.Errorf("closing the signaling connections: %w", ctx.Err())
}

// stops tells whether Shutdown has begun.
func (h *Hub) stops() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closing
}

func stopping() *Error { return refuse(ShuttingDown, "the server is stopping; try again in a moment") }

// emit needs the room's lock.
func (h *Hub) emit(kind EventKind, m *Member, peers int) {
	h.metrics.peer(kind, m.door)
	h.cfg.OnEvent(Event{
		Kind: kind, Room: m.room.name, Door: m.door, Peer: m.id, Addr: m.addr,
		Peers: peers, RoomSize: m.size,
	})
}

// newID returns an id that cannot be guessed: 130 random bits after a "p".
func newID() string { return "p" + strings.ToLower(rand.Text()) }

// refuseRequest answers a request that no client comes of.
func refuseRequest(w http.ResponseWriter, status int, e *Error) {
	h := w.Header()
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		h.Set("Retry-After", "1") // RFC 9110 §10.2.3
	}
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(errorMessage(e)) // who does not read it does not miss it
}

// keep looks after all connections until there is none: pings, deadlines,
// peers who do not come back. One goroutine for all costs an idle connection nothing.
func (h *Hub) keep() {
	defer h.running.Done()
	every := min(h.cfg.PingInterval, h.cfg.PongTimeout, h.cfg.WriteTimeout, h.cfg.ResumeTime) / 4
	ticker := time.NewTicker(max(5*time.Millisecond, min(every, lingering/4)))
	defer ticker.Stop()
	var visits []*Visit
	var quiet quietness
	for now := range ticker.C {
		h.looks.Add(1)
		h.clock.Store(now.UnixNano())
		var late []*session
		h.mu.Lock()
		visits = visits[:0]
		for v := range h.visits {
			visits = append(visits, v)
		}
		for s := range h.away {
			if now.Sub(s.awaySince) > h.cfg.ResumeTime {
				late = append(late, s)
			}
		}
		if len(visits) == 0 && len(h.away) == 0 {
			h.keeping = false
			h.workers.release()
			closing := h.closing
			h.mu.Unlock()
			if !closing {
				h.cfg.OnQuiet()
			}
			return
		}
		h.mu.Unlock()
		for _, s := range late {
			s.expire()
		}
		for _, v := range visits {
			v.doing().look(now)
		}
		if quiet.begins(h.metrics.activity(), now) {
			h.cfg.OnQuiet()
		}
	}
}

// quietTime is how long nothing may have happened for a hub to be quiet.
const quietTime = 3 * time.Second

// quietness notices when a hub that was busy is no longer.
type quietness struct {
	activity int64
	since    time.Time
	told     bool
}

// begins tells, once for each time, that the activity has not grown for a while.
func (q *quietness) begins(activity int64, now time.Time) bool {
	if activity != q.activity {
		*q = quietness{activity: activity, since: now}
	}
	if q.told || now.Sub(q.since) < quietTime {
		return false
	}
	q.told = true
	return true
}

// startKeeping needs h.mu.
func (h *Hub) startKeeping() {
	if !h.keeping {
		h.keeping = true
		h.workers.retain()
		h.running.Add(1)
		go h.keep()
	}
}
