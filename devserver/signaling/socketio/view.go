package socketio

import (
	"sync"
	"time"

	"rtcdev/devserver/signaling"
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
	glare   glare
}

// peer is another member of the room.
type peer struct {
	media bool  // has said "got user media"
	bye   bool  // has said "bye", and nothing after it
	hold  *hold // nil while nothing is held back
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
	v.glare = glare{}
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
	v.glare = glare{}
	if p != nil {
		v.dropHeld(p)
	}
	if !v.explicit || p == nil || len(v.peers) > 0 { // a call with another goes on
		return true
	}
	v.ready = false
	if !p.bye && !v.send([]byte(messageHead+sayBye+"]")) {
		return false
	}
	// Who stays begins the next call. "bye" comes last: at it, a page of the
	// codelab that is not the initiator reloads itself.
	return v.emit("created", v.room, v.socket.id) && v.emit("bye", v.room)
}

// signal passes on what a peer says, but for an offer that crosses one of the page's,
// and what is held back.
func (v *view) signal(from string, data []byte) bool {
	p, text := v.peers[from], relayPacket(data)
	if !v.explicit || p == nil {
		return v.send(text)
	}
	p.bye = says(data, sayBye)
	switch {
	case p.bye:
		v.dropHeld(p)
		v.glare = glare{}
	case says(data, sayMedia):
		p.media = true
	case isAnswer(data):
		v.glare.made = time.Time{}
	case p.media && isOffer(data):
		if v.inPair() && !v.glare.comesIn(v.socket.id < from) {
			return true // it is the same for both which of the two counts
		}
		if !v.socket.granted.Load() && p.hold == nil {
			v.beginHold(p)
		} else {
			v.glare.got = time.Now()
		}
	}
	if p.hold != nil {
		return v.keep(p, text, data)
	}
	return v.send(text)
}

// sending prepares for data from the page and reports whether anyone is to hear it.
func (v *view) sending(data []byte) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.explicit {
		return true
	}
	v.speaks(data)
	offer := isOffer(data)
	switch {
	case len(v.peers) == 0:
		v.offered = v.offered || offer
		return false
	case isAnswer(data), says(data, sayBye):
		v.glare = glare{}
	case offer && v.inPair() && v.socket.granted.Load() && !v.glare.goesOut():
		v.emit("log", []string{"rtcdev:", "this page has just got an offer, so its own is left out"})
		return false
	}
	return true
}

// inPair tells whether it is clear whom an offer is for. In larger rooms, where each page
// makes one for each, only the pages know.
func (v *view) inPair() bool { return len(v.peers) == 1 }

// places is how many are in the room.
func (v *view) places() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.peers) + 1
}

func (v *view) send(packet []byte) bool { return v.socket.session.send(packet) }

func (v *view) emit(name string, args ...any) bool { return v.send(eventPacket(name, args...)) }
