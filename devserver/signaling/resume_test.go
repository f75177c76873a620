package signaling

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// joinAndSpeak joins a room and says something, so that the server knows that the peer
// has its token. It has seen one message then.
func (s *server) joinAndSpeak(room string) *client {
	s.t.Helper()
	c := s.join(room)
	c.wantUndisturbed()
	return c
}

// pair is two peers of a room; the second has spoken.
func (s *server) pair() (witness, c *client) {
	s.t.Helper()
	room := aRoom()
	witness = s.join(room)
	c = s.joinAndSpeak(room)
	witness.want(serverMessage{Type: "peer-joined", Peer: c.id})
	return witness, c
}

// snap breaks the line: a reset, without a close frame.
func (c *client) snap() {
	tcp := c.conn.NetConn().(*net.TCPConn)
	tcp.SetLinger(0)
	tcp.Close()
}

// comeBack dials with a token and returns the line as it is.
func (s *server) comeBack(token string, seen any) *client {
	s.t.Helper()
	conn, _, err := s.dialQuery(url.Values{"resume": {token}, "seen": {fmt.Sprint(seen)}}, nil)
	if err != nil {
		s.t.Fatalf("dialling: %v", err)
	}
	s.t.Cleanup(func() { conn.Close() })
	return &client{t: s.t, conn: conn}
}

// resume comes back as c, who has seen so many messages and sent so many.
func (s *server) resume(c *client, seen int, sent uint64) *client {
	s.t.Helper()
	again := s.comeBack(c.token, seen)
	m := again.next()
	if m.Type != "resumed" || m.ID != c.id || m.Seen != sent || m.Resume == "" || m.Resume == c.token || string(m.ICEServers) != "[]" {
		s.t.Fatalf("got %+v, want resumed %s, seen %d", m, c.id, sent)
	}
	again.id, again.token = m.ID, m.Resume
	return again
}

func (s *server) awaitAway(n int) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("%d peers are away", n), func() bool {
		s.hub.mu.Lock()
		defer s.hub.mu.Unlock()
		return len(s.hub.away) == n
	})
}

// A peer whose line breaks comes back as itself. The others see nothing, and all that
// was sent to it meanwhile arrives, in order.
func TestResume(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	witness, c := s.pair()
	witness.send(`{"type":"signal","data":"before"}`)
	c.want(serverMessage{Type: "signal", From: witness.id, Data: []byte(`"before"`)})
	c.snap()
	s.awaitAway(1)
	for i := range 100 {
		witness.send(fmt.Sprintf(`{"type":"signal","to":"%s","data":%d}`, c.id, i))
	}
	witness.wantUndisturbed()
	c = s.resume(c, 2, 1)
	for i := range 100 {
		c.want(serverMessage{Type: "signal", From: witness.id, Data: fmt.Append(nil, i)})
	}
	c.send(hello)
	witness.want(serverMessage{Type: "signal", From: c.id, Data: []byte(`"hello"`)})
	c.wantUndisturbed()
	witness.wantUndisturbed()
	c.snap()
	s.awaitAway(1)
	c = s.resume(c, 103, 3)
	c.snap() // before it has been heard
	s.awaitAway(1)
	c = s.resume(c, 103, 3)
	c.wantUndisturbed()
	witness.wantUndisturbed()
}

// Somebody away keeps its place.
func TestPlaceIsKeptMeanwhile(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	room := aRoom()
	witness, c := s.join(room), s.joinAndSpeak(room)
	witness.next()
	c.snap()
	s.awaitAway(1)
	s.connect(room).wantClose("room-full", 4001)
	s.resume(c, 1, 1).wantUndisturbed()
	witness.wantUndisturbed()
}

// The line that was open until now is told that it has been replaced; what it says from
// then on is not heard.
func TestOldLineIsReplaced(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	witness, c := s.pair()
	again := s.resume(c, 1, 1)
	c.conn.WriteMessage(websocket.TextMessage, []byte(hello)) // it may be closed already
	c.wantClose("replaced", 4005)
	again.wantUndisturbed()
	witness.wantUndisturbed()
}

