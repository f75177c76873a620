package signaling

import (
	"crypto/rand"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// session is a native peer, whose lines may come and go: see "Resuming" in the
// package comment. It is the peer's Receiver.
//
// Its mutex comes before the room's and is never taken by what a room calls: Notify and
// Stop look at atomic fields only.
type session struct {
	hub     *Hub
	room    string
	queue   queue
	carrier atomic.Pointer[carrier] // the line that the peer is on; nil while it is away
	visit   atomic.Pointer[Visit]   // of the last line: what the peer may use up is counted there

	posting atomic.Int32 // how many of its POSTs are being read

	ice func(id string) ICE // for its welcome

	mu       sync.Mutex
	member   *Member
	token    string // the last of issued
	oldToken string // what the peer last came with; good as well while it is unproven
	// issued are the tokens that were given out for oldToken: while the peer is
	// unproven nobody knows which of the answers it has got.
	issued   []string
	received uint64 // messages of the peer that have been taken
	unproven bool   // it has not been heard on its line yet
	known    bool   // it has been heard at all
	over     bool

	awaySince time.Time // guarded by hub.mu
}

// carrier is a line of a native peer: a WebSocket or an event stream.
type carrier struct {
	sink
	bearer
	visit *Visit
	// numbered tells that each message of the peer comes with its number.
	numbered bool
}

// bearer is what a peer asks of the line it is on.
type bearer interface {
	// begin tells the line, before anything is written to it, the queue that
	// will be, the token that its peer has now, and how many messages it has seen.
	begin(q *queue, token string, seen uint64)
	// end ends the line after what is queued.
	end(*Error)
	// leave ends it, without a word when the error is nil, while its queue goes on
	// elsewhere.
	leave(*Error)
}

// errLeft ends a line on which the peer said that it leaves.
var errLeft = errors.New("the peer has left")

func newToken() string { return strings.ToLower(rand.Text()) }

// open makes a peer that is on the line c and in the room.
func (h *Hub) open(door, room string, c *carrier, ice func(id string) ICE) (*session, error) {
	s := &session{hub: h, room: room, unproven: true, ice: ice}
	h.initQueue(&s.queue, h.cfg.KeepBytes)
	s.accept("", newToken())
	s.carrier.Store(c)
	s.visit.Store(c.visit)
	s.mu.Lock() // the peer may use its token as soon as it has its welcome: it waits for us then
	defer s.mu.Unlock()
	m, err := h.joinAsNative(Join{Door: door, Room: room, Addr: c.visit.addr, Receiver: s})
	if err != nil {
		s.accept("")
		return nil, err
	}
	s.member, s.ice = m, nil
	h.yield(c.visit)
	return s, nil
}

// begin makes a peer on the line c, or brings one back, as the request's query and its
// Last-Event-ID say.
func (h *Hub) begin(r *http.Request, last, door string, c *carrier) (*session, error) {
	query := r.URL.Query()
	ice := func(id string) ICE { return h.cfg.ICE(r, id) }
	token, seen, err := readResume(query.Get("resume"), query.Get("seen"), last)
	if err != nil {
		return nil, h.notResumed(err.Error())
	}
	if token != "" {
		return h.resume(token, seen, c, ice)
	}
	room, err := RoomName(query.Get("room"))
	if err != nil {
		return nil, err
	}
	return h.open(door, room, c, ice)
}

// readResume reads TOKEN.N of a Last-Event-ID, or ?resume=TOKEN&seen=N. Without either the
// token is empty.
func readResume(token, seen, last string) (string, uint64, error) {
	// A browser that reconnects by itself asks for the same address again: what it
	// has got since is in its Last-Event-ID only.
	if t, n, ok := strings.Cut(last, "."); ok && t != "" {
		token, seen = t, n
	}
	if token == "" {
		return "", 0, nil
	}
	n, err := strconv.ParseUint(seen, 10, 63)
	if err != nil {
		return "", 0, errors.New(`"seen" is not the number of messages it has got`)
	}
	return strings.Clone(token), n, nil // it outlives the request, which it is a part of
}

// resume puts the peer with the token on the line c, which has seen so many messages
// of ours. The error is [*Error] with CannotResume.
func (h *Hub) resume(token string, seen uint64, c *carrier, ice func(id string) ICE) (*session, error) {
	s := h.sessionOf(token)
	if s == nil {
		return nil, h.notResumed("it is not known, or its time is over")
	}
	s.mu.Lock()
	if s.over || token != s.oldToken && !slices.Contains(s.issued, token) {
		s.mu.Unlock()
		return nil, h.notResumed("its time is over")
	}
	replaced := refuse(Replaced, "this peer has come back on another line")
	if s.unproven { // one of the two lines is late, and perhaps not the old one: the page tries again
		replaced = nil
	}
	old, ok := s.move(token, seen, c, ice)
	s.mu.Unlock()
	if !ok {
		refused := h.notResumed("what was sent after the message it has seen last is no longer there")
		s.end(refused)
		return nil, refused
	}
	if old != nil {
		old.leave(replaced)
	}
	h.metrics.resumed.Add(1)
	return s, nil
}

// move needs s.mu. It returns the line that the peer was on until now, and whether it
// could be moved.
func (s *session) move(token string, seen uint64, c *carrier, ice func(id string) ICE) (*carrier, bool) {
	h := s.hub
	next := newToken()
	issued := s.issued[max(0, len(s.issued)+1-mostIssued):]
	if token != s.oldToken { // it has got this one, and needs none before it
		issued = nil
	}
	// Before the peer is told: it may use its token at once.
	s.accept(token, append(slices.Clone(issued), next)...)
	c.begin(&s.queue, next, seen)
	resumed := resumedMessage(s.member.id, s.room, s.received, next, ice(s.member.id))
	if !s.queue.attach(c.sink, appendFrame(nil, textFrame, resumed), seen) {
		return nil, false
	}
	old := s.carrier.Swap(c)
	c.visit.inherit(s.visit.Swap(c.visit))
	s.unproven = true
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.away, s)
	return old, true
}

