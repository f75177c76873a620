package signaling

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

// peer is one connection: a member of a room from Hub.join to Hub.leave.
type peer struct {
	hub  *Hub
	id   string
	room string
	addr string
	conn *websocket.Conn
	out  *outbox
}

// lingering is how long our close frame may take to leave, and then the peer to
// answer it. Until then what it sends is read and forgotten: closing a socket
// with unread bytes resets it, and the reset can overtake our last words.
const lingering = time.Second

// ServeHTTP is the WebSocket door: it upgrades the request, runs the peer's
// connection in the calling goroutine and returns when it is over.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !websocket.IsWebSocketUpgrade(r) {
		w.Header().Set("Upgrade", "websocket")
		http.Error(w, "This is the signaling address. A page opens it with new WebSocket(…).", http.StatusUpgradeRequired)
		return
	}
	if !h.enter() {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "The server is stopping. Try again in a moment.", http.StatusServiceUnavailable)
		return
	}
	defer h.conns.Done()
	conn, err := h.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered the request
	}
	defer conn.Close()
	p := &peer{hub: h, id: newID(), addr: r.RemoteAddr, conn: conn, out: newOutbox(h.cfg.QueueMessages, h.cfg.QueueBytes)}
	h.attach(p)
	defer h.detach(p)

	read, written := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(written)
		p.write()
		select {
		case <-read:
		case <-time.After(lingering):
		}
		p.cut() // the reader ends by this at the latest
	}()
	p.serve(r.URL.Query().Get("room"))
	close(read)
	<-written
}

// serve is the reader: it joins the room, reads until the connection or the
// peer's membership is over, and leaves the writer a way to end.
func (p *peer) serve(room string) {
	defer p.out.finish(ending{code: closeNormal}, false)
	room, err := roomName(room)
	if err != nil {
		p.fail(badMessage, err.Error())
		p.linger()
		return
	}
	p.room = room
	if !p.hub.join(p) {
		p.linger()
		return
	}
	defer p.hub.leave(p)
	p.extend()
	p.conn.SetPongHandler(func(string) error { p.extend(); return nil })
	// The default handler answers a close frame from this goroutine and so cuts
	// in before what is queued; the writer closes after it.
	p.conn.SetCloseHandler(func(int, string) error { return nil })
	for p.readOne() {
	}
}

// readOne handles one message and reports whether to go on.
func (p *peer) readOne() bool {
	m, err := p.readMessage()
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		p.fail(refused.code, refused.text)
	case err != nil:
		return false // the connection is gone
	case m.Type == typeLeave:
		p.out.finish(ending{code: closeNormal}, false)
	default:
		p.hub.relay(p, m.To, m.Data)
		return true
	}
	p.hub.leave(p) // the others need not wait while we linger
	p.linger()
	return false
}

// refusal is a frame that the protocol does not allow.
type refusal struct {
	code code
	text string
}

func (r *refusal) Error() string { return string(r.code) + ": " + r.text }

func (p *peer) readMessage() (m clientMessage, err error) {
	kind, body, err := p.conn.NextReader()
	if err != nil {
		return m, err
	}
	if kind != websocket.TextMessage {
		return m, &refusal{badMessage, "messages are text frames; this one is binary"}
	}
	limit := p.hub.cfg.MaxMessage
	frame, err := io.ReadAll(io.LimitReader(body, int64(limit)+1))
	if err != nil {
		return m, err
	}
	if len(frame) > limit {
		return m, &refusal{tooLarge, fmt.Sprintf("the message is larger than %d bytes", limit)}
	}
	p.extend()
	if m, err = parseClientMessage(frame); err != nil {
		return m, &refusal{badMessage, err.Error()}
	}
	return m, nil
}

// extend gives the peer until after the next ping to show that it is there.
func (p *peer) extend() {
	p.conn.SetReadDeadline(time.Now().Add(p.hub.cfg.PingInterval + p.hub.cfg.PongTimeout))
}

// linger reads and forgets what still comes, until the peer has closed too or
// the writer has waited long enough for that.
func (p *peer) linger() {
	for {
		if _, _, err := p.conn.NextReader(); err != nil {
			return
		}
	}
}

// fail tells the peer what went wrong and has it closed after that.
func (p *peer) fail(c code, text string) {
	fits := p.out.put(errorMessage(c, text))
	p.out.finish(ending{closeCode(c), string(c)}, !fits)
}

// tooSlow closes a peer that is too far behind. Its writer is stuck in the
// middle of a message: it gets as long as a last word may take, or is cut off.
func (p *peer) tooSlow() {
	p.out.finish(ending{closeTooSlow, "too-slow"}, true)
	p.conn.NetConn().SetWriteDeadline(time.Now().Add(lingering))
}

// cut ends the connection at once, without a word.
func (p *peer) cut() { p.conn.NetConn().Close() }

// write is the writer: it empties the outbox, pings, and closes.
func (p *peer) write() {
	ping := time.NewTicker(p.hub.cfg.PingInterval)
	defer ping.Stop()
	for {
		select {
		case <-p.out.wake:
			if !p.flush() {
				return
			}
		case <-ping.C:
			if !p.writeFrame(websocket.PingMessage, nil, p.hub.cfg.WriteTimeout) {
				return
			}
		}
	}
}

// flush writes what is queued, and the close frame if that was all there will
// be. It reports whether there is anything left to write for.
func (p *peer) flush() bool {
	for {
		msg, end := p.out.next()
		switch {
		case end != nil:
			p.writeFrame(websocket.CloseMessage, websocket.FormatCloseMessage(end.code, end.reason), lingering)
			return false
		case msg == nil:
			return true
		case !p.writeFrame(websocket.TextMessage, msg, p.hub.cfg.WriteTimeout):
			return false
		}
	}
}

// writeFrame reports whether the connection is still good. A write that failed
// half-way leaves it unusable, so the reader is stopped as well.
func (p *peer) writeFrame(kind int, body []byte, timeout time.Duration) bool {
	p.conn.SetWriteDeadline(time.Now().Add(timeout))
	if err := p.conn.WriteMessage(kind, body); err != nil {
		p.cut()
		return false
	}
	return true
}
