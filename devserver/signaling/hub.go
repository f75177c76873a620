package signaling

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Config says how a [Hub] behaves. The zero value of every field means its
// default.
type Config struct {
	// RoomSize is how many peers a room may have; default 2, a call of two.
	RoomSize int
	// MaxMessage is the largest message from a client in bytes; default 64 KiB.
	// An offer with many codecs and candidates is about 10 KiB.
	MaxMessage int
	// QueueMessages and QueueBytes bound what waits for one peer; default 256
	// messages and 1 MiB. A peer that is further behind is closed.
	QueueMessages, QueueBytes int
	// PingInterval is the time between pings; default 25 s, below the idle
	// limits of common proxies and home routers.
	PingInterval time.Duration
	// PongTimeout is how long a peer may take to answer one; default 10 s.
	PongTimeout time.Duration
	// WriteTimeout is how long one message may take to leave; default 10 s.
	WriteTimeout time.Duration
	// OnEvent, if set, hears of joins and leaves in their order. It is called
	// under the hub's lock: it must neither wait nor call the hub.
	OnEvent func(Event)
}

// Event is a change in a room.
type Event struct {
	Kind EventKind
	Room string
	Peer string // the peer's id
	Addr string // its network address, "host:port"
	// Peers is how many are in the room after the change, of RoomSize.
	Peers, RoomSize int
}

// EventKind tells what an [Event] is about.
type EventKind string

// The kinds of [Event].
const (
	Joined EventKind = "peer-joined"
	Left   EventKind = "peer-left"
)

// Stats counts what a hub holds at one moment.
type Stats struct{ Rooms, Peers int }

// Hub keeps the rooms and is the http.Handler of the WebSocket door. Make one
// with [New]; end it with [Hub.Shutdown].
type Hub struct {
	cfg      Config
	upgrader websocket.Upgrader
	conns    sync.WaitGroup // one per connection, from before the upgrade to the end

	mu      sync.Mutex
	rooms   map[string][]*peer // members in the order of their coming
	live    map[*peer]struct{} // every connection that still has a writer, in a room or not
	closing bool
}

// New returns a hub without rooms.
func New(cfg Config) *Hub {
	setDefault(&cfg.RoomSize, 2)
	setDefault(&cfg.MaxMessage, 64<<10)
	setDefault(&cfg.QueueMessages, 256)
	setDefault(&cfg.QueueBytes, 1<<20)
	setDefault(&cfg.PingInterval, 25*time.Second)
	setDefault(&cfg.PongTimeout, 10*time.Second)
	setDefault(&cfg.WriteTimeout, 10*time.Second)
	if cfg.OnEvent == nil {
		cfg.OnEvent = func(Event) {}
	}
	return &Hub{
		cfg: cfg,
		upgrader: websocket.Upgrader{
			HandshakeTimeout: cfg.WriteTimeout,
			ReadBufferSize:   2 << 10,
			WriteBufferSize:  4 << 10,
			// CheckOrigin stays nil, which lets only pages of the request's own
			// Host in. Which hosts there are is for the caller to guard.
		},
		rooms: make(map[string][]*peer),
		live:  make(map[*peer]struct{}),
	}
}

func setDefault[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// Stats returns the current counts.
func (h *Hub) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := Stats{Rooms: len(h.rooms)}
	for _, members := range h.rooms {
		s.Peers += len(members)
	}
	return s
}

// Shutdown tells every peer that the server is stopping, closes their
// connections and waits for them to end. When ctx ends first the connections
// are cut, and Shutdown returns ctx's error after they are gone.
func (h *Hub) Shutdown(ctx context.Context) error {
	h.mu.Lock()
	h.closing = true
	for p := range h.live {
		p.fail(shuttingDown, "the server is stopping")
	}
	h.mu.Unlock()

	gone := make(chan struct{})
	go func() { h.conns.Wait(); close(gone) }()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
	}
	h.mu.Lock()
	for p := range h.live {
		p.cut()
	}
	h.mu.Unlock()
	<-gone
	return fmt.Errorf("closing the signaling connections: %w", ctx.Err())
}

// enter counts a connection in, unless the hub is closing. What it counts,
// h.conns.Done counts out.
func (h *Hub) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closing {
		return false
	}
	h.conns.Add(1)
	return true
}

// attach makes p known to Shutdown; detach ends that.
func (h *Hub) attach(p *peer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.live[p] = struct{}{}
	if h.closing { // Shutdown ran between enter and attach
		p.fail(shuttingDown, "the server is stopping")
	}
}

func (h *Hub) detach(p *peer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.live, p)
}

// join puts p into its room, welcomes it and tells the others; a full room or a
// closing hub turns it away. It reports whether p is now a member.
func (h *Hub) join(p *peer) bool {
	h.mu.Lock()
	if h.closing {
		h.mu.Unlock()
		p.fail(shuttingDown, "the server is stopping")
		return false
	}
	members := h.rooms[p.room]
	if len(members) >= h.cfg.RoomSize {
		h.mu.Unlock()
		p.fail(roomFull, fmt.Sprintf("room %q is full: it has %d of %d peers", p.room, len(members), h.cfg.RoomSize))
		return false
	}
	ids := make([]string, len(members))
	for i, m := range members {
		ids[i] = m.id
	}
	h.rooms[p.room] = append(members, p)
	p.out.put(welcomeMessage(p.id, p.room, ids))
	h.emit(Joined, p)
	h.send(members, joinedMessage(p.id))
	h.mu.Unlock()
	return true
}

// leave takes p out of its room, if it is still there, and tells the others.
func (h *Hub) leave(p *peer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.remove(p)
}

// relay passes data from p on: to the peer called to, or to everyone else.
func (h *Hub) relay(p *peer, to string, data json.RawMessage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	members := h.rooms[p.room]
	if !slices.Contains(members, p) { // thrown out a moment ago: its reader has yet to notice
		return
	}
	receivers := make([]*peer, 0, len(members))
	for _, m := range members {
		if m != p && (to == "" || m.id == to) {
			receivers = append(receivers, m)
		}
	}
	msg := signalMessage(p.id, data)
	if to != "" && len(receivers) == 0 {
		receivers = []*peer{p}
		msg = errorMessage(noSuchPeer, fmt.Sprintf("there is no other peer %.64q in this room; it may have left", to))
	}
	h.send(receivers, msg)
}

// send queues msg for each of the peers and throws out those that are too far
// behind to take it. It needs h.mu.
func (h *Hub) send(to []*peer, msg []byte) {
	for _, m := range slices.Clone(to) { // remove changes the room's slice
		if !m.out.put(msg) {
			m.tooSlow()
			h.remove(m)
		}
	}
}

// remove needs h.mu; see leave. Telling the others may throw out more of them:
// the recursion ends because each step has one member less.
func (h *Hub) remove(p *peer) {
	members := h.rooms[p.room]
	i := slices.Index(members, p)
	if i < 0 {
		return
	}
	members = slices.Delete(members, i, i+1)
	if len(members) == 0 {
		delete(h.rooms, p.room)
	} else {
		h.rooms[p.room] = members
	}
	h.emit(Left, p)
	h.send(members, leftMessage(p.id))
}

func (h *Hub) emit(kind EventKind, p *peer) {
	h.cfg.OnEvent(Event{
		Kind: kind, Room: p.room, Peer: p.id, Addr: p.addr,
		Peers: len(h.rooms[p.room]), RoomSize: h.cfg.RoomSize,
	})
}

// newID returns an id that cannot be guessed: 130 random bits after a "p".
func newID() string { return "p" + strings.ToLower(rand.Text()) }
