package signaling

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// dialFrom connects from another address of this machine.
func (s *server) dialFrom(ip string, query url.Values) (*client, *http.Response) {
	s.t.Helper()
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	d := websocket.Dialer{NetDialContext: from.DialContext, HandshakeTimeout: patience}
	conn, resp, err := d.Dial("ws://"+s.addr+"/?"+query.Encode(), nil)
	if err != nil && resp == nil {
		s.t.Skipf("connecting from %s: %v", ip, err) // where 127/8 is one address
	}
	if conn == nil {
		return nil, resp
	}
	s.t.Cleanup(func() { conn.Close() })
	return &client{t: s.t, conn: conn}, resp
}

// wantOverloaded expects a connection to be refused for now.
func wantOverloaded(t *testing.T, c *client, resp *http.Response) {
	t.Helper()
	var m serverMessage
	if c != nil || json.NewDecoder(resp.Body).Decode(&m) != nil || resp.StatusCode != http.StatusServiceUnavailable ||
		m.Type != "error" || m.Code != "overloaded" || m.Message == "" || resp.Header.Get("Retry-After") == "" ||
		resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("got %s %+v %v", resp.Status, m, resp.Header)
	}
}

// Above a limit new connections are sent away, and those that are there do well.
func TestConnectionsAreLimited(t *testing.T) {
	t.Parallel()
	here := url.Values{"room": {"here"}}
	t.Run("from one address", func(t *testing.T) {
		s := start(t, Config{MaxPerAddress: 3, RoomSize: 10})
		witness, b := s.joinAndSpeak("r"), s.joinAndSpeak("r")
		witness.next()
		l := s.listenIn("elsewhere") // every door counts
		for range 5 {
			wantOverloadedFrom(t, s, "127.0.0.1", here)
		}
		if resp := s.listen(here, "").resp; resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("an event stream: %s", resp.Status)
		}
		other, _ := s.dialFrom("127.0.0.2", here)
		if m := other.next(); m.Type != "welcome" {
			t.Errorf("another address got %+v", m)
		}
		b.send(`{"type":"leave"}`)
		witness.want(serverMessage{Type: "peer-left", Peer: b.id})
		b.wantClose("", 1000)
		eventually(t, "there is a place again", func() bool {
			c, _ := s.dialFrom("127.0.0.1", here)
			return c != nil
		})
		l.wantUndisturbed()
		witness.wantUndisturbed()
		other.next()
		other.wantUndisturbed()
	})
	t.Run("in all", func(t *testing.T) {
		s := start(t, Config{MaxConnections: 3})
		witness, _ := s.dialFrom("127.0.0.2", url.Values{"room": {"r"}})
		witness.next()
		s.join("a")
		s.join("b")
		for i := range 5 {
			wantOverloadedFrom(t, s, fmt.Sprintf("127.0.0.%d", i+1), here)
		}
		witness.wantUndisturbed()
	})
}

func wantOverloadedFrom(t *testing.T, s *server, ip string, query url.Values) {
	t.Helper()
	c, resp := s.dialFrom(ip, query)
	wantOverloaded(t, c, resp)
}

func TestRoomsAreLimited(t *testing.T) {
	t.Parallel()
	s := start(t, Config{MaxRooms: 3})
	a, b := s.join("a"), s.join("b")
	s.join("c")
	for _, room := range []string{"d", "e", "f"} {
		s.connect(room).wantClose("too-many-rooms", 4007)
	}
	second := s.join("a") // in a room that there is
	a.want(serverMessage{Type: "peer-joined", Peer: second.id})
	b.send(`{"type":"leave"}`)
	b.wantClose("", 1000)
	eventually(t, "the room is given back", func() bool {
		s.hub.mu.Lock()
		defer s.hub.mu.Unlock()
		return len(s.hub.rooms) == 2
	})
	s.join("d").wantUndisturbed()
	a.wantUndisturbed()
}

