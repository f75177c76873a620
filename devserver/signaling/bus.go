package signaling

import (
	"slices"
	"sync"
)

// Bus carries what happens in a room to every node that has somebody in it. A node
// is one [Hub]; it does not know whether there are others.
//
// A join that is refused because the room is full is taken back by a leave at once; a
// node that opens the room between the two sees that peer for as long. A bus over
// a network has to tell of the leaves of a node that is gone, and a hub waits for
// the bus where it opens a room and joins.
type Bus interface {
	// Open opens a room's channel for a node. deliver hears every event that any
	// node publishes there from now on, and before those the joins that hold, in
	// their order. Calls come one at a time, in the same order at every node;
	// they neither wait nor use the bus.
	Open(room string, deliver func(BusEvent)) Channel
}

// Channel is one node's access to a room's events.
type Channel interface {
	// Publish sends an event to all nodes, this one included. ev.Data is lent for
	// the time of the call. What one caller publishes arrives in its order.
	Publish(ev BusEvent)
	// Close ends the deliveries.
	Close()
}

// BusEvent is something that happens in a room. A join holds, and is delivered to
// nodes that come later, until the leave of the same Peer and Instance.
type BusEvent struct {
	Kind     BusEventKind
	Peer     string // who joins, leaves or sends
	Instance string // for BusJoin and BusLeave: tells members with the same Peer apart
	Size     int    // for BusJoin: how many the room may have
	Quiet    bool   // for BusJoin: see Join.Quiet
	To       string // for BusSignal: the receiver; empty for everyone else
	Data     []byte // for BusSignal
}

// BusEventKind tells what a [BusEvent] is about.
type BusEventKind int

// The kinds of [BusEvent].
const (
	BusJoin BusEventKind = iota + 1
	BusLeave
	BusSignal
)

// localBus is the bus of nodes in one process.
type localBus struct {
	mu    sync.Mutex
	rooms map[string]*localRoom
}

// NewBus returns a bus for hubs in this process. A hub that is given none makes one
// for itself.
func NewBus() Bus { return &localBus{rooms: make(map[string]*localRoom)} }

type localRoom struct {
	mu    sync.Mutex
	nodes []*localChannel
	joins []BusEvent // those that hold
}

type localChannel struct {
	bus     *localBus
	name    string
	room    *localRoom
	deliver func(BusEvent)
}

func (b *localBus) Open(name string, deliver func(BusEvent)) Channel {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.rooms[name]
	if r == nil {
		r = new(localRoom)
		b.rooms[name] = r
	}
	c := &localChannel{b, name, r, deliver}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ev := range r.joins {
		deliver(ev)
	}
	r.nodes = append(r.nodes, c)
	return c
}

func (c *localChannel) Publish(ev BusEvent) {
	r := c.room
	r.mu.Lock()
	defer r.mu.Unlock()
	switch ev.Kind {
	case BusJoin:
		r.joins = append(r.joins, ev)
	case BusLeave:
		r.joins = slices.DeleteFunc(r.joins, func(j BusEvent) bool { return j.Peer == ev.Peer && j.Instance == ev.Instance })
	}
	for _, node := range r.nodes {
		node.deliver(ev)
	}
}

func (c *localChannel) Close() {
	c.bus.mu.Lock()
	defer c.bus.mu.Unlock()
	r := c.room
	r.mu.Lock()
	defer r.mu.Unlock()
	r.nodes = slices.DeleteFunc(r.nodes, func(other *localChannel) bool { return other == c })
	if len(r.nodes) == 0 {
		delete(c.bus.rooms, c.name)
	}
}
