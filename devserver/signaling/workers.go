package signaling

import "sync"

// idleWorkers is how many goroutines wait for the next write. They are kept because
// writing through TLS needs a stack larger than a new goroutine's, and growing it
// costs as much as sending a small message.
const idleWorkers = 8

// workers are the goroutines that write what queues hold. There are as many as there
// are writes going on: one that hangs keeps no other waiting.
type workers struct {
	mu   sync.Mutex
	keep bool // whether any is to wait
	idle []chan flushing
}

// flushing is a piece of work: to write what q holds to out.
type flushing struct {
	q   *queue
	out sink
}

// do has the work done by a worker that waits, or else by a new one.
func (w *workers) do(f flushing) {
	w.mu.Lock()
	if n := len(w.idle); n > 0 {
		next := w.idle[n-1] // whose stack and memory were in use last
		w.idle = w.idle[:n-1]
		w.mu.Unlock()
		next <- f
		return
	}
	w.mu.Unlock()
	go w.run(f)
}

// run is a worker. It ends when enough others wait, or by release.
func (w *workers) run(f flushing) {
	next := make(chan flushing, 1)
	for ok := true; ok; f, ok = <-next {
		f.q.flush(f.out)
		f = flushing{} // what it was is not to be kept in memory by waiting
		w.mu.Lock()
		if !w.keep || len(w.idle) == idleWorkers {
			w.mu.Unlock()
			return
		}
		w.idle = append(w.idle, next)
		w.mu.Unlock()
	}
}

// retain lets workers wait from now on, until release.
func (w *workers) retain() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keep = true
}

// release ends the workers that wait, and has no more do so.
func (w *workers) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keep = false
	for _, next := range w.idle {
		close(next)
	}
	w.idle = nil
}
