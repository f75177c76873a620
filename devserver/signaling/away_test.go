package signaling

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/gorilla/websocket"
)

// awaitConnected waits until so many clients are connected.
func (s *server) awaitConnected(n int) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("%d are connected", n), func() bool {
		s.hub.mu.Lock()
		defer s.hub.mu.Unlock()
		return len(s.hub.visits) == n
	})
}

// leaveBehind makes a peer that is away, the n-th one.
func (s *server) leaveBehind(room string, n int) *client {
	s.t.Helper()
	c := s.joinAndSpeak(room)
	s.hub.mu.Lock()
	connected := len(s.hub.visits)
	s.hub.mu.Unlock()
	c.snap()
	s.awaitAway(n)
	s.awaitConnected(connected - 1)
	return c
}

// Coming back gives nobody more to send.
func TestResumeDoesNotRefillTheRate(t *testing.T) {
	t.Parallel()
	t.Run("WebSocket", func(t *testing.T) {
		t.Parallel()
		s := start(t, Config{MessageRate: 1})
		witness, c := s.pair()
		for round := range 5 {
			for range burst - 1 {
				c.conn.WriteMessage(websocket.TextMessage, []byte(hello)) // it may be closed by now
			}
			for range burst - 1 {
				if m := witness.next(); m.Type == "peer-left" {
					c.wantClose("rate-limited", 4006)
					return
				}
			}
			c = s.resume(c, 1, uint64(1+(burst-1)*(round+1)))
		}
		t.Error("it has sent far more than it may")
	})
	t.Run("event stream", func(t *testing.T) {
		t.Parallel()
		s := start(t, Config{ByteRate: 1000})
		witness, l := s.join("r"), s.listenIn("r")
		witness.next()
		large := `{"type":"signal","data":"` + strings.Repeat("x", 1900) + `"}` // two are less than the burst
		for range 5 {
			for range 2 {
				l.sent++
				switch status, code := l.post(l.sent, large); {
				case status == http.StatusTooManyRequests:
					witness.want(serverMessage{Type: "peer-left", Peer: l.id})
					return
				case status != http.StatusNoContent:
					t.Fatalf("posting: %d %s", status, code)
				}
				if m := witness.next(); m.Type != "signal" {
					t.Fatalf("got %s", m)
				}
			}
			l = s.listenAgain(l)
		}
		t.Error("it has sent far more than it may")
	})
}

// Who comes back takes nobody's place, and not its own.
func TestResumeEvictsNobody(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{"from one address": {MaxPerAddress: 3}, "in all": {MaxConnections: 3}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, cfg)
			var away []*client
			for i := range 3 {
				away = append(away, s.leaveBehind(fmt.Sprint(i), i+1))
			}
			for _, c := range []*client{away[2], away[0], away[1]} {
				s.resume(c, 1, 1).wantUndisturbed()
			}
			s.awaitConnected(3)
		})
	}
}

// New peers get their places from those that are away, the longest first: all together are
// no more than may be connected.
func TestAwayPeersYieldToNewOnes(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{"from one address": {MaxPerAddress: 3}, "in all": {MaxConnections: 3}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, cfg)
			var away []*client
			for i := range 3 {
				away = append(away, s.leaveBehind(fmt.Sprint(i), i+1))
			}
			away = append(away, s.leaveBehind("3", 3))
			s.comeBack(away[0].token, 1).wantClose("cannot-resume", 4004)
			s.awaitConnected(0)
			s.leaveBehind("4", 3)
			s.comeBack(away[1].token, 1).wantClose("cannot-resume", 4004)
			s.awaitConnected(0)
			for i := range 3 {
				s.join(fmt.Sprint("new", i)).wantUndisturbed()
				s.awaitAway(2 - i)
			}
		})
	}
}

