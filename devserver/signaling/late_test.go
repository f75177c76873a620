package signaling

import (
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// slowBus tells the one who joins late that it has: the others, and the page itself, may
// act upon it before.
type slowBus struct {
	Bus
	delay func()
}

type slowChannel struct {
	Channel
	delay func()
}

func (b slowBus) Open(room string, deliver func(BusEvent)) Channel {
	return slowChannel{b.Bus.Open(room, deliver), b.delay}
}

func (c slowChannel) Publish(ev BusEvent) {
	c.Channel.Publish(ev)
	if ev.Kind == BusJoin {
		c.delay()
	}
}

// A token is good from the welcome on, at once.
func TestTokenIsGoodAtOnce(t *testing.T) {
	t.Parallel()
	joined := make(chan struct{})
	s := start(t, Config{Bus: slowBus{NewBus(), func() { <-joined }}})
	c := s.join("r")
	again := make(chan string)
	go func() { again <- s.race(c.token, 0) }()
	select {
	case end := <-again:
		t.Errorf("before the join was through: %s", end)
	case <-time.After(50 * time.Millisecond): // most probably it has come by now
	}
	close(joined)
	if m, err := c.read(); err == nil { // it was not heard on this line, which just ends
		t.Errorf("the old line got %s", m)
	}
	other := s.join("r")
	other.send(hello)
	if end := <-again; end != "lives on" {
		t.Errorf("coming back: %s", end)
	}
}

// A page tries to come back, gives up because it takes long, and tries again. The first
// try gets to the server last: it is not taken for the page for long.
func TestResumeThatIsLate(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	witness, c := s.pair()
	second := s.resume(c, 1, 1)    // it answers no ping, so it is not heard
	s.resume(c, 1, 1).conn.Close() // too late for the page
	if m, err := second.read(); err == nil || websocket.IsCloseError(err, 4005) {
		t.Errorf("the page is told that it is elsewhere: %s, %v", m, err)
	}
	third := s.resume(second, 1, 1)
	third.wantUndisturbed()
	s.comeBack(c.token, 1).wantClose("cannot-resume", 4004)
	third.wantUndisturbed()
	witness.wantUndisturbed()
}

// However often one comes with a token, there are only so many of them.
func TestTokensAreFew(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	_, c := s.pair()
	var again *client
	for range 50 {
		again = s.resume(c, 1, 1)
	}
	s.hub.mu.Lock()
	if n := len(s.hub.sessions); n > 1+1+mostIssued {
		t.Errorf("two peers have %d tokens", n)
	}
	s.hub.mu.Unlock()
	again.wantUndisturbed()
	eventually(t, "one is left for each", func() bool {
		s.hub.mu.Lock()
		defer s.hub.mu.Unlock()
		return len(s.hub.sessions) == 2
	})
}

// Who comes with a token that was used up a moment ago does no harm to the peer.
func TestTokenThatWasGoodAMomentAgo(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	witness, c := s.pair()
	s.hub.mu.Lock()
	s.hub.sessions["old"] = s.hub.sessions[c.token] // as seen by one that looked it up before
	s.hub.mu.Unlock()
	s.comeBack("old", 1).wantClose("cannot-resume", 4004)
	c.wantUndisturbed()
	witness.wantUndisturbed()
	s.hub.mu.Lock()
	delete(s.hub.sessions, "old")
	s.hub.mu.Unlock()
}
