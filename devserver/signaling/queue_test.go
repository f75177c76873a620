package signaling

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// verdict is what becomes of a write: whether it fails, and how many of its frames
// arrive. If not all do, the line is dead, which the writer need not notice.
type verdict struct {
	frames int
	failed bool
}

const all = 1 << 30

// testSink is a line of a [reader]. A held one writes when it is told to.
type testSink struct {
	reader *reader
	gate   chan verdict // nil: all arrives at once

	mu      sync.Mutex
	closed  bool // the close frame has been written
	flushes int
	busy    bool
	dead    bool // nothing arrives any more
}

func (s *testSink) write(frames []byte) error {
	s.mu.Lock()
	if s.busy || s.closed {
		s.reader.t.Errorf("a write begins: during another one: %v, after the close frame: %v", s.busy, s.closed)
	}
	s.busy = true
	s.mu.Unlock()
	before := bytes.Clone(frames)
	v := verdict{frames: all}
	if s.gate != nil {
		v = <-s.gate
	}
	s.mu.Lock()
	if s.dead {
		v.frames = 0
	}
	s.dead = s.dead || v.frames < all
	s.mu.Unlock()
	if !bytes.Equal(before, frames) {
		s.reader.t.Error("what was being written has changed")
	}
	for rest := frames; len(rest) > 0 && v.frames > 0; v.frames-- {
		var kind byte
		var payload []byte
		kind, payload, rest = nextFrame(rest)
		s.reader.hear(s, kind, payload)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = false
	if v.failed {
		return errors.New("the line is broken")
	}
	return nil
}

func (s *testSink) flushed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flushes++
}

// reader is who the queue is for: it counts what it gets, on one line after the other.
type reader struct {
	t *testing.T

	mu      sync.Mutex
	on      *testSink // nil while it has no line
	greeted bool      // the line's preface has come
	seen    uint64
	asked   []ask // pings that are not answered
	last    []byte
	closed  bool
}

// ask is a ping and the line that it came on.
type ask struct {
	on      *testSink
	payload []byte
}

const greeting = "the preface"

func numbered(n uint64, size int) []byte {
	return fmt.Appendf(nil, "message %d %0*d", n, size, 0)
}

func (r *reader) hear(on *testSink, kind byte, payload []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if kind == closeFrame {
		on.mu.Lock()
		on.closed = true
		on.mu.Unlock()
	}
	if on != r.on {
		return // it has turned away from that line
	}
	r.last = bytes.Clone(payload)
	switch {
	case !r.greeted && string(payload) != greeting:
		r.t.Errorf("before the preface came %#x %.20q", kind, payload)
	case !r.greeted:
		r.greeted = true
	case kind == pingFrame:
		r.asked = append(r.asked, ask{on, bytes.Clone(payload)})
	case kind == pongFrame && string(payload) != fmt.Sprintf("%p", on)[:len(payload)]:
		r.t.Error("an answer to another line's ping")
	case kind == closeFrame:
		r.closed = true
	case kind == textFrame && string(payload) != lastWords:
		r.seen++
		if want := fmt.Sprintf("message %d ", r.seen); !bytes.HasPrefix(payload, []byte(want)) {
			r.t.Errorf("got %.20q, want %q", payload, want)
		}
	}
}

const lastWords = "the last words"

// model drives a queue, and knows what must come of it.
type model struct {
	*reader
	q     *queue
	put   uint64
	lost  bool           // there was no room for a message
	lied  uint64         // the peer has said that it has so many, and has not
	sizes map[uint64]int // of messages as frames, at most
	extra int            // bytes of control frames, at most
	held  []*testSink
}