// Who is refused takes nobody's place.
func TestRefusedPeerEvictsNobody(t *testing.T) {
	t.Parallel()
	s := start(t, Config{MaxPerAddress: 2, MaxRooms: 2, RoomSize: 1})
	s.join("full")
	away := s.leaveBehind("r", 1)
	s.connect("full").wantClose("room-full", 4001)
	s.awaitConnected(1)
	s.connect("another").wantClose("too-many-rooms", 4007)
	s.awaitConnected(1)
	s.listen(url.Values{"room": {"full"}}, "").wantEnd("room-full")
	s.awaitConnected(1)
	s.resume(away, 1, 1).wantUndisturbed()
}

// Less may wait for a peer that is away, and perhaps for ever, than for one that reads.
func TestLittleMayWaitForWhoIsAway(t *testing.T) {
	t.Parallel()
	s := start(t, Config{KeepBytes: 20_000})
	witness, c := s.pair()
	text := `{"type":"signal","data":"` + strings.Repeat("x", 5000) + `"}`
	c.snap()
	s.awaitAway(1)
	for range 3 {
		witness.send(text)
	}
	witness.wantUndisturbed()
	got := scrape(t, s.hub)
	// The witness's pong may not have been counted out yet.
	if all, deepest := got["rtcdev_queue_bytes"], got["rtcdev_queue_bytes_max"]; deepest < 15_000 || all < deepest || all > deepest+100 {
		t.Errorf("%v bytes wait, %v for one", all, deepest)
	}
	c = s.resume(c, 1, 1)
	for range 3 {
		if m := c.next(); len(m.Data) != 5002 {
			t.Fatalf("got %s", m)
		}
	}
	c.wantUndisturbed()
	c.snap()
	s.awaitAway(1)
	for range 4 {
		witness.send(text)
	}
	witness.want(serverMessage{Type: "peer-left", Peer: c.id})
	witness.wantUndisturbed()
	s.comeBack(c.token, 5).wantClose("cannot-resume", 4004)
}

// newTestQueue returns a queue with these bounds in bytes.
func newTestQueue(maxBytes, keep int) *queue {
	return &queue{maxMessages: 1000, maxBytes: maxBytes, keep: keep, pool: newBufferPool(), workers: new(workers), clock: new(atomic.Int64), first: 1}
}

// hungSink is a line whose writes hang until the test ends.
func hungSink(t *testing.T) *testSink {
	s := &testSink{reader: &reader{t: t}, gate: make(chan verdict)}
	t.Cleanup(func() { close(s.gate) })
	return s
}

// What comes again after a resume was within the bounds before: it leaves the usual room
// for what is new.
func TestBacklogIsNotTooSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newTestQueue(1000, 1000)
		out := &testSink{reader: &reader{t: t}}
		q.attach(out, nil, 0)
		q.put(make([]byte, 900)) // written, and never acknowledged
		synctest.Wait()
		q.detach(out)
		if !q.put(make([]byte, 900)) {
			t.Fatal("nothing may wait for a peer that is away")
		}
		if !q.attach(hungSink(t), nil, 0) {
			t.Fatal("it cannot come back")
		}
		synctest.Wait()
		if !q.put(make([]byte, 100)) {
			t.Error("it is too slow with the first message")
		}
		if q.put(make([]byte, 1000)) {
			t.Error("it is never too slow")
		}
	})
}

// However often a peer comes back and reads nothing, what waits for it is bounded.
func TestBacklogDoesNotGrow(t *testing.T) {
	t.Parallel()
	const maxBytes, keep = 10_000, 2000
	for name, most := range map[string]int{"on its line": maxBytes + keep, "away": keep} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				q := newTestQueue(maxBytes, keep)
				for range 50 {
					out := hungSink(t)
					if !q.attach(out, nil, 0) {
						break
					}
					synctest.Wait()
					if name == "away" {
						q.detach(out)
					}
					for range 19 {
						q.put(make([]byte, 100))
					}
				}
				if n := q.held(); n > most {
					t.Errorf("%d bytes wait, want %d at most", n, most)
				}
			})
		})
	}
}
