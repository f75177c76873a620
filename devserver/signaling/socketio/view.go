package socketio

import (
	"sync"

	"rtcdev/devserver/signaling"
)

// What is held back for a page until it has its camera is bounded: an offer and
// its candidates are far below this.
const (
	maxHeld      = 128       // messages
	maxHeldBytes = 256 << 10 // of them in all
)

// view is a page's view of the room it is in: it makes the events that pages
// in the codelab's manner expect of what happens in the room. It is the
// Receiver of the page's membership.
type view struct {
	socket   *socket
	room     string
	explicit bool // the page asked for the room, and so expects the room's events

	mu      sync.Mutex
	peers   map[string]*peer // the others
	ready   bool             // the page has been told so since it was last alone
	offered bool             // the page has made an offer while it was alone
}

// peer is another member of the room.
type peer struct {
	media   bool // has said "got user media"
	bye     bool // has said "bye", and nothing after it
	holding bool // what it says is held back
	held    [][]byte
	size    int // bytes held
}

// Notify implements signaling.Receiver.
func (v *view) Notify(n signaling.Notice) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch n.Kind {
	case signaling.Welcome:
		return v.welcome(n.Peers)
	case signaling.PeerJoined:
		return v.joined(n.Peer)
	case signaling.PeerLeft:
		return v.left(n.Peer)
	case signaling.Signal:
		return v.signal(n.Peer, n.Data)
	}
	return true
}

// Stop implements signaling.Receiver.
func (v *view) Stop(reason *signaling.Error) { v.socket.session.end(reason) }

func (v *view) welcome(peers []string) bool {
	for _, id := range peers {
		v.peers[id] = &peer{media: v.socket.session.door.hasMedia(id)}
	}
	switch {
	case !v.explicit:
		return true
	case len(peers) == 0:
		return v.emit("log", []string{"rtcdev:", "created room", v.room}) && v.emit("created", v.room, v.socket.id)
	}
	ok := v.emit("log", []string{"rtcdev:", "joined room", v.room}) && v.emit("joined", v.room, v.socket.id) && v.isReady()
	for _, p := range v.peers {
		if p.media { // it was said before this page came
			ok = ok && v.send([]byte(messageHead+sayMedia+"]"))
		}
	}
	return ok
}

func (v *view) joined(id string) bool {
	alone := len(v.peers) == 0
	v.peers[id] = &peer{}
	if !v.explicit {
		return true
	}
	if alone && v.offered { // nobody heard that offer: the page has to begin again
		v.offered = false
		if !v.send([]byte(messageHead+sayBye+"]")) || !v.emit("created", v.room, v.socket.id) {
			return false
		}
	}
	return v.emit("join", v.room) && v.isReady()
}

// isReady says "ready" once for every time that the page has company.
func (v *view) isReady() bool {
	if v.ready {
		return true
	}
	v.ready = true
	return v.emit("ready", v.room)
}

func (v *view) left(id string) bool {
	p := v.peers[id]
	delete(v.peers, id)
	if !v.explicit || p == nil {
		return true
	}
	if len(v.peers) > 0 {
		return v.emit("bye", v.room)
	}
	v.ready = false
	if !p.bye && !v.send([]byte(messageHead+sayBye+"]")) {
		return false
	}
	// Who stays begins the next call. "bye" comes last: at it, a page of the
	// codelab that is not the initiator reloads itself.
	return v.emit("created", v.room, v.socket.id) && v.emit("bye", v.room)
}

// signal passes on what a peer says. An offer that the page could not yet answer,
// for want of its camera, is held back with what follows it.
func (v *view) signal(from string, data []byte) bool {
	p, text := v.peers[from], relayPacket(data)
	if !v.explicit || p == nil {
		return v.send(text)
	}
	p.bye = says(data, sayBye)
	switch {
	case p.bye:
		p.holding, p.held, p.size = false, nil, 0
	case says(data, sayMedia):
		p.media = true
	}
	if p.media && !p.holding && !v.socket.granted.Load() && isOffer(data) {
		p.holding = true
		v.emit("log", []string{"rtcdev:", "an offer is held back until this page has its camera"})
	}
	if !p.holding {
		return v.send(text)
	}
	p.held = append(p.held, text)
	p.size += len(text)
	if len(p.held) > maxHeld || p.size > maxHeldBytes {
		return v.release()
	}
	return true
}

// release sends what is held back.
func (v *view) release() bool {
	ok := true
	for _, p := range v.peers {
		for _, text := range p.held {
			ok = ok && v.send(text)
		}
		p.holding, p.held, p.size = false, nil, 0
	}
	return ok
}

// sending prepares for data from the page and reports whether anyone will hear
// it. A page that waits for its camera says nothing, so one that speaks waits no more.
func (v *view) sending(data []byte) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.explicit {
		return true
	}
	v.release()
	if len(v.peers) > 0 {
		return true
	}
	v.offered = v.offered || isOffer(data)
	return false
}

// places is how many are in the room.
func (v *view) places() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.peers) + 1
}

func (v *view) send(packet []byte) bool { return v.socket.session.send(packet) }

func (v *view) emit(name string, args ...any) bool { return v.send(eventPacket(name, args...)) }