// attach gives the reader a new line. It tells whether the peer could come back.
func (m *model) attach(hold bool) bool {
	s := &testSink{reader: m.reader}
	if hold {
		s.gate = make(chan verdict)
		m.held = append(m.held, s)
	}
	m.mu.Lock()
	m.on, m.greeted = s, false
	seen := m.seen
	m.mu.Unlock()
	ok := m.q.attach(s, appendFrame(nil, textFrame, []byte(greeting)), seen)
	kept := m.extra
	for n := seen + 1; n <= m.put; n++ {
		kept += m.sizes[n]
	}
	if !ok && !m.lost && seen >= m.lied && kept <= m.q.keep {
		m.t.Errorf("the queue no longer has what comes after message %d of %d, %d bytes at most", seen, m.put, kept)
	}
	if ok && m.lost {
		m.t.Error("the queue goes on although it has lost a message")
	}
	m.extra = 0
	return ok
}

// do is one thing that happens. It tells whether more can.
func (m *model) do(what, how byte) bool {
	m.mu.Lock()
	on, seen := m.on, m.seen
	m.mu.Unlock()
	switch what % 16 {
	case 0, 1, 2, 3: // a message
		m.message(int(how) * int(how) / 16)
	case 4, 5: // another line, in good time or not
		return m.attach(how%2 == 0)
	case 6: // the line breaks
		m.q.detach(on)
	case 7: // it breaks, and nobody notices
		on.mu.Lock()
		on.dead = true
		on.mu.Unlock()
	case 8, 9: // a write goes well
		m.settle(how, verdict{frames: all})
	case 10: // only some of it arrives
		m.settle(how, verdict{int(how) / 16, how%2 == 0})
	case 11, 12: // answers to pings arrive, all but a few
		m.answer(int(how % 4))
	case 13: // the peer tells what it has seen
		m.q.acknowledge(seen)
	case 14:
		m.ask(on, how)
	case 15: // the peer tells what makes no sense
		m.q.acknowledge(m.put + 1 + uint64(how))
		m.q.pong(on, []byte{how})
		if how < 16 {
			m.lied = m.put
			m.q.acknowledge(m.put)
		}
	}
	return !m.lost
}

func (m *model) message(size int) {
	n := m.put + 1
	text := numbered(n, size)
	if m.q.put(text[:3], nil, text[3:]) {
		m.put = n
		m.sizes[n] = len(text) + maxHeader
		return
	}
	m.lost = true
}

// ask has a control frame sent.
func (m *model) ask(on *testSink, how byte) {
	m.extra += 2 + 8
	if how%2 == 0 {
		m.q.ping(on)
		return
	}
	m.q.control(on, pongFrame, fmt.Appendf(nil, "%p", on)[:8])
}

// settle lets one of the lines finish its write.
func (m *model) settle(which byte, v verdict) {
	for i := range m.held {
		select {
		case m.held[(int(which)+i)%len(m.held)].gate <- v:
			return
		default:
		}
	}
}

func (m *model) answer(keep int) {
	m.mu.Lock()
	asked := m.asked[:max(0, len(m.asked)-keep)]
	m.asked = m.asked[len(asked):]
	m.mu.Unlock()
	for _, a := range asked {
		m.q.pong(a.on, a.payload)
	}
}