// One address cannot take all rooms, neither at once nor by leaving peers behind that
// might come back.
func TestThousandRoomsByOneAddress(t *testing.T) {
	t.Parallel()
	t.Run("at once", func(t *testing.T) {
		s := start(t, Config{MaxPerAddress: 100})
		witness := s.joinAndSpeak("r")
		in := 1
		for i := range 1000 {
			c, resp := s.dialFrom("127.0.0.1", url.Values{"room": {fmt.Sprint(i)}})
			if c == nil {
				wantOverloaded(t, c, resp)
				continue
			}
			in++
		}
		if got := s.hub.Stats(); in != 100 || got.Rooms != 100 {
			t.Errorf("%d were let in, and made %d rooms", in, got.Rooms)
		}
		other, _ := s.dialFrom("127.0.0.2", url.Values{"room": {"other"}})
		if m := other.next(); m.Type != "welcome" {
			t.Errorf("another address got %+v", m)
		}
		witness.wantUndisturbed()
	})
	t.Run("one after the other", func(t *testing.T) {
		s := start(t, Config{MaxPerAddress: 5, MaxRooms: 10, ResumeTime: time.Hour})
		witness := s.joinAndSpeak("r")
		var last *client
		for i := range 50 {
			last = s.joinAndSpeak(fmt.Sprint(i))
			last.snap()
			eventually(t, "that is noticed", func() bool {
				s.hub.mu.Lock()
				defer s.hub.mu.Unlock()
				return len(s.hub.visits) == 1
			})
		}
		eventually(t, "those who are away count, too", func() bool {
			s.hub.mu.Lock()
			defer s.hub.mu.Unlock()
			return len(s.hub.visits) == 1 && len(s.hub.away) <= 4 && len(s.hub.rooms) <= 5
		})
		s.resume(last, 1, 1).wantUndisturbed() // who left first goes first
		witness.wantUndisturbed()
	})
}

// Who sends too much is closed. The others have got what it sent before, in order, and
// that it has left.
func TestFlood(t *testing.T) {
	t.Parallel()
	s := start(t, Config{MessageRate: 10, ByteRate: 10_000})
	small := func(i int) string { return fmt.Sprintf(`{"type":"signal","data":%d}`, i) }
	large := func(i int) string {
		return fmt.Sprintf(`{"type":"signal","data":%d%s}`, i, strings.Repeat(" ", 5000))
	}
	for name, tt := range map[string]struct {
		text       func(int) string
		atLeast    int // arrive
		muchBeyond int
	}{
		"messages": {small, 50, 200},
		"bytes":    {large, 9, 40},
	} {
		t.Run(name, func(t *testing.T) {
			s, room := s.in(t), aRoom()
			witness, c := s.join(room), s.raw(room)
			witness.next()
			var all []byte
			for i := range tt.muchBeyond {
				all = append(all, frame(fin|opText, tt.text(i))...)
			}
			go c.conn.Write(all) // until it is closed
			heard := 0
			for {
				m := witness.next()
				if m.Type == "peer-left" && m.Peer == c.id {
					break
				}
				if m.Type != "signal" || string(m.Data) != fmt.Sprint(heard) {
					t.Fatalf("after %d messages: %+v", heard, m)
				}
				heard++
			}
			if heard < tt.atLeast || heard == tt.muchBeyond {
				t.Errorf("%d messages came through", heard)
			}
			c.wantEnd("rate-limited", 4006)
			witness.wantUndisturbed()
		})
	}
	t.Run("pings", func(t *testing.T) {
		s, room := s.in(t), aRoom()
		witness, c := s.join(room), s.raw(room)
		witness.next()
		var all []byte
		for range 1000 {
			all = append(all, frame(fin|opPing, "are you there?")...)
		}
		go c.conn.Write(all)
		witness.want(serverMessage{Type: "peer-left", Peer: c.id})
		pongs := 0
		first, payload, err := c.next()
		for ; first == fin|opPong; first, payload, err = c.next() {
			pongs++
		}
		if pongs < 50 || pongs > 500 || err != nil || !strings.Contains(payload, "rate-limited") {
			t.Errorf("after %d pongs: %#x %s, %v", pongs, first, payload, err)
		}
		c.wantEnd("", 4006)
		witness.wantUndisturbed()
	})
}

