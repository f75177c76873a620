package signaling

import (
	"sync"
	"time"
)

// A person at the terminal is told of clients that are refused or thrown out: their
// pages often cannot say why. Not of each one: who is refused tries again.
const (
	reportEvery = 10 * time.Second // for the same reason and address
	mostReports = 64               // of different ones within that time
)

// reports remembers what was told a moment ago.
type reports struct {
	mu     sync.Mutex
	recent map[string]int64 // when, in Unix nanoseconds
}

// first tells whether nothing was told of this lately.
func (r *reports) first(what string, now int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for other, at := range r.recent {
		if now-at > int64(reportEvery) {
			delete(r.recent, other)
		}
	}
	if _, told := r.recent[what]; told || len(r.recent) >= mostReports {
		return false
	}
	if r.recent == nil {
		r.recent = make(map[string]int64)
	}
	r.recent[what] = now
	return true
}

// report tells Config.OnEvent of a client that was refused or thrown out. What is a
// part of every client's life is not worth a line.
func (h *Hub) report(addr, origin string, reason *Error) {
	switch reason.Code {
	case ShuttingDown, Replaced, CannotResume, NoPong:
		return
	}
	if h.reports.first(string(reason.Code)+" "+hostOf(addr)+" "+origin, time.Now().UnixNano()) {
		h.cfg.OnEvent(Event{Kind: Refused, Addr: addr, Reason: reason, Origin: origin})
	}
}

// foreign is why a page of another origin is refused.
func foreign(origin string) *Error {
	if origin == "" {
		return refuse(ForeignOrigin, "a page of another site may not use this server")
	}
	return refuse(ForeignOrigin, "pages of %.200q may not use this server", origin)
}