// A token is good once: for all who have it, as long as the peer has not been heard.
// However many come with it at once, one peer lives on, and nobody in the room sees
// anything.
func TestOneOfManyResumes(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	const racers = 12
	for range 20 {
		witness, c := s.pair()
		ends := make(chan string, racers)
		for range racers {
			go func() { ends <- s.race(c.token, 1) }()
		}
		c.wantClose("replaced", 4005)
		for range racers - 1 {
			if end := <-ends; end != "replaced" && end != "cannot-resume" && end != "nothing" && end != "resumed" {
				t.Errorf("one of them: %s", end)
			}
		}
		witness.send(`{"type":"signal","data":"who is there?"}`)
		if end := <-ends; end != "lives on" {
			t.Errorf("the last one: %s", end)
		}
		witness.wantUndisturbed()
		witness.send(`{"type":"leave"}`)
	}
}

// race comes back with the token and tells what became of that: whoever hears a signal
// says goodbye.
func (s *server) race(token string, seen int) string {
	conn, _, err := s.dialQuery(url.Values{"resume": {token}, "seen": {fmt.Sprint(seen)}}, nil)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	racer := &client{t: s.t, conn: conn}
	for last := "nothing"; ; {
		m, err := racer.read()
		switch {
		case err != nil: // replaced, or cut off before it was heard
			return last
		case m.Type == "signal":
			return "lives on"
		case m.Type == "error":
			last = m.Code
		default:
			last = m.Type
		}
	}
}

// A token that is used up, is forged or is somebody else's opens nothing, and harms
// nobody.
func TestTokensThatAreNoGood(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	witness, c := s.pair()
	other := s.joinAndSpeak("elsewhere")
	again := s.resume(c, 1, 1)
	again.wantUndisturbed() // heard: the first token is used up now
	for name, query := range map[string]url.Values{
		"used up":        {"resume": {c.token}, "seen": {"1"}},
		"cut short":      {"resume": {again.token[:len(again.token)-1]}, "seen": {"1"}},
		"too long":       {"resume": {again.token + "a"}, "seen": {"1"}},
		"upper case":     {"resume": {strings.ToUpper(again.token)}, "seen": {"1"}},
		"a peer's id":    {"resume": {c.id}, "seen": {"1"}},
		"huge":           {"resume": {strings.Repeat("a", 16<<10)}, "seen": {"1"}},
		"not UTF-8":      {"resume": {"\xff\x00"}, "seen": {"1"}},
		"one of no bits": {"resume": {strings.Repeat("a", len(c.token))}, "seen": {"0"}},
		"no number":      {"resume": {again.token}},
		"minus one":      {"resume": {again.token}, "seen": {"-1"}},
		"a huge number":  {"resume": {again.token}, "seen": {"18446744073709551616"}},
		"no integer":     {"resume": {again.token}, "seen": {"1.0"}},
	} {
		conn, _, err := s.dialQuery(query, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		(&client{t: t, conn: conn}).wantClose("cannot-resume", 4004)
		conn.Close()
	}
	again.wantUndisturbed()
	witness.wantUndisturbed()
	other.wantUndisturbed()
}

// Who says that it has seen what was never sent, or has not seen what is no longer kept,
// is no peer any more, on no line.
func TestResumeAtAnImpossiblePoint(t *testing.T) {
	t.Parallel()
	s := start(t, Config{KeepBytes: 2000})
	for _, seen := range []int{0, 1000} {
		t.Run(fmt.Sprint(seen), func(t *testing.T) {
			s := s.in(t)
			witness, c := s.pair()
			for i := range 50 {
				witness.send(fmt.Sprintf(`{"type":"signal","data":"%0100d"}`, i))
				c.next()
			}
			s.comeBack(c.token, seen).wantClose("cannot-resume", 4004)
			witness.want(serverMessage{Type: "peer-left", Peer: c.id})
			c.wantClose("cannot-resume", 4004)
			s.comeBack(c.token, 51).wantClose("cannot-resume", 4004)
			witness.wantUndisturbed()
		})
	}
}

func TestTimeToResumeIsOver(t *testing.T) {
	t.Parallel()
	s := start(t, Config{ResumeTime: 50 * time.Millisecond})
	witness, c := s.pair()
	c.snap()
	witness.want(serverMessage{Type: "peer-left", Peer: c.id})
	s.comeBack(c.token, 1).wantClose("cannot-resume", 4004)
	witness.wantUndisturbed()
}

// Who is away and is sent more than may wait loses its place, not some of the messages.
func TestTooMuchWhileAway(t *testing.T) {
	t.Parallel()
	s := start(t, Config{QueueMessages: 10})
	witness, c := s.pair()
	c.snap()
	s.awaitAway(1)
	for range 11 {
		witness.send(hello)
	}
	witness.want(serverMessage{Type: "peer-left", Peer: c.id})
	s.comeBack(c.token, 1).wantClose("cannot-resume", 4004)
	witness.wantUndisturbed()
}

// A peer that says goodbye, or that is closed for a fault of its own, has left.
func TestNoResumeAfterTheEnd(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	for name, end := range map[string]func(*client){
		"close frame": func(c *client) {
			c.conn.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1001, ""))
		},
		"leave":       func(c *client) { c.send(`{"type":"leave"}`) },
		"bad message": func(c *client) { c.send("no JSON") },
	} {
		t.Run(name, func(t *testing.T) {
			s := s.in(t)
			witness, c := s.pair()
			end(c)
			witness.want(serverMessage{Type: "peer-left", Peer: c.id})
			s.comeBack(c.token, 1).wantClose("cannot-resume", 4004)
			witness.wantUndisturbed()
		})
	}
}

