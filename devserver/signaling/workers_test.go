package signaling

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
)

// idleLine is a line that only lends work.
func idleLine() *Line { return &Line{Visit: Visit{hub: New(Config{})}} }

// What comes of the work gets to who lent it, also from work that lends work itself.
func TestLend(t *testing.T) {
	t.Parallel()
	l := idleLine()
	want := errors.New("it went wrong")
	if err := l.lend(func() error { return want }); err != want {
		t.Errorf("got %v", err)
	}
	if err := l.lend(func() error { return l.lend(func() error { return want }) }); err != want {
		t.Errorf("lent twice: got %v", err)
	}
	if err := l.lend(func() error { return nil }); err != nil {
		t.Errorf("got %v", err)
	}
}

// What hangs keeps nothing else waiting; when all is done a few workers wait, until they
// are released.
func TestWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := idleLine()
		w := &l.hub.workers
		waiting := func() int {
			synctest.Wait()
			w.mu.Lock()
			defer w.mu.Unlock()
			return len(w.idle)
		}
		hung := func(n int) {
			t.Helper()
			gate := make(chan struct{})
			var begun, done sync.WaitGroup
			for range n {
				begun.Add(1)
				done.Go(func() { _ = l.lend(func() error { begun.Done(); <-gate; return nil }) })
			}
			begun.Wait() // or synctest finds that all are blocked
			close(gate)
			done.Wait()
		}
		if hung(3 * idleWorkers); waiting() != 0 {
			t.Errorf("%d workers wait although none is to", waiting())
		}
		w.retain()
		for range 3 { // those that wait, and new ones
			if hung(3 * idleWorkers); waiting() != idleWorkers {
				t.Errorf("%d workers wait, want %d", waiting(), idleWorkers)
			}
		}
		if w.release(); waiting() != 0 {
			t.Errorf("%d workers wait although they were released", waiting())
		}
		hung(1)
		if waiting() != 0 {
			t.Error("a worker waits after the release")
		}
	})
}

// A client is busy after many messages in close succession, and no longer after a pause.
func TestBusy(t *testing.T) {
	t.Parallel()
	l := idleLine()
	for round := range 3 {
		l.hub.looks.Add(2)
		for i := range 2 * busyStreak {
			if i%4 == 3 && i < busyStreak { // a look between two messages is no pause
				l.hub.looks.Add(1)
			}
			if got := l.isBusy(); got != (i >= busyStreak) {
				t.Errorf("round %d: message %d makes it busy: %v", round, i+1, got)
			}
		}
	}
}

// Whether a worker handles a message or the reader itself, all arrive in order, and a
// fault ends the line with its code.
func TestBusyAndIdleByTurns(t *testing.T) {
	t.Parallel()
	s := start(t, Config{MessageRate: 1e6, QueueMessages: 1000})
	for name, last := range map[string]int{"fault when new": 0, "fault when busy": 2 * busyStreak, "fault after a pause": 5} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, room := s.in(t), aRoom()
			witness, c := s.join(room), s.join(room)
			witness.next()
			burst := func(n int) {
				for i := range n {
					c.send(fmt.Sprintf(`{"type":"signal","data":%d}`, i))
				}
				for i := range n {
					witness.want(serverMessage{Type: "signal", From: c.id, Data: fmt.Append(nil, i)})
				}
			}
			pause := func() {
				looks := s.hub.looks.Load()
				eventually(t, "the keeper looks twice", func() bool { return s.hub.looks.Load() > looks+2 })
			}
			if last > 0 {
				burst(3 * busyStreak)
				pause()
				burst(2)
				pause()
				burst(last)
			}
			c.send("no JSON")
			c.send(hello) // for nobody any more
			c.wantClose("bad-message", 4002)
			witness.want(serverMessage{Type: "peer-left", Peer: c.id})
			witness.wantUndisturbed()
		})
	}
}
