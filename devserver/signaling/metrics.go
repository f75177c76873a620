package signaling

import (
	"context"
	"fmt"
	"io"
	"maps"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// counts are what the hub has seen since it was made.
type counts struct {
	resumed, notResumed atomic.Int64

	mu         sync.Mutex
	doors      map[string]*doorMetrics
	closes     map[int]int64  // by close code
	refusals   map[Code]int64 // of requests
	handshakes histogram
}

// doorMetrics are of one door.
type doorMetrics struct {
	connections, connected atomic.Int64 // now, and in all
	peers                  atomic.Int64
	messagesIn, bytesIn    atomic.Int64
	messagesOut, bytesOut  atomic.Int64
}

func newCounts() *counts {
	return &counts{
		doors: make(map[string]*doorMetrics), closes: make(map[int]int64), refusals: make(map[Code]int64),
		handshakes: newHistogram(),
	}
}

// door returns the counters of the door with that name.
func (c *counts) door(name string) *doorMetrics {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.doors[name]
	if d == nil {
		d = new(doorMetrics)
		c.doors[name] = d
	}
	return d
}

// activity grows with every message and every client.
func (c *counts) activity() (n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.doors {
		n += d.connected.Load() + d.messagesIn.Load() + d.messagesOut.Load()
	}
	return n
}

func (c *counts) peer(kind EventKind, door string) {
	change := int64(1)
	if kind == Left {
		change = -1
	}
	c.door(door).peers.Add(change)
}

func (c *counts) closed(code int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch { // clients could make thousands of others
	case code <= closeTooBig && code >= closeNormal, code >= 4001 && code <= 4009:
	default:
		code = 0
	}
	c.closes[code]++
}

func (c *counts) refused(code Code) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refusals[code]++
}

type arrivalKey struct{}

// Arrival returns a context that tells since when its request's connection has been
// there. Handshakes, that of TLS included, are timed from then.
func Arrival(ctx context.Context, t time.Time) context.Context {
	return context.WithValue(ctx, arrivalKey{}, t)
}

func (c *counts) handshake(ctx context.Context) {
	began, ok := ctx.Value(arrivalKey{}).(time.Time)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handshakes.observe(time.Since(began).Seconds())
}

// histogram counts values up to limits, as Prometheus does.
type histogram struct {
	limits []float64
	counts []int64
	sum    float64
	total  int64
}

func newHistogram() histogram {
	limits := []float64{0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5}
	return histogram{limits: limits, counts: make([]int64, len(limits))}
}

func (h *histogram) observe(value float64) {
	h.sum += value
	h.total++
	for i, limit := range h.limits {
		if value <= limit {
			h.counts[i]++
		}
	}
}

// WriteMetrics writes what the hub holds and has seen, and how the Go runtime is
// doing, in the text format of Prometheus (version 0.0.4).
func (h *Hub) WriteMetrics(w io.Writer) error {
	var e exposition
	h.mu.Lock()
	rooms, away, visits := len(h.rooms), len(h.away), make([]*Visit, 0, len(h.visits))
	for v := range h.visits {
		visits = append(visits, v)
	}
	waiting := slices.Collect(maps.Keys(h.away))
	h.mu.Unlock()
	deepest, all := 0, 0
	for _, s := range waiting {
		held := s.queue.held()
		deepest, all = max(deepest, held), all+held
	}
	for _, v := range visits {
		depth := v.depth()
		deepest, all = max(deepest, depth), all+depth
	}
	e.add("rtcdev_rooms", "gauge", "Rooms that somebody is in.", "", float64(rooms))
	e.add("rtcdev_peers_away", "gauge", "Peers whose line broke and who may come back.", "", float64(away))
	e.add("rtcdev_queue_bytes", "gauge", "Bytes that wait to be written, for all peers, those away included.", "", float64(all))
	e.add("rtcdev_queue_bytes_max", "gauge", "Bytes that wait for the peer with the most.", "", float64(deepest))
	h.metrics.write(&e)
	writeRuntime(&e)
	_, err := io.WriteString(w, e.text.String())
	return err
}

