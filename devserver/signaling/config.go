package signaling

import (
	"encoding/json"
	"net/http"
	"time"
)

// Config says how a [Hub] behaves and what it lets one client and all of them use up.
// The zero value of every field means its default.
type Config struct {
	// RoomSize is how many peers a room may have; default 2, a call of two.
	RoomSize int
	// MaxRooms is how many rooms there may be; default 1000.
	MaxRooms int
	// MaxConnections and MaxPerAddress are how many clients may be connected, in all
	// and from one address (of IPv6: one /64, RFC 6177 §2); default 4000 and 500.
	// Where there is no room for both, peers that are away give way to new ones.
	MaxConnections, MaxPerAddress int
	// MaxMessage is the largest message from a client in bytes; default 64 KiB.
	// An offer with many codecs and candidates is about 10 KiB.
	MaxMessage int
	// MessageRate and ByteRate are what one client may send per second in the
	// long run, with bursts of as much as in five seconds; default 200 and 1 MiB.
	MessageRate, ByteRate int
	// QueueMessages and QueueBytes bound what waits for one peer; default 256
	// messages and 1 MiB. A peer that is further behind is closed.
	QueueMessages, QueueBytes int
	// KeepBytes is how much of what was sent is kept until it is acknowledged,
	// for a peer that resumes, and of what may wait for one that is away; default
	// 128 KiB.
	KeepBytes int
	// PingInterval is the time between pings; default 25 s, below the idle
	// limits of common proxies and home routers.
	PingInterval time.Duration
	// PongTimeout is how long a peer may take to answer one; default 10 s.
	PongTimeout time.Duration
	// WriteTimeout is how long what waits may take to leave; default 10 s.
	WriteTimeout time.Duration
	// ResumeTime is how long a peer whose line broke may take to come back;
	// default 30 s.
	ResumeTime time.Duration
	// AllowOrigins are origins, such as "https://example.com", whose pages may
	// connect beside those of the server's own. "*" lets every page in.
	AllowOrigins []string
	// ICE, if set, makes what the native peer with that id is told about ICE, from the
	// request that it came by, while that is served; default no servers.
	ICE func(r *http.Request, peer string) ICE
	// Bus connects this hub to others; default one of its own.
	Bus Bus
	// OnQuiet, if set, is called when nothing has happened for a few seconds after
	// something had: a good time to give memory back.
	OnQuiet func()
	// OnEvent, if set, hears of joins and leaves in their order. It is called
	// while the room waits: it must neither block nor call the hub.
	OnEvent func(Event)
}

// burst is for how many seconds a client may send at once what it may send in the long run.
const burst = 5

func (c Config) withDefaults() Config {
	setDefault(&c.RoomSize, 2)
	setDefault(&c.MaxRooms, 1000)
	setDefault(&c.MaxConnections, 4000)
	setDefault(&c.MaxPerAddress, 500)
	setDefault(&c.MaxMessage, 64<<10)
	setDefault(&c.MessageRate, 200)
	setDefault(&c.ByteRate, 1<<20)
	setDefault(&c.QueueMessages, 256)
	setDefault(&c.QueueBytes, 1<<20)
	setDefault(&c.KeepBytes, 128<<10)
	setDefault(&c.PingInterval, 25*time.Second)
	setDefault(&c.PongTimeout, 10*time.Second)
	setDefault(&c.WriteTimeout, 10*time.Second)
	setDefault(&c.ResumeTime, 30*time.Second)
	if c.Bus == nil {
		c.Bus = NewBus()
	}
	if c.ICE == nil {
		c.ICE = func(*http.Request, string) ICE { return ICE{Servers: json.RawMessage("[]")} }
	}
	if c.OnQuiet == nil {
		c.OnQuiet = func() {}
	}
	if c.OnEvent == nil {
		c.OnEvent = func(Event) {}
	}
	return c
}

func setDefault[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// ICE is how peers find each other: a part of RTCConfiguration (WebRTC 1.0 §4.2.1).
type ICE struct {
	// Servers is a JSON array of RTCIceServer (WebRTC 1.0 §4.2.4).
	Servers json.RawMessage `json:"iceServers"`
	// Policy is "relay" for a call through TURN servers only; empty for any way.
	Policy string `json:"iceTransportPolicy,omitempty"`
}

// Event is a change in a room, or a client that was refused or thrown out.
type Event struct {
	Kind EventKind
	Room string
	Door string // how the peer is connected, such as "native" or "socket.io"
	Peer string // the peer's id
	Addr string // its network address, "host:port"
	// Reason is, of a Refused event, why; Origin is set when the page's origin was.
	Reason *Error
	Origin string
	// Peers is how many are in the room after the change, of RoomSize.
	Peers, RoomSize int
}

// EventKind tells what an [Event] is about.
type EventKind string

// The kinds of [Event].
const (
	Joined EventKind = "peer-joined"
	Left   EventKind = "peer-left"
	// Refused events come once in a while for each reason and address.
	Refused EventKind = "refused"
)