// Nobody knows whether a peer that was never heard has its token: it leaves at once.
func TestUnheardPeerDoesNotStay(t *testing.T) {
	t.Parallel()
	s := start(t, Config{ResumeTime: time.Hour})
	room := aRoom()
	witness, c := s.join(room), s.raw(room)
	witness.want(serverMessage{Type: "peer-joined", Peer: c.id})
	c.conn.(*net.TCPConn).SetLinger(0)
	c.conn.Close()
	witness.want(serverMessage{Type: "peer-left", Peer: c.id})
}

// Shutdown waits for nobody who is away.
func TestShutdownWithPeersAway(t *testing.T) {
	t.Parallel()
	s := start(t, Config{ResumeTime: time.Hour})
	_, c := s.pair()
	c.snap()
	s.awaitAway(1)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.hub.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if _, resp, err := s.dialQuery(url.Values{"resume": {c.token}, "seen": {"1"}}, nil); err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("coming back afterwards: %v, %v", resp, err)
	}
}

// deafSink takes everything.
type deafSink struct{}

func (deafSink) write([]byte) error { return nil }
func (deafSink) flushed()           {}

// hastyBearer stands for a peer that uses its new token as soon as it could have it.
type hastyBearer struct {
	hub   *Hub
	known bool
}

func (b *hastyBearer) begin(_ *queue, token string, _ uint64) {
	b.known = b.hub.sessionOf(token) != nil
}
func (*hastyBearer) end(*Error)   {}
func (*hastyBearer) leave(*Error) {}

// The token that a peer gets when it comes back is good before it is told.
func TestNextTokenIsGoodAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	_, c := s.pair()
	c.snap()
	s.awaitAway(1)
	b := &hastyBearer{hub: s.hub}
	peer, err := s.hub.resume(c.token, 1, &carrier{sink: deafSink{}, bearer: b, visit: &Visit{hub: s.hub, counters: s.hub.metrics.door("native")}},
		func(string) ICE { return ICE{Servers: json.RawMessage("[]")} })
	if err != nil {
		t.Fatal(err)
	}
	if !b.known {
		t.Error("it would be told that it cannot resume")
	}
	peer.end(nil)
}

// The first and the later ones of a peer's messages say how it finds the others.
func TestPolicy(t *testing.T) {
	t.Parallel()
	s := start(t, Config{ICE: func(*http.Request, string) ICE {
		return ICE{Servers: json.RawMessage("[]"), Policy: "relay"}
	}})
	c := s.connect("relayed")
	w := c.next()
	if w.Type != "welcome" || w.ICETransportPolicy != "relay" {
		t.Errorf("%+v", w)
	}
	c.id, c.token = w.ID, w.Resume
	if got := s.comeBack(c.token, 0).next(); got.Type != "resumed" || got.ICETransportPolicy != "relay" {
		t.Errorf("%+v", got)
	}
}
