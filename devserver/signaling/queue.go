package signaling

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"
)

// smallBuffer is what a queue takes from the pool: an offer and what is around it fit.
// What fits tinyBuffer, a ping or the news of one peer, gets no more than it needs: thousands
// of idle connections may be asked for a sign of life at the same time.
const (
	smallBuffer = 4 << 10
	tinyBuffer  = 96
)

// askEvery is how many bytes are sent before an acknowledgement is asked for at once,
// and not with the next look at the connection.
const askEvery = 32 << 10

// largestPooled bounds what the pool holds on to after a burst.
const largestPooled = 64 << 10

// sink is where a queue's frames go.
type sink interface {
	// write sends whole frames. One call is made at a time, and no mutex is held.
	// An error ends the sink.
	write(frames []byte) error
	// flushed tells that the last frame, a close frame, has been written.
	flushed()
}

// queue holds what is for one client, as frames, and has it written out: by a worker
// that it has only while something waits, all that waits in one call. With keep it
// holds each message until it is acknowledged, so that another sink can go on
// where one broke off.
//
// mem[head:sent] is written but not acknowledged, mem[sent:] waits. Messages are
// numbered from 1; control frames lie between them and have no number.
type queue struct {
	maxMessages, maxBytes int
	keep                  int // bytes to keep until they are acknowledged; 0 keeps none
	pool                  *sync.Pool
	workers               *workers
	clock                 *atomic.Int64 // what time it is, in Unix nanoseconds: see Hub.clock

	mu         sync.Mutex
	out        sink
	preface    []byte // frames for the sink before all others, without a number
	mem        []byte // nil while there is nothing
	head, sent int
	first      uint64   // number of the first message in mem[head:]
	last       uint64   // number of the last one
	confirmed  uint64   // number of the last one that the client is known to have
	waiting    int      // messages put since the last write began
	asked      int      // pings that have not been answered
	backlog    int      // bytes of mem[sent:] that are to be written once more; not above keep
	asking     question // the last ping
	due        bool     // something is kept that no ping asks about yet
	unasked    int      // bytes of it
	writers    int      // calls of sink.write, which read mem
	flushing   bool     // one of them is for out
	inFlight   int      // bytes of mem[sent:] that it writes
	since      int64    // when the last write began, by the clock
	finished   bool     // the close frame is in mem; nothing comes after it
	lost       bool     // there was no room for a message; none comes after it
}

// question is a ping in a queue's mem, which ends at mem[end] and asks about all
// messages before it, up to the number. The zero value is none.
type question struct {
	number uint64
	end    int
}

// put queues one message made of the parts. It reports false when there is no
// room for it; one of any size fits when nothing waits. After that, or after finish, it
// quietly does nothing: no message arrives behind one that does not.
func (q *queue) put(parts ...[]byte) bool {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.finished || q.lost {
		return true
	}
	room := q.maxBytes + q.backlog
	if q.out == nil { // nobody may ever come for it
		room = min(q.maxBytes, q.keep)
	}
	pending := len(q.mem) - q.sent
	if pending > 0 && (q.waiting >= q.maxMessages || pending+size > room) {
		q.lost = true
		return false
	}
	q.append(textFrame, size, parts)
	q.last++
	q.waiting++
	if q.keep > 0 {
		q.due = true
		if q.unasked += size; q.unasked > askEvery && q.out != nil {
			q.ask()
		}
	}
	q.start()
	return true
}

// control queues a control frame (RFC 6455 §5.5) for out.
func (q *queue) control(out sink, kind byte, payload []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.finished || q.out != out || len(q.mem)-q.sent > q.maxBytes {
		return // a client that pings without reading gets no more answers
	}
	q.append(kind, len(payload), [][]byte{payload})
	q.start()
}

// append needs q.mu.
func (q *queue) append(kind byte, size int, parts [][]byte) {
	q.makeRoom(size + maxHeader)
	q.mem = appendHeader(q.mem, kind, size)
	for _, p := range parts {
		q.mem = append(q.mem, p...)
	}
}

