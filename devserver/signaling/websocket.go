package signaling

import (
	"encoding/binary"
	"net/http"
	"time"
)

// ServeHTTP is the native WebSocket door. It returns when the connection has
// begun; [Hub.Shutdown] ends it.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := new(nativePeer)
	l := &p.line
	if !h.accept(l, w, r, "native") {
		return
	}
	p.carrier = carrier{sink: l, bearer: p, visit: &l.Visit}
	l.client = p
	s, err := h.begin(r, "", "native", &p.carrier)
	if err != nil {
		l.useOwn()
		l.serve()
		l.Close(asError(err))
		return
	}
	p.session = s
	l.serve()
}

// nativePeer is the [Client] of a native peer's WebSocket.
type nativePeer struct {
	line    Line
	carrier carrier
	session *session // nil when the peer was refused
}

func (p *nativePeer) Message(text []byte) error {
	if p.session == nil {
		return nil
	}
	return p.session.message(&p.carrier, text)
}

func (p *nativePeer) LastWords(e *Error) []byte { return errorMessage(e) }

func (p *nativePeer) Closed(broken bool) {
	if p.session != nil {
		p.session.closed(&p.carrier, broken)
	}
}

// answered implements answerer.
func (p *nativePeer) answered() {
	if p.session == nil || !p.session.waits() {
		return
	}
	_ = p.line.lend(func() error { p.session.heard(&p.carrier); return nil })
}

// begin, end and leave implement bearer.
func (p *nativePeer) begin(q *queue, _ string, _ uint64) { p.line.use(q) }

func (p *nativePeer) end(e *Error) { p.line.Close(e) }

// leave closes the line although its queue belongs to another one now. What
// was being written there may hang: nobody waits for it.
func (p *nativePeer) leave(e *Error) {
	l := &p.line
	l.reason.Store(e)
	l.fault.Store(true)
	if e == nil {
		l.cut()
		return
	}
	l.cutAt.Store(time.Now().Add(lingering).UnixNano())
	go func() {
		body := binary.BigEndian.AppendUint16(nil, uint16(closeCode(e.Code)))
		frames := appendFrame(nil, textFrame, errorMessage(e))
		if l.write(appendFrame(frames, closeFrame, append(body, e.Code...))) == nil {
			l.flushed()
		}
	}()
}
