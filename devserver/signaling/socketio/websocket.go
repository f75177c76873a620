package socketio

import (
	"bytes"
	"net/http"
	"time"

	"rtcdev/devserver/signaling"
)

// probeTime is how long a client may take from opening a WebSocket beside its
// polling to changing over to it.
const probeTime = 10 * time.Second

// wire is a session's WebSocket: its only one, or the one that it changes to.
type wire struct {
	session *session
	line    *signaling.Line
	probing bool // guarded by session.handling
	limit   *time.Timer
}

// openWire begins a session that has a WebSocket from the start.
func (d *Door) openWire(w http.ResponseWriter, r *http.Request, version int) {
	line := d.hub.Accept(w, r, doorName)
	if line == nil {
		return
	}
	s := d.newSession(version, line.Addr())
	s.handling.Lock() // what the line brings waits until there is a session for it
	defer s.handling.Unlock()
	line.Serve(&wire{session: s, line: line})
	if !d.admit(s) {
		line.Close(shuttingDown())
		return
	}
	s.mu.Lock()
	s.line = line
	gone := s.ended
	s.mu.Unlock()
	if gone { // the door was shut between the two
		line.Close(shuttingDown())
		return
	}
	s.start()
}

// upgrade takes a WebSocket for a client that has polled so far. It becomes the
// session's after "2probe", "3probe" and "5" (engine.io-protocol, "Upgrade").
func (s *session) upgrade(w http.ResponseWriter, r *http.Request) {
	if s.taken() {
		refuse(w, badRequest, "this session has a WebSocket already")
		return
	}
	line := s.door.hub.Accept(w, r, doorName)
	if line == nil {
		return
	}
	v := &wire{session: s, line: line, probing: true}
	v.limit = time.AfterFunc(probeTime, func() { s.giveUp(line) })
	s.handling.Lock()
	defer s.handling.Unlock()
	line.Serve(v)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.line != nil || s.probe != nil {
		line.Close(badMessage("this session has a WebSocket already"))
		return
	}
	s.probe = line
}

func (s *session) taken() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended || s.line != nil || s.probe != nil
}

// giveUp closes a line that the session has not changed to.
func (s *session) giveUp(line *signaling.Line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line != line {
		line.Close(badMessage("the client did not change over to this WebSocket in time"))
	}
}

// Message handles one frame.
func (v *wire) Message(text []byte) error {
	s := v.session
	s.handling.Lock()
	defer s.handling.Unlock()
	switch {
	case !v.probing:
		if err := s.receive(text); err != nil {
			s.end(asError(err))
		}
	case bytes.Equal(text, []byte("2probe")):
		v.line.Send([]byte("3probe"))
		s.mu.Lock()
		s.probed = s.probe == v.line
		s.nudge() // the client waits for its poll to end before it changes over
		s.mu.Unlock()
	case len(text) == 1 && text[0] == engineUpgrade && s.changeTo(v.line):
		v.probing = false
	default:
		return badMessage("a WebSocket beside polling begins with a probe and an upgrade")
	}
	return nil
}

// changeTo makes line the session's, with all that still waits for a poll.
func (s *session) changeTo(line *signaling.Line) bool {
	s.mu.Lock()
	if s.ended || s.probe != line {
		s.mu.Unlock()
		return false
	}
	fits := true
	for _, p := range s.queue {
		fits = fits && line.Send(p)
	}
	visit := s.visit
	s.queue, s.queued, s.probe, s.line, s.visit = nil, 0, nil, line, nil
	s.nudge()
	s.mu.Unlock()
	visit.End(nil)
	if !fits { // more than a line may have waiting
		s.end(tooSlow())
	}
	return true
}

// LastWords is what the client gets before its close frame.
func (v *wire) LastWords(reason *signaling.Error) []byte { return lastWords(reason) }

// Closed ends the session with its line.
func (v *wire) Closed(bool) {
	s := v.session
	if v.limit != nil {
		v.limit.Stop()
	}
	s.handling.Lock()
	defer s.handling.Unlock()
	s.mu.Lock()
	if s.probe == v.line {
		s.probe, s.probed = nil, false
	}
	ours := s.line == v.line
	s.mu.Unlock()
	if ours {
		s.end(nil)
	}
}