// makeRoom has n more bytes fit into mem, and gives back what is done with. It needs
// q.mu. What a sink is just writing must stay where it is.
func (q *queue) makeRoom(n int) {
	if q.mem == nil {
		if n <= tinyBuffer {
			q.mem = make([]byte, 0, n)
		} else {
			q.mem = *q.pool.Get().(*[]byte)
		}
		q.head, q.sent = 0, 0
	}
	if q.head > 0 && q.writers == 0 && len(q.mem)+n > cap(q.mem) {
		q.mem = q.mem[:copy(q.mem, q.mem[q.head:])]
		q.sent -= q.head
		q.asking.end -= q.head
		q.head = 0
	}
	if need := len(q.mem) + n; need > cap(q.mem) {
		q.mem = append(q.largerThan(need), q.mem...)
	}
}

// largerThan returns an empty buffer for need bytes or more. Who sends much soon needs all
// that is kept until an acknowledgement comes: that is not approached in small steps.
func (q *queue) largerThan(need int) []byte {
	if need <= smallBuffer {
		return *q.pool.Get().(*[]byte) // it has that much at least
	}
	return make([]byte, 0, max(need, 4*cap(q.mem)))
}

// release gives mem back when nothing is in it. It needs q.mu.
func (q *queue) release() {
	if q.mem == nil || q.head < len(q.mem) || q.writers > 0 {
		return
	}
	if cap(q.mem) >= smallBuffer && cap(q.mem) <= largestPooled {
		mem := q.mem[:0]
		q.pool.Put(&mem)
	}
	q.mem, q.head, q.sent, q.asking = nil, 0, 0, question{}
}

// newBufferPool makes what queues and readers take their buffers from.
func newBufferPool() *sync.Pool {
	return &sync.Pool{New: func() any {
		b := make([]byte, 0, smallBuffer)
		return &b
	}}
}

// start has what waits written. It needs q.mu.
func (q *queue) start() {
	if q.out == nil || q.flushing || q.sent == len(q.mem) && len(q.preface) == 0 {
		return
	}
	q.flushing = true
	q.workers.do(job{queue: q, out: q.out})
}

// flush writes to out until nothing waits, or out is no longer the queue's.
func (q *queue) flush(out sink) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.out == out {
		frames := q.preface
		prefaced := len(frames) > 0
		if !prefaced {
			if q.sent == len(q.mem) {
				break
			}
			frames = q.mem[q.sent:]
			q.waiting, q.inFlight = 0, len(frames)
		}
		if err := q.write(out, frames); err != nil || q.out != out {
			return // flushing stays: nothing more goes to a sink that has failed
		}
		q.inFlight = 0
		if prefaced {
			q.preface = nil
		} else {
			q.backlog = 0
			q.sent += len(frames)
			q.forget()
		}
		if q.finished && q.sent == len(q.mem) {
			q.mu.Unlock()
			out.flushed() // may wait for the client
			q.mu.Lock()
			break
		}
	}
	q.flushing = q.flushing && q.out != out
	q.release()
}

// write calls out without the lock, which it needs.
func (q *queue) write(out sink, frames []byte) error {
	q.writers++
	q.since = q.clock.Load()
	q.mu.Unlock()
	err := out.write(frames)
	q.mu.Lock()
	q.writers--
	return err
}

// forget drops what is written and acknowledged, or more than what is to be kept. It
// needs q.mu.
func (q *queue) forget() {
	if a := q.asking; a.number == q.confirmed && a.end > q.head && a.end <= q.sent {
		// As is usual: without a look at each frame.
		q.head, q.first, q.asking = a.end, a.number+1, question{}
	}
	for q.keep > 0 && q.head < q.sent && (q.first <= q.confirmed || q.sent-q.head > q.keep) {
		q.dropFirst()
	}
	if q.keep == 0 || q.first > q.last { // the rest is control frames
		q.head, q.first = q.sent, q.last+1
	}
}

// dropFirst drops the first frame. It needs q.mu.
func (q *queue) dropFirst() {
	kind, _, rest := nextFrame(q.mem[q.head:])
	q.head = len(q.mem) - len(rest)
	q.sent = max(q.sent, q.head)
	if kind == textFrame {
		q.first++
	}
}

