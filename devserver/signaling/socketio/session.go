package socketio

import (
	"encoding/json"
	"sync"
	"time"

	"rtcdev/devserver/signaling"
)

// What waits for a client between two polls is bounded; one that is further
// behind is stopped.
const (
	maxPending      = 1024    // packets
	maxPendingBytes = 1 << 20 // of them in all
)

// session is one Engine.IO session: how packets get to a client and from it,
// whether it polls or has a WebSocket, and whether it is still there.
type session struct {
	door    *Door
	sid     string // a secret: who knows it can speak for the client
	version int    // of Engine.IO, 3 or 4
	socket  *socket

	handling sync.Mutex // the client's packets are handled one at a time

	mu       sync.Mutex
	line     *signaling.Line  // nil while it polls
	visit    *signaling.Visit // nil once it has a line
	probe    *signaling.Line  // the line it might change to
	probed   bool             // that line works: polls are to end
	queue    [][]byte         // what waits for the next poll
	queued   int              // bytes of that
	wake     chan struct{}    // a token for the waiting poll
	reading  bool             // a poll waits
	writing  bool             // a request with packets is being handled
	pinged   bool             // version 4: our ping is not answered yet
	deadline *time.Timer
	ended    bool
}

// start sends the first packet and begins to watch whether the client is there.
func (s *session) start(upgrades ...string) {
	cfg := s.door.cfg
	open := struct {
		SID          string   `json:"sid"`
		Upgrades     []string `json:"upgrades"`
		PingInterval int64    `json:"pingInterval"` // ms
		PingTimeout  int64    `json:"pingTimeout"`  // ms
		MaxPayload   int      `json:"maxPayload,omitempty"`
	}{s.sid, append([]string{}, upgrades...), cfg.PingInterval.Milliseconds(), cfg.PingTimeout.Milliseconds(), 0}
	if s.version == 4 {
		open.MaxPayload = cfg.MaxPayload
	}
	body, _ := json.Marshal(open) // strings and numbers
	s.send(append([]byte{engineOpen}, body...))
	if s.version == 3 {
		s.socket.connect(false) // the server speaks first
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.deadline = time.AfterFunc(s.patience(), s.overdue)
}

// patience is how long the client may be silent: in version 4 until we ping, in
// version 3 until its own ping is overdue.
func (s *session) patience() time.Duration {
	if s.version == 4 {
		return s.door.cfg.PingInterval
	}
	return s.door.cfg.PingInterval + s.door.cfg.PingTimeout
}

// overdue runs when the client has been silent for as long as it may.
func (s *session) overdue() {
	s.mu.Lock()
	ask := s.version == 4 && !s.pinged && !s.ended
	if ask {
		s.pinged = true
		s.deadline.Reset(s.door.cfg.PingTimeout)
	}
	s.mu.Unlock()
	switch {
	case !ask:
		s.end(&signaling.Error{Code: signaling.NoPong, Text: "nothing was heard from this page for too long"})
	case !s.socket.isConnected():
		s.end(&signaling.Error{Code: signaling.BadMessage, Text: "the page did not connect to the default namespace in time"})
	default:
		s.send([]byte{enginePing})
	}
}

// heard notes a sign of life.
func (s *session) heard(kind byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.version == 4 && kind != enginePong {
		return
	}
	s.pinged = false
	s.deadline.Reset(s.patience())
}

// send queues a packet and reports false when the client is too far behind: then the
// session ends, whether the caller minds or not. It never waits. After the end it
// quietly does nothing.
func (s *session) send(packet []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	fits := true
	switch {
	case s.ended:
	case s.line != nil:
		fits = s.line.Send(packet)
	case len(s.queue) >= maxPending || s.queued+len(packet) > maxPendingBytes:
		fits = false
	default:
		s.put(packet)
	}
	if !fits {
		go s.end(tooSlow()) // which needs s.mu, and perhaps the caller's locks
	}
	return fits
}

// put needs s.mu.
func (s *session) put(packet []byte) {
	s.queue = append(s.queue, packet)
	s.queued += len(packet)
	if s.visit != nil {
		s.visit.Sent(len(packet))
	}
	s.nudge()
}

// nudge needs s.mu. It has the waiting poll look again.
func (s *session) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// receive handles one packet of the client. An error ends the session.
func (s *session) receive(p []byte) error {
	if len(p) == 0 {
		return badMessage("a packet is empty")
	}
	s.heard(p[0])
	switch {
	case p[0] == enginePing && s.version == 3:
		if !s.send(append([]byte{enginePong}, p[1:]...)) {
			return tooSlow()
		}
	case p[0] == enginePong && s.version == 4, p[0] == engineNoop:
	case p[0] == engineClose:
		s.end(nil)
	case p[0] == engineMessage:
		return s.socket.receive(p[1:])
	default:
		return badMessage("a client does not send Engine.IO packets of type %q here", p[0])
	}
	return nil
}

func (s *session) hasEnded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// end ends the session: the client gets what is queued, then why it ends, and
// the others in its room are told. A nil reason is the client's own wish.
func (s *session) end(reason *signaling.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	if s.line == nil { // a line sends its last words by itself
		if words := lastWords(reason); words != nil {
			s.put(words)
		}
		s.put([]byte{engineClose})
	}
	s.ended = true
	if s.deadline != nil {
		s.deadline.Stop()
	}
	if s.line != nil {
		s.line.Close(reason)
	}
	if s.probe != nil {
		s.probe.Close(reason)
	}
	// Leaving the room must not be done by who has us end: that may be the room.
	go s.finish(reason)
}

func (s *session) finish(reason *signaling.Error) {
	defer s.door.live.Done()
	s.socket.close()
	s.door.forget(s)
	s.mu.Lock()
	visit := s.visit
	s.visit = nil
	s.mu.Unlock()
	if visit != nil {
		visit.End(reason)
	}
}

// lastWords tells a page in its console why its connection ends. It is no
// packet of type disconnect: after that one a client does not come back.
func lastWords(reason *signaling.Error) []byte {
	if reason == nil {
		return nil
	}
	return eventPacket("log", []string{"rtcdev closed this connection: " + reason.Text, string(reason.Code)})
}