// run does what ops say and then lets all arrive. The readers of all lines together
// get every message once and in order.
func run(t *testing.T, ops []byte) {
	q := &queue{maxMessages: 20, maxBytes: 20_000, keep: 8_000, pool: newBufferPool(), workers: new(workers), clock: new(atomic.Int64), first: 1}
	m := &model{reader: &reader{t: t}, q: q, sizes: map[uint64]int{}}
	goesOn := m.attach(false)
	for ; len(ops) > 1 && goesOn; ops = ops[2:] {
		goesOn = m.do(ops[0], ops[1])
		synctest.Wait()
	}
	defer func() {
		m.mu.Lock()
		m.on = nil // what is still written may stop in the middle
		m.mu.Unlock()
		for _, s := range m.held {
			close(s.gate)
		}
	}()
	if !goesOn {
		m.message(0) // of no use any more, quietly
		if q.attach(&testSink{reader: &reader{t: t}}, nil, m.seen) && m.lost {
			t.Error("a queue that has lost a message goes on")
		}
		return
	}
	if !m.attach(false) {
		return
	}
	synctest.Wait()
	if m.seen != m.put {
		t.Errorf("%d of %d messages have arrived", m.seen, m.put)
	}
	q.ping(m.on)
	synctest.Wait()
	m.answer(0)
	if q.writers == 0 && q.mem != nil {
		t.Errorf("the queue holds on to %d bytes for a peer that has all", cap(q.mem))
	}
	m.message(1)
	q.finish(m.on, appendFrame(nil, textFrame, []byte(lastWords)), 4002, "why", false)
	synctest.Wait()
	if m.seen != m.put || !m.closed || string(m.last) != "\x0f\xa2why" || m.on.flushes != 1 {
		t.Errorf("at the end: %d of %d messages, closed: %v with %q, flushed %d times", m.seen, m.put, m.closed, m.last, m.on.flushes)
	}
}

func FuzzQueue(f *testing.F) {
	for _, ops := range []string{
		"\x00\x10\x00\x20\x06\x00\x00\x10\x04\x01",                 // a line breaks between messages
		"\x04\x00\x00\x10\x00\x20\x04\x01\x08\x00",                 // the peer returns while the old line still writes
		"\x04\x00\x00\x80\x0a\x20\x00\x10\x04\x00\x0a\x11\x04\x01", // it breaks in the middle, twice
		"\x00\x30\x0e\x00\x0b\x00\x07\x00\x00\x10\x04\x01",         // some is acknowledged, some disappears
		"\x06\x00\x00\xff\x00\xff\x00\xff\x00\xff\x00\xff\x00\xff", // too much for a peer that is away
		"\x07\x00\x00\xff\x00\xff\x00\xff\x04\x01",                 // more than is kept disappears
		"\x04\x00\x00\x10\x00\x10\x0f\x00\x08\x00\x08\x00",         // a lie about what is being written
	} {
		f.Add([]byte(ops))
	}
	f.Fuzz(func(t *testing.T, ops []byte) {
		synctest.Test(t, func(t *testing.T) { run(t, ops) })
	})
}

// What FuzzQueue looks for, at random points.
func TestQueueAtRandom(t *testing.T) {
	t.Parallel()
	for seed := range uint64(500) {
		random := rand.New(rand.NewPCG(seed, 4))
		ops := make([]byte, 2*random.IntN(150))
		for i := range ops {
			ops[i] = byte(random.Uint32())
		}
		synctest.Test(t, func(t *testing.T) { run(t, ops) })
		if t.Failed() {
			t.Fatalf("seed %d: %x", seed, ops)
		}
	}
}

// promptSink answers each ping before the call that wrote it has returned.
type promptSink struct {
	queue   *queue
	written chan struct{}
}

func (s *promptSink) write(frames []byte) error {
	for len(frames) > 0 {
		var kind byte
		var payload []byte
		if kind, payload, frames = nextFrame(frames); kind == pingFrame {
			s.queue.pong(s, payload)
		}
	}
	s.written <- struct{}{}
	return nil
}

func (s *promptSink) flushed() {}

// What is acknowledged is not kept, however fast the answer comes.
func TestQueueTakesAPromptAnswer(t *testing.T) {
	h := New(Config{})
	q := new(queue)
	h.initQueue(q, 1<<20)
	s := &promptSink{q, make(chan struct{}, 1)}
	if !q.attach(s, nil, 0) || !q.put([]byte("hello")) {
		t.Fatal("the queue takes nothing")
	}
	<-s.written
	eventually(t, "the message is written", func() bool { return q.wantsAnswer(s) })
	q.ping(s)
	<-s.written
	eventually(t, "what is acknowledged is forgotten", func() bool {
		q.mu.Lock()
		defer q.mu.Unlock()
		return q.mem == nil
	})
}
