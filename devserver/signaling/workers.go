package signaling

import "sync"

// idleWorkers is how many goroutines wait for work. They are kept because writing
// through TLS needs a stack larger than a new goroutine's, and growing it
// costs as much as sending a small message.
const idleWorkers = 8

// workers are goroutines for what needs a large stack: they write what queues hold,
// and handle the messages of clients that send few. There are as many as there
// is work going on: what hangs keeps nothing else waiting.
type workers struct {
	mu   sync.Mutex
	keep bool // whether any is to wait
	idle []chan job
}

// job is a piece of work: to write what a queue holds to a sink, or what a reader lends.
type job struct {
	queue    *queue
	out      sink
	borrowed *borrowed
}

func (j job) do() {
	if b := j.borrowed; b != nil {
		b.done <- b.work()
		return
	}
	j.queue.flush(j.out)
}

// do has the work done by a worker that waits, or else by a new one.
func (w *workers) do(f job) {
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
func (w *workers) run(f job) {
	next := make(chan job, 1)
	for ok := true; ok; f, ok = <-next {
		f.do()
		f = job{} // what it was is not to be kept in memory by waiting
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