// mostIssued bounds how many tokens one peer can have.
const mostIssued = 8

// accept makes these tokens good, and no others. It needs s.mu.
func (s *session) accept(old string, issued ...string) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	for _, t := range append(s.issued, s.oldToken) {
		delete(s.hub.sessions, t)
	}
	s.oldToken, s.issued = old, issued
	if len(issued) == 0 {
		return
	}
	s.token = issued[len(issued)-1]
	for _, t := range append(slices.Clone(issued), old) {
		if t != "" {
			s.hub.sessions[t] = s
		}
	}
}

// notResumed is cannotResume for a line that was to be resumed.
func (h *Hub) notResumed(why string) *Error {
	h.metrics.notResumed.Add(1)
	return cannotResume(why)
}

func cannotResume(why string) *Error {
	return refuse(CannotResume, "this peer cannot resume: %s. Join the room anew", why)
}

// sessionOf returns the peer with this token, or nil.
func (h *Hub) sessionOf(token string) *session {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sessions[token]
}

// waits tells whether the peer is still to be heard on its line.
func (s *session) waits() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unproven
}

// heard notes that the peer is there, on the line c, and so has the last token.
func (s *session) heard(c *carrier) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prove(c)
}

// prove needs s.mu.
func (s *session) prove(c *carrier) {
	if !s.unproven || s.carrier.Load() != c {
		return
	}
	s.unproven, s.known = false, true
	s.accept("", s.token)
}

// message handles a message that came on the line c.
func (s *session) message(c *carrier, text []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.carrier.Load() != c {
		return nil // the peer will send it again on its new line
	}
	s.prove(c)
	return s.take(text)
}

// take needs s.mu. An error ends the line, and the peer with it.
func (s *session) take(text []byte) error {
	e, err := readEnvelope(text)
	if err != nil {
		return err
	}
	s.received++
	switch e.kind {
	case typeLeave:
		return errLeft
	case typePing:
		s.tell([]byte(pongText))
	default:
		if err := s.member.send(e.to, e.data); err != nil {
			var refused *Error
			if errors.As(err, &refused) {
				s.tell(errorMessage(refused))
			}
		}
	}
	return nil
}

// tell queues a message of the server.
func (s *session) tell(parts ...[]byte) {
	if !s.put(parts...) {
		s.Stop(tooSlow())
	}
}

func (s *session) put(parts ...[]byte) bool {
	if !s.queue.put(parts...) {
		return false
	}
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	s.visit.Load().Sent(size)
	return true
}

// Notify implements [Receiver].
func (s *session) Notify(n Notice) bool {
	switch n.Kind {
	case Welcome:
		c := s.carrier.Load()
		c.begin(&s.queue, s.token, 0)
		welcome := welcomeMessage(n.Peer, s.room, n.Peers, s.token, s.ice(n.Peer))
		s.queue.attach(c.sink, appendFrame(nil, textFrame, welcome), 0)
		return true
	case PeerJoined:
		return s.put(peerMessage("peer-joined", n.Peer))
	case PeerLeft:
		return s.put(peerMessage("peer-left", n.Peer))
	default:
		return s.put([]byte(signalHead), []byte(n.Peer), []byte(signalMid), n.Data, []byte(signalTail))
	}
}

// Stop implements [Receiver].
func (s *session) Stop(reason *Error) {
	if c := s.carrier.Load(); c != nil {
		c.end(reason)
	}
	go s.end(reason)
}

// closed tells that the line c is over. A peer whose line broke may come back.
func (s *session) closed(c *carrier, broken bool) {
	s.mu.Lock()
	if s.carrier.Load() != c { // it is on another one
		s.mu.Unlock()
		return
	}
	s.carrier.Store(nil)
	stays := broken && s.known && !s.over
	if stays {
		s.hub.mu.Lock()
		if stays = !s.hub.closing; stays {
			s.queue.detach(c.sink)
			s.awaySince = time.Now()
			s.hub.away[s] = struct{}{}
		}
		s.hub.mu.Unlock()
	}
	s.mu.Unlock()
	if !stays {
		s.end(nil)
	}
}

// expire ends a peer that is still away.
func (s *session) expire() {
	s.mu.Lock()
	late := s.carrier.Load() == nil
	s.over = s.over || late
	s.mu.Unlock()
	if late {
		s.end(nil)
	}
}

// end takes the peer out of its room, for good, and ends the line that it is on because
// of reason, or nil when nothing is wrong.
func (s *session) end(reason *Error) {
	s.mu.Lock()
	s.over = true
	s.accept("")
	s.hub.mu.Lock()
	delete(s.hub.away, s)
	s.hub.mu.Unlock()
	c := s.carrier.Load()
	s.mu.Unlock()
	if c != nil { // what Stop ended may have been the line before
		c.end(reason)
	}
	s.member.Leave()
}
