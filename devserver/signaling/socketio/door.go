package socketio

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"rtcdev/devserver/signaling"
)

// Path is where a Door has to be mounted: clients and pages have it built in.
const Path = "/socket.io/"

// doorName is what this door is called in metrics and events.
const doorName = "socket.io"

//go:embed client.js
var clientScript []byte

// Config says how a [Door] behaves. The zero value of every field means its
// default.
type Config struct {
	// PingInterval and PingTimeout are what clients are told: how often one side
	// pings, and how long the other may take to answer. Default 25 s and 20 s, as
	// in socket.io 4.
	PingInterval, PingTimeout time.Duration
	// MaxPayload is the largest request of a polling client in bytes, with all
	// the messages in it; default 256 KiB. Each message is bounded by the hub.
	MaxPayload int
	// RoomSize is how many pages that know of no rooms may hear each other: as many
	// as a room of the hub may have. Default 2, as there.
	RoomSize int
	// Addrs returns the addresses at which other devices reach this server, for
	// pages that ask for "ipaddr"; by default the machine's own IPv4 addresses.
	Addrs func() []string
}

// Door is the http.Handler for socket.io clients. Make one with [New], mount it at
// [Path] (and without its last slash, as some clients ask), or where [Door.Wants] says
// so, and end it with [Door.Shutdown] after the hub's Shutdown has begun.
type Door struct {
	hub     *signaling.Hub
	cfg     Config
	handler http.Handler
	etag    string
	live    sync.WaitGroup // sessions

	mu       sync.Mutex
	closing  bool
	sessions map[string]*session // by sid
	members  map[string]*socket  // by the id that others know
	lobby    lobby
}

// New returns a door onto hub.
func New(hub *signaling.Hub, cfg Config) *Door {
	if cfg.PingInterval <= 0 {
		cfg.PingInterval = 25 * time.Second
	}
	if cfg.PingTimeout <= 0 {
		cfg.PingTimeout = 20 * time.Second
	}
	if cfg.MaxPayload <= 0 {
		cfg.MaxPayload = 256 << 10
	}
	if cfg.RoomSize <= 0 {
		cfg.RoomSize = 2
	}
	if cfg.Addrs == nil {
		cfg.Addrs = machineAddrs
	}
	sum := sha256.Sum256(clientScript)
	d := &Door{
		hub:      hub,
		cfg:      cfg,
		etag:     `"` + hex.EncodeToString(sum[:8]) + `"`,
		sessions: make(map[string]*session),
		members:  make(map[string]*socket),
		lobby:    lobby{size: cfg.RoomSize},
	}
	d.handler = hub.CORS(http.HandlerFunc(d.route))
	return d
}

// ServeHTTP answers everything below [Path].
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if name, _ := rest(r); isScript(name) {
		d.serveScript(w, r, name)
		return
	}
	d.handler.ServeHTTP(w, r)
}

// Shutdown ends every session, tells the clients that the server is stopping, and
// waits until nothing of them is left or ctx ends.
func (d *Door) Shutdown(ctx context.Context) error {
	d.mu.Lock()
	d.closing = true
	all := make([]*session, 0, len(d.sessions))
	for _, s := range d.sessions {
		all = append(all, s)
	}
	d.mu.Unlock()
	for _, s := range all {
		s.end(shuttingDown())
	}
	gone := make(chan struct{})
	go func() { d.live.Wait(); close(gone) }()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("ending the socket.io sessions: %w", ctx.Err())
	}
}

func (d *Door) route(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	path, _ := rest(r)
	w.Header().Set("Cache-Control", "no-store")
	get, post := r.Method == http.MethodGet, r.Method == http.MethodPost
	switch {
	case path == "":
		d.serveEngine(w, r)
	case path == "events" && get:
		d.streamEvents(w, r)
	case path == "send" && post:
		d.receiveSent(w, r)
	case path == "events" || path == "send":
		http.Error(w, "This address is for the script "+Path+"socket.io.js.", http.StatusMethodNotAllowed)
	default:
		http.Error(w, "Nothing here: the files below "+Path+" are socket.io.js, socket.io.min.js and, as an ES module, socket.io.esm.min.js.", http.StatusNotFound)
	}
}

// serveEngine answers what Engine.IO clients ask for.
func (d *Door) serveEngine(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	transport, version := query.Get("transport"), 0
	switch query.Get("EIO") {
	case "3":
		version = 3
	case "4":
		version = 4
	}
	var s *session
	sid := query.Get("sid")
	switch {
	case version == 0:
		refuse(w, unsupportedVersion, "")
	case transport != "polling" && transport != "websocket":
		refuse(w, transportUnknown, "")
	case query.Has("j"):
		refuse(w, badRequest, "JSONP polling is not supported: leave out the option jsonp or forceJSONP")
	case sid == "" && r.Method != http.MethodGet:
		refuse(w, badHandshakeMethod, "")
	case sid == "" && transport == "polling":
		d.openPolling(w, r, version)
	case sid == "":
		d.openWire(w, r, version)
	default:
		s = d.find(sid)
		d.serveSession(w, r, s, version, transport)
	}
}

// serveSession answers a request for a session that there is, or is not (nil).
func (d *Door) serveSession(w http.ResponseWriter, r *http.Request, s *session, version int, transport string) {
	switch {
	case s == nil || s.hasEnded():
		refuse(w, sessionUnknown, "")
	case s.version != version:
		refuse(w, badRequest, "this session has another protocol version")
	case transport == "websocket":
		s.upgrade(w, r)
	case r.Method == http.MethodGet:
		s.poll(w, r)
	case r.Method == http.MethodPost:
		s.post(w, r)
	default:
		refuse(w, badRequest, "a polling client uses GET and POST")
	}
}

// newSession makes a session that nobody knows of yet.
func (d *Door) newSession(version int, addr string) *session {
	s := &session{door: d, sid: rand.Text(), version: version, wake: make(chan struct{}, 1)}
	// The sid is a secret and the id is for everyone, so they are not the same,
	// although to a version 3 client its own sid is the socket's id as well.
	s.socket = &socket{session: s, id: "p" + strings.ToLower(rand.Text()), addr: addr}
	return s
}

// admit makes s known. It reports false when the door is closing.
func (d *Door) admit(s *session) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closing {
		return false
	}
	d.live.Add(1)
	d.sessions[s.sid] = s
	d.members[s.socket.id] = s.socket
	return true
}

func (d *Door) forget(s *session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.sessions, s.sid)
	delete(d.members, s.socket.id)
}

// find returns the session, which may just have ended, or nil.
func (d *Door) find(sid string) *session {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sessions[sid]
}

// hasMedia reports whether the page behind a member of this door has said so.
func (d *Door) hasMedia(id string) bool {
	d.mu.Lock()
	s := d.members[id]
	d.mu.Unlock()
	return s != nil && s.granted.Load()
}

// machineAddrs lists this machine's IPv4 addresses that are not loopback.
func machineAddrs() []string {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var list []string
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			list = append(list, n.IP.String())
		}
	}
	return list
}