// ask queues a ping whose answer acknowledges all messages before it. It needs q.mu.
func (q *queue) ask() {
	q.due, q.unasked = false, 0
	q.asked++
	number := binary.BigEndian.AppendUint64(nil, q.last)
	q.append(pingFrame, len(number), [][]byte{number})
	q.asking = question{q.last, len(q.mem)}
}

// ping asks the client at out for a sign of life, and for an acknowledgement.
func (q *queue) ping(out sink) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.finished || q.out != out {
		return
	}
	q.ask()
	q.start()
}

// wantsAnswer tells whether something is kept that no ping asks about yet.
func (q *queue) wantsAnswer(out sink) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.due && q.out == out && !q.finished && q.sent == len(q.mem)
}

// pong takes the answer to a ping at out: the client has all messages up to the number
// in it. It reports false for an answer to nothing that was asked.
func (q *queue) pong(out sink, payload []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(payload) != 8 || q.out != out || q.asked == 0 {
		return false
	}
	q.asked--
	q.confirm(binary.BigEndian.Uint64(payload))
	return true
}

// acknowledge forgets the messages up to number. Numbers that make no sense change
// nothing.
func (q *queue) acknowledge(number uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.confirm(number)
}

// confirm is acknowledge with q.mu held. The answer may be here before the call that
// wrote the question has returned: forget comes back to it then.
func (q *queue) confirm(number uint64) {
	if q.keep == 0 || number > q.last {
		return
	}
	q.confirmed = max(q.confirmed, number)
	q.forget()
	q.release()
}

// attach has everything after the message seen written to out, preface before it.
// It reports false, and changes nothing, when that is no longer there.
func (q *queue) attach(out sink, preface []byte, seen uint64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.finished || q.lost || seen+1 < q.first || seen > q.last {
		return false
	}
	for q.first <= seen {
		q.dropFirst()
	}
	q.dropControl()
	q.sent, q.waiting, q.unasked, q.asked = q.head, 0, 0, 0
	q.backlog = min(len(q.mem)-q.sent, q.keep)
	q.out, q.preface, q.flushing, q.inFlight = out, preface, false, 0
	q.due = q.keep > 0 // whether the preface arrives
	q.start()
	return true
}

// dropControl takes out the control frames, which are about the line before. It
// needs q.mu. What a sink is just writing is left alone.
func (q *queue) dropControl() {
	rest := q.mem[q.head:]
	var kept []byte
	for len(rest) > 0 {
		var kind byte
		frame := rest
		kind, _, rest = nextFrame(rest)
		if kind == textFrame {
			kept = append(kept, frame[:len(frame)-len(rest)]...)
		}
	}
	q.mem, q.head, q.asking = kept, 0, question{}
}

// detach leaves the queue without a sink, if it has this one, and reports whether it had.
func (q *queue) detach(out sink) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.out != out {
		return false
	}
	q.out, q.flushing, q.inFlight, q.preface = nil, false, 0, nil
	return true
}

// finish has the frames of the last words, which have no number, and a close frame
// (RFC 6455 §5.5.1) follow what waits for out; the first call counts. With drop, what
// waits is not worth waiting for.
func (q *queue) finish(out sink, words []byte, code int, reason string, drop bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.finished || q.out != out {
		return
	}
	if drop {
		q.mem, q.asking = q.mem[:q.sent+q.inFlight], question{}
	}
	q.makeRoom(len(words))
	q.mem = append(q.mem, words...)
	body := binary.BigEndian.AppendUint16(nil, uint16(code))
	q.append(closeFrame, len(body)+len(reason), [][]byte{body, []byte(reason)})
	q.finished = true
	q.start()
}

// stuckFor is how long the write to out that is going on has taken; zero without one.
func (q *queue) stuckFor(out sink) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.out != out || !q.flushing || q.writers == 0 {
		return 0
	}
	return time.Duration(q.clock.Load() - q.since)
}

// held is how many bytes are kept or wait.
func (q *queue) held() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.mem) - q.head
}

// depth is how many bytes wait.
func (q *queue) depth() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.mem) - q.sent
}