func (c *counts) write(e *exposition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range []struct {
		name, kind, help string
		value            func(*doorMetrics) int64
	}{
		{"rtcdev_connections", "gauge", "Clients that are connected.", func(d *doorMetrics) int64 { return d.connections.Load() }},
		{"rtcdev_connections_total", "counter", "Clients that have connected.", func(d *doorMetrics) int64 { return d.connected.Load() }},
		{"rtcdev_peers", "gauge", "Peers in rooms.", func(d *doorMetrics) int64 { return d.peers.Load() }},
		{"rtcdev_messages_received_total", "counter", "Messages from clients.", func(d *doorMetrics) int64 { return d.messagesIn.Load() }},
		{"rtcdev_received_bytes_total", "counter", "Bytes of messages from clients.", func(d *doorMetrics) int64 { return d.bytesIn.Load() }},
		{"rtcdev_messages_sent_total", "counter", "Messages to clients.", func(d *doorMetrics) int64 { return d.messagesOut.Load() }},
		{"rtcdev_sent_bytes_total", "counter", "Bytes of messages to clients.", func(d *doorMetrics) int64 { return d.bytesOut.Load() }},
	} {
		for _, name := range slices.Sorted(maps.Keys(c.doors)) {
			e.add(m.name, m.kind, m.help, label("door", name), float64(m.value(c.doors[name])))
		}
	}
	for _, code := range slices.Sorted(maps.Keys(c.closes)) {
		e.add("rtcdev_closes_total", "counter", "Connections that have ended, by close code; 0 is any that has no meaning here.", label("code", strconv.Itoa(code)), float64(c.closes[code]))
	}
	for _, code := range slices.Sorted(maps.Keys(c.refusals)) {
		e.add("rtcdev_refused_total", "counter", "Connections that were refused, by reason.", label("code", string(code)), float64(c.refusals[code]))
	}
	e.add("rtcdev_resumes_total", "counter", "Peers that came back, or could not.", label("result", "resumed"), float64(c.resumed.Load()))
	e.add("rtcdev_resumes_total", "counter", "", label("result", "refused"), float64(c.notResumed.Load()))
	e.histogram("rtcdev_handshake_seconds", "From the TCP connection to the end of the handshake, of WebSockets.", c.handshakes)
}

// writeRuntime names what Prometheus' own Go client calls so too.
func writeRuntime(e *exposition) {
	for _, m := range []struct{ name, kind, help, source string }{
		{"go_goroutines", "gauge", "Goroutines.", "/sched/goroutines:goroutines"},
		{"go_memstats_heap_alloc_bytes", "gauge", "Heap in use.", "/memory/classes/heap/objects:bytes"},
		{"go_memstats_stack_inuse_bytes", "gauge", "Stacks of goroutines.", "/memory/classes/heap/stacks:bytes"},
		{"go_memstats_sys_bytes", "gauge", "Memory taken from the system.", "/memory/classes/total:bytes"},
		{"go_memstats_alloc_bytes_total", "counter", "Bytes allocated since the start.", "/gc/heap/allocs:bytes"},
		{"go_gc_cycles_total", "counter", "Garbage collections since the start.", "/gc/cycles/total:gc-cycles"},
	} {
		sample := []metrics.Sample{{Name: m.source}}
		metrics.Read(sample)
		e.add(m.name, m.kind, m.help, "", float64(sample[0].Value.Uint64()))
	}
}

// exposition is text in the format of Prometheus.
type exposition struct {
	text strings.Builder
	last string // the metric that was added last
}

func label(name, value string) string { return fmt.Sprintf("{%s=%q}", name, value) }

// add adds a value; values of one metric follow each other.
func (e *exposition) add(name, kind, help, labels string, value float64) {
	e.head(name, kind, help)
	fmt.Fprintf(&e.text, "%s%s %s\n", name, labels, strconv.FormatFloat(value, 'f', -1, 64))
}

func (e *exposition) head(name, kind, help string) {
	if name != e.last {
		fmt.Fprintf(&e.text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
		e.last = name
	}
}

func (e *exposition) histogram(name, help string, h histogram) {
	e.head(name, "histogram", help)
	for i, limit := range h.limits {
		fmt.Fprintf(&e.text, "%s_bucket{le=\"%v\"} %d\n", name, limit, h.counts[i])
	}
	fmt.Fprintf(&e.text, "%s_bucket{le=\"+Inf\"} %d\n%s_sum %v\n%s_count %d\n", name, h.total, name, h.sum, name, h.total)
}
