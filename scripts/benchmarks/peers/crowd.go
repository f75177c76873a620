package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"rtcdev/scripts/benchmarks/procstat"
)

// A crowd is what many peers in one process cost, in pairs that are connected.
type crowd struct {
	Peers int `json:"peers"`
	// CPU is processor time of the process in seconds, for each peer and second: a picture
	// drawn, encoded, encrypted, sent, and another one received.
	CPU float64 `json:"cpu_seconds_per_peer_second"`
	// Bytes is resident memory, beyond what a process with two peers has, for each further peer.
	Bytes float64 `json:"bytes_per_peer"`
	// Frames is how many a second each of them received.
	Frames float64 `json:"frames_received_per_peer_second"`
}

// settleTime is for peers that have just met: their key frames, and garbage.
const settleTime = 2 * time.Second

func (s *stage) gather(ctx context.Context, count int, duration time.Duration) (crowd, error) {
	two, err := s.crowd(ctx, 2, time.Second)
	if err != nil {
		return crowd{}, err
	}
	all, err := s.crowd(ctx, count, duration)
	if err != nil {
		return crowd{}, err
	}
	all.Bytes = (all.Bytes - two.Bytes) / float64(max(1, count-2))
	return all, nil
}

// crowd has that many peers in rooms of two. Bytes are those of the whole process.
func (s *stage) crowd(ctx context.Context, count int, duration time.Duration) (crowd, error) {
	c := crowd{Peers: count}
	h := &hearing{frames: map[string]float64{}, all: make(chan struct{}), want: count}
	p, err := s.start(ctx, h.hear, "peer", s.room(fmt.Sprintf("crowd%d-%%d", count)), "--count", fmt.Sprint(count), "--per-room", "2", "--stats")
	if err != nil {
		return c, err
	}
	defer p.stop()
	select {
	case <-h.all:
	case <-p.ended:
		return c, fmt.Errorf("the peers ended: %s", p.log.String())
	case <-ctx.Done():
		return c, context.Cause(ctx)
	}
	if err := wait(ctx, settleTime); err != nil {
		return c, err
	}
	pid, frames, begin := p.cmd.Process.Pid, h.sum(), time.Now()
	before, err := procstat.CPU(pid)
	if err != nil {
		return c, err
	}
	if err := wait(ctx, duration); err != nil {
		return c, err
	}
	after, err := procstat.CPU(pid)
	if err != nil {
		return c, err
	}
	memory, err := procstat.ReadMemory(pid)
	if err != nil {
		return c, err
	}
	seconds := time.Since(begin).Seconds() * float64(count)
	c.CPU, c.Frames, c.Bytes = (after-before).Seconds()/seconds, (h.sum()-frames)/seconds, float64(memory.Now)
	return c, nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// A hearing hears what the peers say, every second.
type hearing struct {
	mu     sync.Mutex
	frames map[string]float64 // received by each peer so far
	want   int
	all    chan struct{} // closed when that many have a picture
}

func (h *hearing) hear(line []byte) {
	var e struct {
		Peer           string
		FramesReceived float64
	}
	if json.Unmarshal(line, &e) != nil || e.FramesReceived == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.frames[e.Peer] = e.FramesReceived
	if len(h.frames) == h.want {
		h.want = 0
		close(h.all)
	}
}

func (h *hearing) sum() (n float64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range h.frames {
		n += f
	}
	return n
}
