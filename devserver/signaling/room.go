package signaling

import (
	"slices"
	"sync"
)

// Receiver is how a door tells its client something. The room waits meanwhile:
// neither method may block or call the hub.
type Receiver interface {
	// Notify queues n for the client. It returns false when the client is too far
	// behind to take it, and is then stopped with TooSlow.
	Notify(n Notice) bool
	// Stop tells the client why it ends and ends it, after what is queued. The
	// door calls Member.Leave then, from a goroutine of its own.
	Stop(reason *Error)
}

// Notice is what a member of a room hears.
type Notice struct {
	Kind  NoticeKind
	Peer  string   // who joined, left or sent; for Welcome the member itself
	Peers []string // for Welcome: who was there before, in the order of their coming
	Data  []byte   // for Signal: the sender's bytes, lent for the time of the call
}

// NoticeKind tells what a [Notice] is about.
type NoticeKind int

// The kinds of [Notice].
const (
	Welcome NoticeKind = iota + 1
	PeerJoined
	PeerLeft
	Signal
)

// Join asks for a place in a room.
type Join struct {
	Door string // who asks, such as "socket.io": for events and metrics
	Room string // see [RoomName]; a door's own rooms have a control character in their names
	// ID is the member's id; empty has the hub make one.
	ID   string
	Addr string // the client's network address, "host:port"
	// Size is how many the room may have; 0 is Config.RoomSize.
	Size int
	// Quiet members hear of no one's coming and going, and nobody of theirs.
	Quiet    bool
	Receiver Receiver
}

// Member is a place in a room, from [Hub.Join] to [Member.Leave].
type Member struct {
	hub      *Hub
	room     *room
	id       string
	instance string
	door     string
	addr     string
	size     int // of its room, as it asked
	receiver Receiver

	settled chan struct{} // closed when the room has let it in or not
	refused *Error        // set before, if not
	leave   sync.Once
}

// room is a node's view of a room: what the events of its channel make of it.
type room struct {
	hub     *Hub
	name    string
	channel Channel
	users   int // places taken and asked for here; guarded by hub.mu

	mu      sync.Mutex
	members []*place          // in the order of their coming
	byID    map[string]*place // the same, once there are more than a few
	asking  []*Member         // of this node, published and not yet delivered
}

// fewMembers are found faster, and kept in less memory, without a map.
const fewMembers = 8

// place returns the member with that id, or nil. It needs r.mu, as the two below.
func (r *room) place(id string) *place {
	if r.byID != nil {
		return r.byID[id]
	}
	for _, p := range r.members {
		if p.id == id {
			return p
		}
	}
	return nil
}

func (r *room) add(p *place) {
	r.members = append(r.members, p)
	if r.byID == nil && len(r.members) > fewMembers {
		r.byID = make(map[string]*place)
		for _, m := range r.members {
			r.byID[m.id] = m
		}
	} else if r.byID != nil {
		r.byID[p.id] = p
	}
}

func (r *room) remove(p *place) {
	i := slices.Index(r.members, p)
	r.members = slices.Delete(r.members, i, i+1)
	delete(r.byID, p.id)
}

// place is a member of this node or another.
type place struct {
	id, instance string
	quiet        bool
	here         *Member // nil: at another node
}

// ID is the member's id in its room.
func (m *Member) ID() string { return m.id }

// Send passes data, which is valid JSON and lent, to the member called to, or to
// everyone else. The error is [*Error] with NoSuchPeer.
func (m *Member) Send(to string, data []byte) error {
	return m.send([]byte(to), data)
}

func (m *Member) send(to, data []byte) error {
	receiver := ""
	if len(to) > 0 {
		m.room.mu.Lock()
		p := m.room.place(string(to))
		m.room.mu.Unlock()
		if p == nil || p.id == m.id {
			return refuse(NoSuchPeer, "there is no other peer %.64q in this room; it may have left", to)
		}
		receiver = p.id
	}
	m.room.channel.Publish(BusEvent{Kind: BusSignal, Peer: m.id, To: receiver, Data: data})
	return nil
}

// Leave takes the member out of its room; the others hear of it. Only the first
// call counts. It may be called from anywhere but a [Receiver].
func (m *Member) Leave() {
	m.leave.Do(func() {
		m.room.channel.Publish(BusEvent{Kind: BusLeave, Peer: m.id, Instance: m.instance})
		m.hub.putRoom(m.room)
	})
}

// deliver makes of the room what an event says.
func (r *room) deliver(ev BusEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch ev.Kind {
	case BusJoin:
		r.join(ev)
	case BusLeave:
		p := r.place(ev.Peer)
		if p == nil || p.instance != ev.Instance {
			return
		}
		r.remove(p)
		if p.here != nil {
			r.hub.emit(Left, p.here, len(r.members))
		}
		if !p.quiet {
			r.tell(Notice{Kind: PeerLeft, Peer: p.id}, p)
		}
	case BusSignal:
		r.relay(ev)
	}
}

// join lets the one in who asks, or not: every node decides alike. It needs r.mu.
func (r *room) join(ev BusEvent) {
	var m *Member
	if i := slices.IndexFunc(r.asking, func(m *Member) bool { return m.instance == ev.Instance }); i >= 0 {
		m = r.asking[i]
		r.asking = slices.Delete(r.asking, i, i+1)
		defer close(m.settled)
	}
	var refused *Error
	switch {
	case r.place(ev.Peer) != nil:
		refused = refuse(IDTaken, "the id %.64q is taken", ev.Peer)
	case len(r.members) >= ev.Size:
		refused = refuse(RoomFull, "room %q is full: it has %d of %d peers", r.name, len(r.members), ev.Size)
	}
	if refused != nil {
		if m != nil {
			m.refused = refused
		}
		return
	}
	p := &place{id: ev.Peer, instance: ev.Instance, quiet: ev.Quiet, here: m}
	if m != nil {
		m.receiver.Notify(Notice{Kind: Welcome, Peer: p.id, Peers: r.others(p)})
	}
	r.add(p)
	if m != nil {
		r.hub.emit(Joined, m, len(r.members))
	}
	if !p.quiet {
		r.tell(Notice{Kind: PeerJoined, Peer: p.id}, p)
	}
}

// others lists whom a newcomer meets. It needs r.mu.
func (r *room) others(newcomer *place) (ids []string) {
	if newcomer.quiet {
		return nil
	}
	for _, p := range r.members {
		ids = append(ids, p.id)
	}
	return ids
}

// tell passes news of a member to the others of this node. It needs r.mu.
func (r *room) tell(n Notice, of *place) {
	for _, p := range r.members {
		if p != of && p.here != nil && !p.quiet {
			p.notify(n)
		}
	}
}

// relay passes a message on. It needs r.mu.
func (r *room) relay(ev BusEvent) {
	from := r.place(ev.Peer)
	if from == nil {
		return // it has left, and its reader has yet to notice
	}
	n := Notice{Kind: Signal, Peer: from.id, Data: ev.Data}
	if ev.To != "" {
		if p := r.place(ev.To); p != nil && p.here != nil {
			p.notify(n)
		}
		return
	}
	for _, p := range r.members {
		if p != from && p.here != nil {
			p.notify(n)
		}
	}
}

func (p *place) notify(n Notice) {
	if !p.here.receiver.Notify(n) {
		p.here.receiver.Stop(tooSlow())
	}
}
