package peerjs

import (
	"slices"
	"sync"
	"time"
)

// place is an id among the clients of a key.
type place struct{ key, id string }

// bundle is what waits from one client for one place, in its order.
type bundle struct {
	from, to place
	dst      []byte // the id in "to" as the sender wrote it, in JSON
	since    time.Time
	frames   [][]byte
	used     load
	timer    *time.Timer
	// told is set when it became too much: the sender has got its EXPIRE, and what
	// it still sends within the time is part of what was given up.
	told bool
}

// load is how much waits. A bundle itself counts as a message and the bytes of its dst,
// so that empty ones are not free.
type load struct{ messages, bytes int }

func (l load) plus(m load) load  { return load{l.messages + m.messages, l.bytes + m.bytes} }
func (l load) minus(m load) load { return load{l.messages - m.messages, l.bytes - m.bytes} }

func (l load) within(limit load) bool { return l.messages <= limit.messages && l.bytes <= limit.bytes }

// limits bound what waits.
type limits struct{ inAll, bySender, byReceiver load }

// board knows who holds which place, and keeps what waits for places that nobody
// holds. Its mutex is the innermost lock: under it only lines are told something,
// which never takes long.
type board struct {
	expireAfter time.Duration
	limits      limits

	mu      sync.Mutex
	here    map[place]*client
	waiting map[place]map[place]*bundle // by to, then from
	used    load                        // by all that waits
	sent    map[place]load              // of it, by sender
	coming  map[place]load              // of it, by receiver
}

func newBoard(expireAfter time.Duration, l limits) *board {
	return &board{
		expireAfter: expireAfter, limits: l,
		here:    make(map[place]*client),
		waiting: make(map[place]map[place]*bundle),
		sent:    make(map[place]load),
		coming:  make(map[place]load),
	}
}

// holder is who holds a place, or nil.
func (b *board) holder(p place) *client {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.here[p]
}

// ids lists who is there with a key.
func (b *board) ids(key string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	ids := []string{}
	for p := range b.here {
		if p.key == key {
			ids = append(ids, p.id)
		}
	}
	slices.Sort(ids)
	return ids
}

// enter gives c its place, tells it so, and hands over what has waited for it, as far
// as its line can take that at once. The caller sees to it that nobody else can send to
// c meanwhile.
func (b *board) enter(c *client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.here[c.place] = c
	c.tell(opened())
	var waited []*bundle
	for _, w := range b.waiting[c.place] {
		waited = append(waited, w)
	}
	slices.SortFunc(waited, func(v, w *bundle) int { return v.since.Compare(w.since) })
	for _, w := range waited {
		for _, frame := range w.frames {
			if !c.line.Send(frame) {
				b.giveUp(w)
				break
			}
		}
		b.remove(w)
	}
}

// exit takes c's place away, if c holds it.
func (b *board) exit(c *client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.here[c.place] == c {
		delete(b.here, c.place)
	}
}

// wait keeps a frame from c for the place to, which c wrote as dst. It reports
// false, and does nothing, if somebody holds that place by now.
func (b *board) wait(c *client, to place, dst, frame []byte) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.here[to] != nil {
		return false
	}
	w := b.waiting[to][c.place]
	more := load{1, len(frame)}
	if w == nil {
		more = more.plus(load{1, len(dst)})
	}
	fits := b.used.plus(more).within(b.limits.inAll) &&
		b.sent[c.place].plus(more).within(b.limits.bySender) &&
		b.coming[to].plus(more).within(b.limits.byReceiver)
	switch {
	case w == nil && !fits:
		c.tell(expired(dst, c.place.id))
	case w == nil:
		w = b.begin(c.place, to, slices.Clone(dst))
		fallthrough
	case !w.told && fits:
		w.frames = append(w.frames, frame)
		b.count(w, load{1, len(frame)})
	case !w.told:
		b.giveUp(w)
	}
	return true
}

// begin needs b.mu, as all below.
func (b *board) begin(from, to place, dst []byte) *bundle {
	w := &bundle{from: from, to: to, dst: dst, since: time.Now()}
	w.timer = time.AfterFunc(b.expireAfter, func() { b.expire(w) })
	if b.waiting[to] == nil {
		b.waiting[to] = make(map[place]*bundle)
	}
	b.waiting[to][from] = w
	b.count(w, load{1, len(dst)})
	return w
}

// expire is called, without b.mu, when w's time is over.
func (b *board) expire(w *bundle) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting[w.to][w.from] != w {
		return // just handed over
	}
	if !w.told {
		b.giveUp(w)
	}
	b.remove(w)
}

// giveUp tells the sender so, and keeps nothing of w but the record.
func (b *board) giveUp(w *bundle) {
	w.told = true
	if c := b.here[w.from]; c != nil {
		c.tell(expired(w.dst, w.from.id))
	}
	b.count(w, load{1, len(w.dst)}.minus(w.used))
	w.frames = nil
}

func (b *board) remove(w *bundle) {
	w.timer.Stop()
	b.count(w, load{}.minus(w.used))
	delete(b.waiting[w.to], w.from)
	if len(b.waiting[w.to]) == 0 {
		delete(b.waiting, w.to)
	}
}

// count adds to what w uses.
func (b *board) count(w *bundle, more load) {
	w.used, b.used = w.used.plus(more), b.used.plus(more)
	add := func(sums map[place]load, p place) {
		if sums[p] = sums[p].plus(more); sums[p] == (load{}) {
			delete(sums, p)
		}
	}
	add(b.sent, w.from)
	add(b.coming, w.to)
}
