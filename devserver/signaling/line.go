package signaling

import (
	"bufio"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// lingering is how long a client may take to answer our close frame. Until then
// what it sends is read and forgotten: closing a socket with unread bytes resets
// it, and the reset can overtake our last words.
const lingering = time.Second

// Client is a door's side of a [Line].
type Client interface {
	// Message handles one text frame: valid UTF-8, within the limits, and lent for
	// the time of the call. An error closes the line; if it is an [*Error], with
	// its code.
	Message(text []byte) error
	// LastWords returns what the client is told, in the door's own form, before a
	// close frame with e's code; nil is nothing. It is called from any goroutine.
	LastWords(e *Error) []byte
	// Closed tells that the line is over, once. Broken is true when it ended without
	// a close frame of either side.
	Closed(broken bool)
}

// answerer is a [Client] that hears of each answer to a ping.
type answerer interface{ answered() }

// Line is a WebSocket (RFC 6455) of any door, for text frames. It has one goroutine,
// its reader; writing never waits. Make one with [Hub.Accept].
type Line struct {
	Visit
	conn     *websocket.Conn
	in       *bufio.Reader // what conn reads from
	raw      wire
	queue    *queue
	client   Client
	early    time.Duration // by how much its pings come before the others'
	lastLook int64         // hub.looks at the last message
	streak   int           // of messages in close succession

	fault   atomic.Bool  // it is being closed
	said    atomic.Bool  // the client has sent its close frame
	written atomic.Bool  // our close frame has left
	cutAt   atomic.Int64 // when to cut it off, in Unix nanoseconds; 0: not yet
	pinged  atomic.Int64 // when the last ping for a sign of life was sent
	reason  atomic.Pointer[Error]
}

// Accept upgrades the request of a page that may connect; another one, or one too
// many, it answers with an error, and returns nil.
func (h *Hub) Accept(w http.ResponseWriter, r *http.Request, door string) *Line {
	l := new(Line)
	if !h.accept(l, w, r, door) {
		return nil
	}
	l.useOwn()
	return l
}

func (h *Hub) initQueue(q *queue, keep int) {
	q.maxMessages, q.maxBytes, q.keep = h.cfg.QueueMessages, h.cfg.QueueBytes, keep
	q.pool, q.workers, q.clock, q.first = h.buffers, &h.workers, &h.clock, 1
}

// accept is Accept for a new line whose queue is still to be found. It tells whether it
// has become one.
func (h *Hub) accept(l *Line, w http.ResponseWriter, r *http.Request, door string) bool {
	if !websocket.IsWebSocketUpgrade(r) {
		if r.ProtoMajor == 1 { // HTTP/2 does not allow the header (RFC 9113 §8.2.2)
			w.Header().Set("Upgrade", "websocket")
		}
		http.Error(w, "This is a signaling address. A page opens it with new WebSocket(…).", http.StatusUpgradeRequired)
		return false
	}
	if !h.admit(&l.Visit, w, r, door) {
		return false
	}
	conn, err := h.upgrader.Upgrade(&wireHijacker{w, l}, r, nil)
	if err != nil { // Upgrade has answered the request
		l.End(nil)
		return false
	}
	l.conn = conn
	h.metrics.handshake(r.Context())
	return true
}

// useOwn is use of a queue that ends with the line.
func (l *Line) useOwn() {
	q := new(queue)
	l.hub.initQueue(q, 0)
	l.use(q)
}

// use gives the line its queue: from now on it can be written to.
func (l *Line) use(q *queue) {
	l.queue = q
	l.raw.line = l
	if q.keep == 0 {
		q.attach(l, nil, 0)
	}
}

// Serve has c handle what comes, on a goroutine of its own, and returns at once:
// so the door's HTTP handler ends, and what net/http held for it is free.
func (l *Line) Serve(c Client) {
	l.client = c
	l.serve()
}

// serve is Serve for a line that has its client.
func (l *Line) serve() {
	// These are between the frames of one message, or after the end; see control for
	// the others.
	l.conn.SetPingHandler(func(payload string) error { l.ping([]byte(payload)); return nil })
	l.conn.SetPongHandler(func(payload string) error { l.pong([]byte(payload)); return nil })
	// Ours closes after what is queued; gorilla's own would cut in before.
	l.conn.SetCloseHandler(func(int, string) error { return nil })
	// Thousands that came at once, after a restart, are not to be asked at once.
	l.early = rand.N(l.hub.cfg.PingInterval / 4)
	l.hub.register(&l.Visit, l)
	go l.read()
}

// Send queues one text frame. It returns false when the client is too far behind.
func (l *Line) Send(text []byte) bool {
	if !l.queue.put(text) {
		return false
	}
	l.Sent(len(text))
	return true
}

// Close ends the line after what is queued: with the client's last words and e's
// code, or without e as normal. Only the first call counts.
func (l *Line) Close(e *Error) {
	if !l.fault.CompareAndSwap(false, true) {
		return
	}
	code, reason, patience := closeNormal, "", l.hub.cfg.WriteTimeout
	var words []byte
	if e != nil {
		l.hub.report(l.addr, "", e)
		l.reason.Store(e)
		code, reason = closeCode(e.Code), string(e.Code)
		last := l.client.LastWords(e)
		switch {
		case e.Code == TooSlow:
			patience = lingering
		case last != nil:
			words = appendFrame(nil, textFrame, last)
		}
	}
	l.cutAt.Store(time.Now().Add(patience).UnixNano())
	l.queue.finish(l, words, code, reason, e != nil && e.Code == TooSlow)
}

// touch notes a sign of life.
func (l *Line) touch() { l.heard.Store(l.hub.clock.Load()) }

// over ends the line after the reading has. Who was told that we close has some time
// to close too.
func (l *Line) over(err error) {
	switch {
	case isGoodbye(err):
		l.said.Store(true)
		l.Close(nil) // answers it (RFC 6455 §5.5.1)
	case err == websocket.ErrReadLimit: // a length of 2⁶³ bytes or more, about which gorilla sends nothing
		l.Close(refuse(TooLarge, "the message is larger than %d bytes", l.hub.cfg.MaxMessage))
	case l.fault.Load(): // it is being closed already
	default:
		l.client.Closed(true)
		l.finish(closeAbnormal)
		return
	}
	l.client.Closed(false)
	for err == errClosing {
		if _, _, next := l.conn.NextReader(); next != nil {
			err = next
		}
	}
	l.said.Store(isGoodbye(err))
	if !l.said.Load() || !l.written.Load() { // flushed closes it, or look does, or the client has
		_, _ = io.Copy(io.Discard, l.raw.Conn)
	}
	l.finish(codeOf(err))
}

// codeOf is the client's close code, or that of a normal end.
func codeOf(err error) int {
	var closed *websocket.CloseError
	if errors.As(err, &closed) {
		return closed.Code
	}
	return closeNormal
}

// isGoodbye tells whether the reading ended with a close frame of the client.
func isGoodbye(err error) bool {
	var closed *websocket.CloseError
	return errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure
}

// finish lets go of everything.
func (l *Line) finish(code int) {
	l.raw.Conn.Close()
	l.queue.detach(l)
	if e := l.reason.Load(); e != nil {
		code = closeCode(e.Code)
	}
	l.end(code)
}

// stop and the three below are what the hub asks of every visit.
func (l *Line) stop(reason *Error) { l.Close(reason) }

func (l *Line) cut() { l.raw.cut() }

func (l *Line) local() net.Addr { return l.conn.LocalAddr() }

func (l *Line) depth() int { return l.queue.depth() }

// look is the keeper's look at the connection.
func (l *Line) look(now time.Time) {
	cfg := &l.hub.cfg
	if at := l.cutAt.Load(); at != 0 {
		if now.UnixNano() > at {
			l.cut()
		}
		return
	}
	if l.queue.stuckFor(l) > cfg.WriteTimeout {
		l.cut()
		return
	}
	heard, pinged := l.heard.Load(), l.pinged.Load()
	switch {
	case pinged > heard:
		if now.UnixNano()-pinged > int64(cfg.PongTimeout) {
			l.reason.CompareAndSwap(nil, refuse(NoPong, "no answer to a ping"))
			l.cut()
		}
	case now.UnixNano()-heard > int64(cfg.PingInterval-l.early):
		l.pinged.Store(now.UnixNano())
		l.queue.ping(l)
	case l.queue.wantsAnswer(l):
		l.queue.ping(l)
	}
}

// write and flushed are what the queue asks of its sink.
func (l *Line) write(frames []byte) error {
	_, err := l.raw.Conn.Write(frames)
	if err != nil {
		l.cut() // half a frame may have left: nothing can follow it
	}
	return err
}

func (l *Line) flushed() {
	l.cutAt.Store(time.Now().Add(lingering).UnixNano())
	l.written.Store(true)
	if l.said.Load() {
		l.raw.Conn.Close() // nothing more will come, and the client waits for this (RFC 6455 §7.1.1)
	}
}
