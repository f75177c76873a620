package signaling

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// through returns the server as it is reached through a network, and what makes the
// network fall silent: nothing arrives any more, and nobody is told.
func (s *server) through() (*server, func()) {
	s.t.Helper()
	proxy := newLossyProxy(s.t, s.addr, true, func() int { return 1 << 30 })
	return &server{t: s.t, hub: s.hub, addr: proxy.listener.Addr().String(), events: s.events}, func() { proxy.hushed.Store(true) }
}

// A line that is dead without a FIN is found out by its silence. Its peer can come back
// for a while, and has left then.
func TestHalfOpenLine(t *testing.T) {
	t.Parallel()
	for name, back := range map[string]bool{"gone": false, "back in time": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := Config{PingInterval: 100 * time.Millisecond, PongTimeout: 100 * time.Millisecond, ResumeTime: time.Second}
			if back {
				cfg.ResumeTime = time.Hour
			}
			s := start(t, cfg)
			witness := s.join("r")
			network, hush := s.through()
			c := network.joinAndSpeak("r")
			witness.want(serverMessage{Type: "peer-joined", Peer: c.id})
			hush()
			if !back {
				witness.want(serverMessage{Type: "peer-left", Peer: c.id}) // reading answers its own pings
				s.comeBack(c.token, 1).wantClose("cannot-resume", 4004)
				return
			}
			hears := make(chan serverMessage, 1)
			go func() { m, _ := witness.read(); hears <- m }()
			s.awaitAway(1)
			again := s.resume(c, 1, 1)
			again.send(hello)
			if m := <-hears; m.Type != "signal" || m.From != c.id {
				t.Errorf("the witness heard %+v", m)
			}
		})
	}
}

// A reader that stops is found out by its writer, even when little waits for it.
func TestReaderThatStops(t *testing.T) {
	t.Parallel()
	s := start(t, Config{
		MessageRate: 1e6, ByteRate: 1 << 30, QueueMessages: 10_000, QueueBytes: 1 << 30,
		WriteTimeout: 300 * time.Millisecond, ResumeTime: 50 * time.Millisecond,
	})
	witness, c := s.pair()
	big := `{"type":"signal","data":"` + strings.Repeat("x", 60<<10) + `"}`
	for range 300 { // 18 MB: more than the kernel takes
		witness.send(big)
	}
	witness.want(serverMessage{Type: "peer-left", Peer: c.id})
	witness.wantUndisturbed()
	c.drain()
}

// A peer whose line hangs in the middle of a write comes back on another one, gets all
// of it there, and the old one is let go of.
func TestResumeWhileTheOldLineHangs(t *testing.T) {
	t.Parallel()
	s := start(t, Config{MessageRate: 1e6, ByteRate: 1 << 30, QueueMessages: 10_000, QueueBytes: 1 << 30, KeepBytes: 1 << 30, WriteTimeout: time.Hour})
	witness, c := s.pair()
	const n = 200
	for i := range n {
		witness.send(fmt.Sprintf(`{"type":"signal","data":"%d %s"}`, i, strings.Repeat("x", 50<<10)))
	}
	witness.wantUndisturbed()
	for range 3 { // the first hangs, and those that come after it do
		c = s.resume(c, 1, 1)
	}
	for i := range n {
		m := c.next()
		if want := fmt.Sprintf(`"%d x`, i); !strings.HasPrefix(string(m.Data), want) {
			t.Fatalf("message %d is %.20s", i, m.Data)
		}
	}
	c.wantUndisturbed()
	witness.wantUndisturbed()
	eventually(t, "the old lines are gone", func() bool {
		s.hub.mu.Lock()
		defer s.hub.mu.Unlock()
		return len(s.hub.visits) == 2
	})
}

// Lines are closed, broken and replaced in the middle of what is written to them: the
// others hear of one leaving, and of nothing else.
func TestCloseDuringWrite(t *testing.T) {
	t.Parallel()
	s := start(t, Config{MessageRate: 1e6, ByteRate: 1 << 30, QueueMessages: 1000, QueueBytes: 1 << 30, KeepBytes: 1 << 30, RoomSize: 3})
	witness := s.join("r")
	text := `{"type":"signal","data":"` + strings.Repeat("x", 20<<10) + `"}`
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 16 {
		c := s.joinAndSpeak("r")
		witness.want(serverMessage{Type: "peer-joined", Peer: c.id})
		writing := make(chan struct{})
		go func() {
			defer close(writing)
			for range 50 {
				witness.conn.WriteMessage(websocket.TextMessage, []byte(text))
			}
		}()
		seen := 1 + random.IntN(20)
		for range seen - 1 {
			c.next()
		}
		switch round % 4 {
		case 0: // a close frame
			c.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Now().Add(patience))
		case 1: // leave
			c.send(`{"type":"leave"}`)
		case 2: // a fault
			c.send("no JSON")
		case 3: // a fault right after a return
			c = s.resume(c, seen, 1)
			c.send("no JSON")
		}
		closed := 0
		for {
			m, err := c.read()
			if err != nil {
				if e, ok := err.(*websocket.CloseError); ok {
					closed = e.Code
				}
				break
			}
			if m.Type == "peer-left" || m.Type == "error" && m.Code != "bad-message" {
				t.Errorf("round %d: it got %+v", round, m)
			}
		}
		if want := []int{1000, 1000, 4002, 4002}[round%4]; closed != want {
			t.Errorf("round %d: closed with %d, want %d", round, closed, want)
		}
		witness.want(serverMessage{Type: "peer-left", Peer: c.id})
		<-writing
		witness.wantUndisturbed() // and the server is done with what it wrote
	}
}

// Who never reads, and never answers, is let go of when it is closed, whatever waits.
func TestCloseOfOneThatHangs(t *testing.T) {
	t.Parallel()
	s := start(t, Config{MessageRate: 1e6, ByteRate: 1 << 30, QueueMessages: 10_000, QueueBytes: 1 << 30, WriteTimeout: 2 * time.Second, ResumeTime: 50 * time.Millisecond})
	witness, c := s.pair()
	for range 300 {
		witness.send(`{"type":"signal","data":"` + strings.Repeat("x", 60<<10) + `"}`)
	}
	c.send(`{"type":"leave"}`)
	witness.want(serverMessage{Type: "peer-left", Peer: c.id})
	c.drain()
	witness.wantUndisturbed()
}

// A handshake that does not end, or that is none, costs no place.
func TestHandshakesThatAreNone(t *testing.T) {
	t.Parallel()
	s := start(t, Config{MaxConnections: 1})
	for _, lines := range []string{
		"", "Connection: Upgrade\r\nUpgrade: websocket\r\n", // no version, no key
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 12\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n",
		"Connection: Upgrade\r\nUpgrade: h2c\r\n",
	} {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(patience))
		fmt.Fprintf(conn, "GET /?room=r HTTP/1.1\r\nHost: %s\r\n%s\r\n", s.addr, lines)
		answer := make([]byte, 12)
		if _, err := conn.Read(answer); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 4") {
			t.Errorf("%q: %s, %v", lines, answer, err)
		}
		conn.Close()
	}
	if _, resp, err := s.dialQuery(url.Values{}, map[string][]string{"Origin": {"https://evil.example"}}); err == nil || resp.StatusCode != 403 {
		t.Errorf("a foreign page: %v, %v", resp, err)
	}
	s.join("r").wantUndisturbed()
}
