package signaling

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// Events is the door of Server-Sent Events (WHATWG HTML §9.2), for GET, and of the
// messages of its peers, for POST.
func (h *Hub) Events() http.Handler {
	return h.CORS(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			h.receive(w, r)
			return
		}
		h.stream(w, r)
	}))
}

// stream is a peer's event stream: the sink that turns frames into events.
type stream struct {
	visit   *Visit
	control *http.ResponseController
	carrier carrier
	came    net.Addr // the connection's end here
	queue   *queue
	done    chan struct{} // closed when the handler is to return
	once    sync.Once
	ended   atomic.Bool // the stream ends because we or the peer want it
	reason  atomic.Pointer[Error]
	pinged  atomic.Int64 // in Unix nanoseconds

	mu    sync.Mutex
	w     http.ResponseWriter // nil when the handler has ended
	token string
	count uint64 // of the message that was written last
	begun bool   // the first one, which has no number of its own, has been written
}

// stream serves one event stream until either side ends it.
func (h *Hub) stream(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet { // HEAD would make a peer that hears nothing
		w.Header().Set("Allow", "GET, POST")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	visit := new(Visit)
	if !h.admit(visit, w, r, "events") {
		return
	}
	st := &stream{visit: visit, control: http.NewResponseController(w), done: make(chan struct{}), w: w}
	st.came, _ = r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	st.carrier = carrier{sink: st, bearer: st, visit: visit, numbered: true}
	// How long the stream lasts is for the peer to say.
	_, _ = st.control.SetReadDeadline(time.Time{}), st.control.SetWriteDeadline(time.Time{})
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // nginx passes each event on at once then
	s, err := h.begin(r, r.Header.Get("Last-Event-ID"), "events", &st.carrier)
	if err != nil {
		_ = st.write(appendFrame(nil, lastFrame, errorMessage(asError(err))))
		h.report(r.RemoteAddr, "", asError(err))
		visit.End(asError(err))
		return
	}
	h.register(visit, st)
	select {
	case <-st.done:
	case <-r.Context().Done():
	}
	reason := st.reason.Load()
	if reason != nil && reason.Code == Replaced { // its queue goes on elsewhere
		_ = st.control.SetWriteDeadline(time.Now().Add(lingering))
		_ = st.write(appendFrame(nil, lastFrame, errorMessage(reason)))
	}
	st.detach()
	s.closed(&st.carrier, !st.ended.Load())
	switch {
	case reason == nil && !st.ended.Load():
		visit.end(closeAbnormal)
	default:
		visit.End(reason)
	}
}

// lastFrame is, for a stream's write, an event without a number.
const lastFrame = 0

// begin is the carrier's.
func (st *stream) begin(q *queue, token string, seen uint64) {
	st.queue = q
	st.pinged.Store(time.Now().UnixNano())
	st.mu.Lock()
	defer st.mu.Unlock()
	st.token, st.count = token, seen
}

// detach waits for a write that is going on, and lets none begin: net/http does not
// allow it once the handler has returned.
func (st *stream) detach() {
	_ = st.control.SetWriteDeadline(time.Now().Add(lingering))
	st.mu.Lock()
	defer st.mu.Unlock()
	st.w = nil
}

// finish has the handler return.
func (st *stream) finish() { st.once.Do(func() { close(st.done) }) }

var errStreamOver = errors.New("the event stream has ended")

// write implements sink.
func (st *stream) write(frames []byte) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.w == nil {
		return errStreamOver
	}
	var b []byte
	for len(frames) > 0 {
		var kind byte
		var payload []byte
		switch kind, payload, frames = nextFrame(frames); kind {
		case textFrame:
			if st.begun {
				st.count++
			}
			st.begun = true
			b = append(b, "id: "...)
			b = append(b, st.token...)
			b = append(b, '.')
			b = strconv.AppendUint(b, st.count, 10)
			b = append(b, '\n')
			b = appendData(b, payload)
		case lastFrame:
			b = appendData(b, payload)
		case pingFrame:
			b = append(b, ":\n\n"...) // a comment, so that nothing on the way takes the stream for dead
		}
	}
	_, err := st.w.Write(b)
	if err == nil {
		err = st.control.Flush()
	}
	if err != nil {
		st.finish()
	}
	return err
}

// appendData appends an event's data and end. A line break, which between the
// pieces of JSON means no more than a space, begins a new field.
func appendData(b, data []byte) []byte {
	for _, line := range bytes.FieldsFunc(data, func(r rune) bool { return r == '\n' || r == '\r' }) {
		b = append(b, "data: "...)
		b = append(b, line...)
		b = append(b, '\n')
	}
	return append(b, '\n')
}

// flushed implements sink: the last words are out.
func (st *stream) flushed() { st.finish() }