// Nesting costs the server nothing, and other pages' parsers get only what they can take.
func TestDepthOverTheWire(t *testing.T) {
	t.Parallel()
	s := start(t, Config{MaxMessage: 1 << 20})
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, data := range []string{nested(100_000), strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000), strings.Repeat("[", 1<<20-100)} {
		room := aRoom()
		witness, c := s.join(room), s.join(room)
		witness.next()
		c.send(`{"type":"signal","data":` + data + `}`)
		c.wantClose("bad-message", 4002)
		witness.want(serverMessage{Type: "peer-left", Peer: c.id})
		witness.wantUndisturbed()
	}
	witness, c := s.join("r"), s.join("r")
	witness.next()
	c.send(`{"type":"signal","data":` + nested(9000) + `}`)
	witness.want(serverMessage{Type: "signal", From: c.id, Data: []byte(nested(9000))})
}

// silentReceiver counts its welcomes.
type silentReceiver struct{ welcomes int }

func (r *silentReceiver) Notify(n Notice) bool {
	if n.Kind == Welcome {
		r.welcomes++
	}
	return true
}

func (*silentReceiver) Stop(*Error) {}

// A thousand times many come at once into a room of two, at one node or at two: exactly
// two are let in.
func TestThousandJoinRaces(t *testing.T) {
	t.Parallel()
	bus := NewBus()
	for name, hubs := range map[string][]*Hub{
		"one node":  {New(Config{})},
		"two nodes": {New(Config{Bus: bus}), New(Config{Bus: bus})},
	} {
		t.Run(name, func(t *testing.T) {
			for round := range 1000 {
				var wg sync.WaitGroup
				var mu sync.Mutex
				var in []*Member
				full, welcomes := 0, 0
				for i := range 5 {
					wg.Go(func() {
						r := new(silentReceiver)
						m, err := hubs[i%len(hubs)].Join(Join{Room: fmt.Sprint(round), Receiver: r})
						mu.Lock()
						defer mu.Unlock()
						welcomes += r.welcomes
						if err == nil {
							in = append(in, m)
						} else if asError(err).Code == RoomFull {
							full++
						}
					})
				}
				wg.Wait()
				if len(in) != 2 || full != 3 || welcomes != 2 {
					t.Fatalf("round %d: %d are in, %d welcomes, %d times full", round, len(in), welcomes, full)
				}
				for _, m := range in {
					m.Leave()
				}
			}
			for _, h := range hubs {
				if got := h.Stats(); got != (Stats{}) {
					t.Errorf("left over: %+v", got)
				}
			}
		})
	}
}

// What was accepted before the end is delivered before it.
func TestShutdownAfterWhatWasAccepted(t *testing.T) {
	t.Parallel()
	s := start(t, Config{MessageRate: 1e6, QueueMessages: 1000})
	a, b := s.join("r"), s.join("r")
	a.next()
	const n = 500
	for i := range n {
		a.send(fmt.Sprintf(`{"type":"signal","data":%d}`, i))
	}
	a.wantUndisturbed()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.hub.Shutdown(ctx) }()
	for i := range n {
		b.want(serverMessage{Type: "signal", From: a.id, Data: fmt.Append(nil, i)})
	}
	for _, c := range []*client{a, b} {
		m := c.next()
		if m.Type == "peer-left" { // the other was quicker
			m = c.next()
		}
		if m.Code != "shutting-down" {
			t.Errorf("got %+v", m)
		}
		c.wantClose("", 1001)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// An idle connection has one goroutine: its reader. This test is alone.
func TestIdleConnectionHasOneGoroutine(t *testing.T) {
	s := start(t, Config{})
	s.joinAndSpeak("first")
	const n = 100
	before := runtime.NumGoroutine()
	for i := range n {
		s.joinAndSpeak(fmt.Sprint(i))
	}
	eventually(t, "only the readers are left", func() bool { return runtime.NumGoroutine() <= before+n+idleWorkers })
}
