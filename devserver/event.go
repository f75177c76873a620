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
	// Impair is the bad network that all calls have, as of Config.Impair.
	Impair string `json:"impair,omitempty"`
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

// Device says how far another device has come on its way into a call, whenever that
// changes: at most once a second for each, and nothing twice within five minutes.
// Of this machine itself only refusals are told.
type Device struct {
	Event string    `json:"event"` // "device"
	Time  time.Time `json:"time"`
	Addr  string    `json:"addr"` // its IP address
	// Name is what it seems to be, such as "iPhone"; empty until it has said.
	Name         string `json:"name,omitempty"`
	ThisComputer bool   `json:"thisComputer,omitempty"`
	// SetUp tells that it was shown how to trust the root, Downloaded that it has
	// fetched that.
	SetUp      bool `json:"setUp"`
	Downloaded bool `json:"downloaded"`
	// Refused is why it does not connect now. With HTTPS it is only a part that does
	// not: after a warning that was clicked away its WebSocket may still be refused.
	Refused TLSRefusal `json:"refused,omitempty"`
	// ServerName is the name it asked for, with [NoCertificate], or when it is one of
	// Config.Names.
	ServerName string `json:"serverName,omitempty"`
	// HTTPS and WebSocket tell what has worked.
	HTTPS     bool `json:"https"`
	WebSocket bool `json:"webSocket"`
	// Door is how it is connected to signaling, as in [PeerChange], and Room where; both
	// are empty before that.
	Door string `json:"door,omitempty"`
	Room string `json:"room,omitempty"`
	// Uninvited tells that it has come without the room's secret, or with a wrong one.
	Uninvited bool `json:"uninvited,omitempty"`
	// Next is what to do on it, when it refuses: a way through its settings, or words.
	Next string `json:"next,omitempty"`
}

// TLSRefusal is why a TLS handshake with a device came to nothing.
type TLSRefusal string

// The reasons for a [TLSRefusal].
const (
	// CertificateRefused: the device does not trust the root.
	CertificateRefused TLSRefusal = "certificate"
	// NoCertificate: there is none for the name that the device asked for.
	NoCertificate TLSRefusal = "no-certificate"
)

// NetworkChange says that this machine's addresses have changed, with those it has now.
type NetworkChange struct {
	Event    string    `json:"event"` // "networks"
	Time     time.Time `json:"time"`
	Networks []Network `json:"networks"` // best first
}

// Named says that other devices find this machine by a name, too, which stays when its
// address changes.
type Named struct {
	Event string    `json:"event"` // "name"
	Time  time.Time `json:"time"`
	Name  string    `json:"name"` // such as "laptop.local"
	URL   string    `json:"url"`
	// SetUp is where a device begins that does not trust the authority yet.
	SetUp string `json:"setUp"`
	// Lost tells that another machine of the network has the name now.
	Lost bool `json:"lost,omitempty"`
	// Own tells that the server answers for the name itself (multicast DNS, RFC 6762),
	// as nothing else on this machine does: it goes when the server ends.
	Own bool `json:"own"`
}

// TCPOnly says that calls through the server's relay go over TCP at an address, because
// another program has the UDP port.
type TCPOnly struct {
	Event   string `json:"event"`   // "tcp-only"
	Address string `json:"address"` // with the port
}

// RelayLost says that the machine no longer has the address on which Config.TURNLAN has
// relayed sockets: until the server is started again, nothing is relayed.
type RelayLost struct {
	Event   string `json:"event"` // "relay-lost"
	Address string `json:"address"`
}

// PageLeft says that a page goes without the server's STUN and TURN: once for a
// page, of the first ten. What it says comes from outside.
type PageLeft struct {
	Event  string `json:"event"` // "page-left"
	Page   string `json:"page"`  // its path
	Reason string `json:"reason"`
}

// Stopping says that the server has begun to shut down.
type Stopping struct {
	Event string `json:"event"` // "stopping"
}

func (Ready) event()         {}
func (PeerChange) event()    {}
func (Refused) event()       {}
func (Unreached) event()     {}
func (Device) event()        {}
func (NetworkChange) event() {}
func (Named) event()         {}
func (Impaired) event()      {}
func (TCPOnly) event()       {}
func (RelayLost) event()     {}
func (PageLeft) event()      {}
func (TestPeer) event()      {}
func (Stopping) event()      {}

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

// tellAll sends several events, in order.
func tellAll(e *events, all []Event) {
	for _, ev := range all {
		e.send(ev)
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
