package signaling

import "sync"

// ending is how a connection is to be closed once its outbox is empty.
type ending struct {
	code   int
	reason string
}

// outbox is the bounded queue between the hub, which puts without waiting, and
// a connection's one writer, which takes them one by one. It is bounded in messages and in
// bytes; a message of any size fits into an empty one.
type outbox struct {
	maxMessages, maxBytes int

	// wake holds a token while there is something for the writer to look at.
	wake chan struct{}

	mu    sync.Mutex
	queue [][]byte
	bytes int
	end   *ending
}

func newOutbox(maxMessages, maxBytes int) *outbox {
	return &outbox{maxMessages: maxMessages, maxBytes: maxBytes, wake: make(chan struct{}, 1)}
}

// put queues msg and reports false when there is no room for it. After finish
// it quietly does nothing: the peer is on its way out and the hub has already
// told the others.
func (o *outbox) put(msg []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.end != nil {
		return true
	}
	if len(o.queue) > 0 && (len(o.queue) >= o.maxMessages || o.bytes+len(msg) > o.maxBytes) {
		return false
	}
	o.queue = append(o.queue, msg)
	o.bytes += len(msg)
	o.signal()
	return true
}

// finish says how to close after what is queued; the first call counts. With
// drop, what is queued is not worth waiting for.
func (o *outbox) finish(e ending, drop bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.end != nil {
		return
	}
	o.end = &e
	if drop {
		o.queue, o.bytes = nil, 0
	}
	o.signal()
}

// next hands over the oldest message. Without one, a non-nil ending means that
// none will come.
func (o *outbox) next() ([]byte, *ending) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) == 0 {
		return nil, o.end
	}
	msg := o.queue[0]
	o.queue[0] = nil // let go of it before the slice moves on
	o.queue = o.queue[1:]
	o.bytes -= len(msg)
	return msg, nil
}

func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}
