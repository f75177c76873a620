package socketio

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"
)

// transferTime is how long the body of one request or response may take.
const transferTime = 10 * time.Second

// openPolling begins a session whose client polls, and answers its first poll.
func (d *Door) openPolling(w http.ResponseWriter, r *http.Request, version int) {
	if s := d.openVisit(w, r, version); s != nil {
		s.start("websocket")
		s.poll(w, r)
	}
}

// openVisit makes a session without a WebSocket, or answers the request.
func (d *Door) openVisit(w http.ResponseWriter, r *http.Request, version int) *session {
	s := d.newSession(version, r.RemoteAddr)
	if !d.admit(s) {
		http.Error(w, shuttingDown().Text, http.StatusServiceUnavailable)
		return nil
	}
	visit := d.hub.Admit(w, r, doorName, s.end)
	if visit == nil {
		s.end(nil)
		return nil
	}
	s.mu.Lock()
	late := s.ended // stopped between the two
	if !late {
		s.visit = visit
	}
	s.mu.Unlock()
	if late {
		visit.End(shuttingDown())
	}
	return s
}

// poll answers a GET with what is queued, as soon as there is something.
func (s *session) poll(w http.ResponseWriter, r *http.Request) {
	if !s.beginPoll() {
		s.end(badMessage("the client polled twice at once"))
		refuse(w, badRequest, "there is a poll of this session already, or it has a WebSocket")
		return
	}
	waitLong(w)
	packets, err := s.next(r.Context())
	if err == nil {
		err = writePayload(w, s.version, packets)
	}
	s.mu.Lock()
	s.reading = false
	s.mu.Unlock()
	if err != nil { // the page is gone, and what was for it with it
		s.end(nil)
	}
}

// beginPoll takes the one place for a poll. A poll that comes after the change to
// a WebSocket, which clients are careful not to send, is answered at once.
func (s *session) beginPoll() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reading {
		return false
	}
	s.reading = true
	return true
}

// next waits for packets for the poll.
func (s *session) next(ctx context.Context) ([][]byte, error) {
	for {
		s.mu.Lock()
		packets := s.queue
		s.queue, s.queued = nil, 0
		release := s.ended || s.line != nil
		var changing <-chan time.Time
		if s.probed && !release { // not at once: a client that never changes over would poll without a pause
			changing = time.After(probePause)
		}
		s.mu.Unlock()
		if len(packets) == 0 && release {
			packets = [][]byte{{engineNoop}}
		}
		if len(packets) > 0 {
			return packets, nil
		}
		select {
		case <-s.wake:
		case <-changing:
			return [][]byte{{engineNoop}}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// probePause is how long a poll may last while the client tries a WebSocket: it waits
// for the poll to end before it changes over.
const probePause = 100 * time.Millisecond

// waitLong lifts the server's deadlines from a response that may be long in coming:
// how long is for the session to say.
func waitLong(w http.ResponseWriter) {
	control := http.NewResponseController(w)
	_, _ = control.SetReadDeadline(time.Time{}), control.SetWriteDeadline(time.Time{}) // without, there are none
}

func writePayload(w http.ResponseWriter, version int, packets [][]byte) error {
	body := encodePayload(version, packets)
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(transferTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	_, err := w.Write(body)
	return err
}

// post handles a POST with packets of a polling client.
func (s *session) post(w http.ResponseWriter, r *http.Request) {
	body, ok := s.door.readBody(w, r)
	if !ok {
		return
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	packets, err := decodePayload(s.version, body, kind == "application/octet-stream")
	if err == nil {
		err = s.receiveAll(packets)
	} else {
		err = badMessage("%v", err)
	}
	if err != nil {
		s.end(asError(err))
		refuse(w, badRequest, asError(err).Text)
		return
	}
	w.Header().Set("Content-Type", "text/html")
	_, _ = io.WriteString(w, "ok") // who does not read it does not miss it
}

// receiveAll handles packets in their order; those after the end are forgotten.
func (s *session) receiveAll(packets [][]byte) error {
	s.mu.Lock()
	overlap := s.writing
	s.writing = true
	s.mu.Unlock()
	if overlap {
		return badMessage("the client sent a second request before the first was answered")
	}
	s.handling.Lock()
	defer s.handling.Unlock()
	for _, p := range packets {
		s.mu.Lock()
		visit, ended := s.visit, s.ended
		s.mu.Unlock()
		switch {
		case ended:
			return nil
		case visit == nil:
			return badMessage("this session has a WebSocket now")
		}
		if err := visit.Take(len(p)); err != nil {
			return err
		}
		if err := s.receive(p); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.writing = false
	s.mu.Unlock()
	return nil
}

// readBody reads a request's body within our limits, or answers it.
func (d *Door) readBody(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(transferTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, false
	}
	var body bytes.Buffer
	_, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, int64(d.cfg.MaxPayload)))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		http.Error(w, "The request is larger than "+strconv.Itoa(d.cfg.MaxPayload)+" bytes.", http.StatusRequestEntityTooLarge)
		return nil, false
	case err != nil:
		refuse(w, badRequest, "the request's body could not be read")
		return nil, false
	}
	_ = control.SetReadDeadline(time.Time{}) // it was possible before
	return body.Bytes(), true
}
