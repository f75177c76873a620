package devserver

import (
	"sync"

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
	// BuiltIn tells that the folder has no index.html.
	BuiltIn bool `json:"builtIn"`
	// Taken is set when the port asked for was not free.
	Taken *PortTakenError `json:"taken,omitempty"`
}

// PeerChange says that a peer joined or left a room.
type PeerChange struct {
	Event    string `json:"event"` // "peer-joined" or "peer-left"
	Room     string `json:"room"`
	Peer     string `json:"peer"`
	Addr     string `json:"addr"`
	Peers    int    `json:"peers"` // in the room after the change
	RoomSize int    `json:"roomSize"`
}

// Stopping says that the server has begun to shut down.
type Stopping struct {
	Event string `json:"event"` // "stopping"
}

func (Ready) event()      {}
func (PeerChange) event() {}
func (Stopping) event()   {}

// events hands events to the caller one at a time, Ready before all others.
type events struct {
	mu   sync.Mutex
	sink func(Event)
}

func (e *events) send(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sink != nil {
		e.sink(ev)
	}
}

func peerChange(e signaling.Event) PeerChange {
	return PeerChange{
		Event: string(e.Kind), Room: e.Room, Peer: e.Peer, Addr: e.Addr,
		Peers: e.Peers, RoomSize: e.RoomSize,
	}
}