// end is the carrier's: it ends the stream after what is queued.
func (st *stream) end(e *Error) {
	if !st.ended.CompareAndSwap(false, true) {
		return
	}
	var words []byte
	slow := e != nil && e.Code == TooSlow
	if e != nil {
		st.visit.hub.report(st.visit.addr, "", e)
		st.reason.Store(e)
		words = appendFrame(nil, lastFrame, errorMessage(e))
	}
	if slow {
		words = nil
		st.finish()
	}
	st.queue.finish(st, words, closeNormal, "", slow)
}

// leave is the carrier's: its peer is on another line now.
func (st *stream) leave(e *Error) {
	st.reason.Store(e)
	st.ended.Store(true)
	st.finish()
}

// stop and the three below are what the hub asks of every visit.
func (st *stream) stop(reason *Error) { st.end(reason) }

func (st *stream) cut() { st.finish() }

func (st *stream) local() net.Addr { return st.came }

func (st *stream) depth() int { return st.queue.depth() }

func (st *stream) look(now time.Time) {
	cfg := &st.visit.hub.cfg
	silent := now.UnixNano() - st.visit.heard.Load()
	switch {
	case st.queue.stuckFor(st) > cfg.WriteTimeout:
		st.finish()
	case silent > int64(cfg.PingInterval+cfg.PongTimeout):
		st.reason.CompareAndSwap(nil, refuse(NoPong, "this peer has sent nothing for too long"))
		st.finish()
	case now.UnixNano()-st.pinged.Load() > int64(cfg.PingInterval):
		st.pinged.Store(now.UnixNano())
		st.queue.ping(st)
	}
}

// receive takes one message of a peer.
func (h *Hub) receive(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	number, err := strconv.ParseUint(query.Get("n"), 10, 63)
	if err != nil || number == 0 {
		refuseRequest(w, http.StatusBadRequest, refuse(BadMessage, `"n" is not the number of this message, from 1`))
		return
	}
	token := query.Get("resume")
	s := h.sessionOf(token)
	if s == nil && h.stops() {
		refuseRequest(w, http.StatusServiceUnavailable, stopping())
		return
	}
	if s == nil {
		if text, err := readUpTo(nil, r.Body, 64); err == nil && leaves(text) { // it has left
			w.WriteHeader(http.StatusNoContent)
			return
		}
		refuseRequest(w, http.StatusGone, cannotResume("it is not known, or its time is over"))
		return
	}
	defer s.posting.Add(-1)
	if s.posting.Add(1) > mostPosts {
		refuseRequest(w, http.StatusConflict, refuse(BadMessage, "the messages before this one are still on their way: send one at a time"))
		return
	}
	text, err := readUpTo(nil, r.Body, h.cfg.MaxMessage+1)
	if err != nil {
		refuseRequest(w, http.StatusBadRequest, refuse(BadMessage, "the message could not be read to its end"))
		return
	}
	if seen, err := strconv.ParseUint(query.Get("seen"), 10, 63); err == nil {
		s.queue.acknowledge(seen)
	}
	err = s.post(token, number, text)
	refused := asError(err)
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
		return
	case err == errGap:
		refuseRequest(w, http.StatusConflict, refuse(BadMessage, "the message before this one has not come"))
		return
	case refused == nil: // it has left
		w.WriteHeader(http.StatusNoContent)
	default:
		refuseRequest(w, postStatus(refused.Code), refused)
	}
	s.Stop(refused)
}

func postStatus(c Code) int {
	switch c {
	case TooLarge:
		return http.StatusRequestEntityTooLarge
	case RateLimited:
		return http.StatusTooManyRequests
	case CannotResume:
		return http.StatusGone
	default:
		return http.StatusBadRequest
	}
}

// mostPosts bounds how many messages of one peer are read at once: the next one, and what
// was tried before and may still be on its way.
const mostPosts = 8

// errGap refuses a message that came before another one.
var errGap = errors.New("a message is missing before this one")

// leaves tells whether the peer says with this message that it leaves.
func leaves(text []byte) bool {
	e, err := readEnvelope(text)
	return err == nil && e.kind == typeLeave
}

// post takes the message with this number, which it takes once only.
func (s *session) post(token string, number uint64, text []byte) error {
	if err := s.visit.Load().Take(len(text)); err != nil {
		return err
	}
	if !utf8.Valid(text) {
		return refuse(BadMessage, "the message is not valid UTF-8")
	}
	if leaves(text) { // what it said before may never come
		return errLeft
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.over:
		return refuse(CannotResume, "this peer has left its room")
	case number <= s.received:
		return nil
	case number > s.received+1:
		return errGap
	}
	if c := s.carrier.Load(); c != nil {
		if token == s.token {
			s.prove(c)
		} else if !c.numbered { // it is late: the peer sends it again on the line where it is now
			return errGap
		}
	}
	return s.take(text)
}
