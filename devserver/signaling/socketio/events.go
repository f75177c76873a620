package socketio

import (
	"bytes"
	"context"
	"net/http"
	"time"
)

// streamEvents is the way down for our own script where a page has no
// WebSocket: a session whose packets, of Engine.IO 4, are server-sent events
// (WHATWG HTML §9.2). It ends with its stream.
func (d *Door) streamEvents(w http.ResponseWriter, r *http.Request) {
	s := d.openVisit(w, r, 4)
	if s == nil {
		return
	}
	defer s.end(nil)
	waitLong(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx passes each event on at once then
	s.mu.Lock()
	s.reading = true // nobody else polls this session
	s.mu.Unlock()
	s.start()
	for !s.hasEnded() {
		if err := s.writeEvents(r.Context(), w); err != nil {
			return
		}
	}
	s.writeEvents(r.Context(), w) // the last words
}

// writeEvents waits for packets and writes each as an event.
func (s *session) writeEvents(ctx context.Context, w http.ResponseWriter) error {
	packets, err := s.next(ctx)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	for _, p := range packets {
		for line := range bytes.FieldsFuncSeq(p, func(r rune) bool { return r == '\n' || r == '\r' }) {
			b.WriteString("data: ")
			b.Write(line)
			b.WriteByte('\n')
		}
		b.WriteByte('\n')
	}
	control := http.NewResponseController(w)
	if err := control.SetWriteDeadline(time.Now().Add(transferTime)); err != nil {
		return err
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return err
	}
	if err := control.Flush(); err != nil {
		return err
	}
	// Over HTTP/2 a deadline ends the stream when it comes, written or not.
	return control.SetWriteDeadline(time.Time{})
}

// receiveSent is the way up to streamEvents: the session's id, then packets, all
// separated as in a payload. The id is in the body so that it is in no log.
func (d *Door) receiveSent(w http.ResponseWriter, r *http.Request) {
	body, ok := d.readBody(w, r)
	if !ok {
		return
	}
	sid, payload, _ := bytes.Cut(body, []byte{separator})
	s := d.find(string(sid))
	if s == nil || s.hasEnded() {
		refuse(w, sessionUnknown, "")
		return
	}
	packets, err := decodePayload(4, payload, false)
	if err == nil {
		err = s.receiveAll(packets)
	}
	if err != nil {
		s.end(asError(err))
		refuse(w, badRequest, asError(err).Text)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
