package signaling

import (
	"errors"
	"io"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// busyStreak is how many messages, with less than a look of the keeper between any two,
// make a client busy.
const busyStreak = 32

// read is the reader. Most clients send little and then nothing for long, and there
// are many of them: so a worker handles their messages, and the reader waits in few
// and small frames of its stack, which stays as small as a goroutine's can be. (Its share
// in the average also decides with how much the runtime begins new goroutines.)
func (l *Line) read() {
	for {
		first, err := l.in.Peek(1)
		if err != nil {
			l.over(err)
			return
		}
		if (first[0] == pingFrame || first[0] == pongFrame) && l.control() {
			continue
		}
		if !l.got(l.conn.NextReader()) {
			return
		}
	}
}

// control handles a ping or a pong between messages, after which NextReader would
// wait for more at once, in larger frames. It reports false, having done nothing, for
// a frame that is not allowed (RFC 6455 §5.5): gorilla knows what to do with that.
//
//go:noinline
func (l *Line) control() bool {
	const masked, header = 0x80, 6 // a client's frames have a mask, of four bytes (§5.3)
	head, err := l.in.Peek(2)
	if err != nil || head[1] < masked || head[1] > masked+125 {
		return false
	}
	kind, size := head[0], header+int(head[1]-masked)
	frame, err := l.in.Peek(size)
	if err != nil {
		return false
	}
	payload := make([]byte, size-header, 125)
	for i := range payload {
		payload[i] = frame[header+i] ^ frame[2+i%4]
	}
	_, _ = l.in.Discard(size) // they are there
	if kind == pongFrame {
		l.pong(payload)
	} else {
		l.ping(payload)
	}
	return true
}

// got handles what the reader has read, and tells whether there is more to read.
//
//go:noinline
func (l *Line) got(kind int, body io.Reader, err error) bool {
	switch {
	case err != nil:
	case l.isBusy():
		err = l.take(kind, body) // itself, which is faster
	default:
		err = l.lend(func() error { return l.take(kind, body) })
	}
	if err != nil {
		l.over(err)
	}
	return err == nil
}

// isBusy tells, of a message that has come, whether many came before it.
func (l *Line) isBusy() bool {
	looks := l.hub.looks.Load()
	if looks > l.lastLook+1 {
		l.streak = 0
	}
	l.lastLook = looks
	l.streak++
	return l.streak > busyStreak
}

// lend has a worker do some work, and waits for it.
func (l *Line) lend(work func() error) error {
	b := &borrowed{work, make(chan error, 1)}
	l.hub.workers.do(job{borrowed: b})
	return <-b.done
}

// borrowed is work that a worker does for a line's reader.
type borrowed struct {
	work func() error
	done chan error
}

// errClosing ends the reading of a line that is being closed.
var errClosing = errors.New("the line is being closed")

// take reads one message and has it handled.
func (l *Line) take(kind int, body io.Reader) error {
	if l.fault.Load() {
		return errClosing
	}
	buffer := l.hub.buffers.Get().(*[]byte)
	text, err := readUpTo((*buffer)[:0], body, l.hub.cfg.MaxMessage+1)
	if err == nil {
		err = l.handle(kind, text)
	}
	if cap(text) <= largestPooled {
		*buffer = text[:0]
	}
	l.hub.buffers.Put(buffer)
	return err
}

func (l *Line) handle(kind int, text []byte) error {
	err := l.Take(len(text))
	switch {
	case err != nil:
	case kind != websocket.TextMessage:
		err = refuse(BadMessage, "messages are text frames; this one is binary")
	case !utf8.Valid(text):
		// gorilla does not look, and a browser that gets it drops its whole
		// connection (RFC 6455 §8.1).
		err = refuse(BadMessage, "the message is not valid UTF-8")
	default:
		err = l.client.Message(text)
	}
	if err == nil {
		return nil
	}
	l.Close(asError(err))
	return errClosing
}

// readUpTo appends what r has, up to max bytes, to b.
func readUpTo(b []byte, r io.Reader, max int) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Read(b[len(b):min(cap(b), max)])
		b = b[:len(b)+n]
		if err == io.EOF || len(b) == max {
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
}

// ping answers the client's ping (RFC 6455 §5.5.2).
func (l *Line) ping(payload []byte) {
	if err := l.spend(len(payload)); err != nil {
		l.Close(asError(err))
	} else {
		l.queue.control(l, pongFrame, payload)
	}
}

// pong takes the client's answer to one of ours.
func (l *Line) pong(payload []byte) {
	if !l.queue.pong(l, payload) { // RFC 6455 §5.5.3 allows that, too
		if err := l.spend(len(payload)); err != nil {
			l.Close(asError(err))
		}
		return
	}
	l.touch()
	if c, ok := l.client.(answerer); ok {
		c.answered()
	}
}
