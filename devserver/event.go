package devserver

import (
	"context"
	"strings"
	"sync"
	"time"

	"rtcdev/devserver/signaling"
)

// Event is something that happened, as `rtcdev serve --json` prints it: one of
// the types below.
type Event interface{ event() }

// Ready says that the server answers.
type Ready struct {
	Event   string   `json:"event"` // "ready"
	URL     string   `json:"url"`   // the one to open on this machine
	URLs    []string `json:"urls"`  // all of them, URL first
	Port    int      `json:"port"`
	Signal  string   `json:"signal"` // the WebSocket address
	Version string   `json:"version"`
	Room    string   `json:"room"` // URL with the default room
	// Networks is where other devices reach the server, best first.
	Networks []Network `json:"networks,omitempty"`
	// BuiltIn tells that the folder has no index.html.
	BuiltIn bool `json:"builtIn"`
	// Proxy is Config.Proxy, SignalOnly Config.SignalOnly.
	Proxy      string `json:"proxy,omitempty"`
	SignalOnly bool   `json:"signalOnly,omitempty"`
	// Taken is set when the port asked for was not free.
	Taken *PortTakenError `json:"taken,omitempty"`
}

// PeerChange says that a peer joined or left a room.
type PeerChange struct {
	Event    string    `json:"event"` // "peer-joined" or "peer-left"
	Time     time.Time `json:"time"`
	Room     string    `json:"room"`
	Peer     string    `json:"peer"`
	Door     string    `json:"door"` // "native", "events", "socket.io" or "peerjs"
	Addr     string    `json:"addr"`
	Peers    int       `json:"peers"` // in the room after the change
	RoomSize int       `json:"roomSize"`
}

// Unreached says that a page loads webrtc-adapter from the internet, which this
// machine cannot reach. It is sent once for a page and address, and again when a
// copy has appeared or gone.
type Unreached struct {
	Event   string    `json:"event"` // "unreached"
	Time    time.Time `json:"time"`
	Page    string    `json:"page"`    // the page's path
	Address string    `json:"address"` // as it is in the page
	Reason  string    `json:"reason"`
	// Copy is the file of the folder that the page gets instead, relative to it;
	// empty if there is none.
	Copy string `json:"copy,omitempty"`
	// Integrity tells that the page demands a certain content (the integrity
	// attribute) and so would refuse a copy: it gets none.
	Integrity bool `json:"integrity,omitempty"`
}

// Refused says that a client was refused or thrown out, once in a while for each reason
// and address.
type Refused struct {
	Event   string    `json:"event"` // "refused"
	Time    time.Time `json:"time"`
	Addr    string    `json:"addr"`
	Code    string    `json:"code"` // of the signaling protocol, such as "room-full" or "foreign-origin"
	Message string    `json:"message"`
	// Origin is that of the page, when it is the reason.
	Origin string `json:"origin,omitempty"`
}

// Stopping says that the server has begun to shut down.
type Stopping struct {
	Event string `json:"event"` // "stopping"
}

func (Ready) event()      {}
func (PeerChange) event() {}
func (Refused) event()    {}
func (Unreached) event()  {}
func (Stopping) event()   {}

// eventQueue is how many events may wait for a caller that is busy with one.
// A person who has stopped the terminal's output misses those beyond it.
const eventQueue = 1024

// events hands events to the caller one at a time, on a goroutine of its own:
// whoever sends one never waits, because that would be a peer's connection.
type events struct {
	queue chan Event
	done  chan struct{} // closed when the caller has handled the last one

	mu       sync.Mutex
	finished bool // nobody hears what is sent now
}

func newEvents(sink func(Event)) *events {
	e := &events{queue: make(chan Event, eventQueue), done: make(chan struct{})}
	go func() {
		defer close(e.done)
		for ev := range e.queue {
			if sink != nil {
				sink(ev)
			}
		}
	}()
	return e
}

func (e *events) send(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.finished {
		return
	}
	select {
	case e.queue <- ev:
	default:
	}
}

// finish waits until the caller has handled all events, or ctx ends: then it
// hangs in one, and its goroutine with it. What a request that outlives the
// server sends after that is dropped.
func (e *events) finish(ctx context.Context) {
	e.mu.Lock()
	e.finished = true
	close(e.queue)
	e.mu.Unlock()
	select {
	case <-e.done:
	case <-ctx.Done():
	}
}

func signalingEvent(e signaling.Event) Event {
	if e.Kind == signaling.Refused {
		return Refused{
			Event: string(e.Kind), Time: time.Now(), Addr: e.Addr, Code: string(e.Reason.Code), Message: e.Reason.Text, Origin: e.Origin,
		}
	}
	// A door's own rooms have names that no person gives: see signaling.Join.
	if _, name, own := strings.Cut(e.Room, "\x00"); own {
		e.Room = name
	}
	return PeerChange{
		Event: string(e.Kind), Time: time.Now(), Room: e.Room, Peer: e.Peer, Door: e.Door, Addr: e.Addr,
		Peers: e.Peers, RoomSize: e.RoomSize,
	}
}
