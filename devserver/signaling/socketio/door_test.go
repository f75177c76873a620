package socketio

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"rtcdev/devserver/signaling"
)

// Whatever breaks the protocol is told why and closed, and the other one in the room
// hears that it left, once, and can go on.
func TestAbuse(t *testing.T) {
	s := start(t, signaling.Config{MaxMessage: 1000, MessageRate: 20}, Config{}, false)
	text := func(p string) func(*client) { return func(c *client) { c.send(p) } }
	tests := []struct {
		name string
		send func(*client)
		says string
		code int
	}{
		{"empty frame", text(""), "empty", 4002},
		{"unknown packet", text("9"), "packets of type", 4002},
		{"empty message", text("4"), "empty", 4002},
		{"ping of a version 4 client", text("2"), "packets of type", 4002},
		{"second open", text("0{}"), "packets of type", 4002},
		{"upgrade of a WebSocket", text("5"), "packets of type", 4002},
		{"unknown message", text("49"), "packet type", 4002},
		{"event without a name", text("42[]"), "name", 4002},
		{"event that is no array", text(`42{"a":1}`), "array", 4002},
		{"event that is not JSON", text(`42["a"`), "array", 4002},
		{"reserved name", text(`42["disconnect"]`), "disconnect", 4002},
		{"connect error", text(`44{}`), "packets of type", 4002},
		{"deep", text(`42["a",` + strings.Repeat("[", 900)), "array", 4002},
		{"attachment", text(`451-["a",{"_placeholder":true,"num":0}]`), "binary", 4002},
		{"long ack", text(`421111111111111111111["a"]`), "acknowledgement", 4002},
		{"binary frame", func(c *client) { c.conn.WriteMessage(websocket.BinaryMessage, []byte("42")) }, "binary", 4002},
		{"invalid UTF-8", text("42[\"a\",\"\xff\"]"), "UTF-8", 4002},
		{"one byte too large", text(`42["message","` + strings.Repeat("x", 1000-16+1) + `"]`), "larger", 1009},
		{"flood", func(c *client) {
			for range 20*5 + 20 {
				if c.conn.WriteMessage(websocket.TextMessage, []byte(`3`)) != nil {
					return
				}
			}
		}, "a second", 4006},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bad, witness := s.pair(tt.name)
			tt.send(bad)
			bad.ends(tt.says, tt.code)
			witness.hears(`["message","bye"]`, `["created","`+tt.name, `["bye"`)
			next := s.dial(4)
			next.send(`42["create or join","` + tt.name + `"]`)
			witness.hears(`["join"`, `["ready"`)
		})
	}
	t.Run("exactly the limit", func(t *testing.T) {
		a, b := s.pair("limit")
		message := `["message","` + strings.Repeat("x", 1000-16) + `"]`
		a.send("42" + message)
		b.hears(message)
	})
	t.Run("event before connect", func(t *testing.T) {
		conn, _, err := s.dialRaw("EIO=4&transport=websocket")
		if err != nil {
			t.Fatal(err)
		}
		c := &client{t: t, conn: conn}
		c.send(`42["message",1]`)
		c.ends("before the connection", 4002)
	})
}

// A room of three, and what a page hears of its coming and going.
func TestRoomOfThree(t *testing.T) {
	s := start(t, signaling.Config{RoomSize: 3}, Config{}, false)
	a, b := s.pair("r")
	c := s.dial(4)
	c.send(`42["create or join","r"]`)
	c.hears(`["joined","r"`, `["ready","r"]`)
	a.hears(`["join","r"]`)
	b.hears(`["join","r"]`)
	b.send(`421["bye","r"]`)
	b.acknowledged("1")
	c.send(`42["message",{"a":[1, 2]}]`)
	a.hears(`["message",{"a":[1, 2]}]`) // and no "bye" before it, at which pages reload, nor a second "ready"
	a.send(`42["message",1]`)
	c.hears(`["message",1]`)
	c.send("1")
	a.hears(`["message","bye"]`, `["created","r"`, `["bye","r"]`)
}

// Entering another room leaves the first; entering the same one again, or one that
// cannot be, changes nothing.
func TestChangeRoom(t *testing.T) {
	s := start(t, signaling.Config{MaxRooms: 2}, Config{}, false)
	a, b := s.pair("r")
	b.send(`42["create or join","r"]`)
	b.send(`42["create or join",null]`)
	b.send(`42["create or join","` + strings.Repeat("x", 65) + `"]`)
	b.send(`42["create or join"]`) // is the default room
	b.hears(`["created","lobby"`)
	a.hears(`["message","bye"]`, `["created","r"`, `["bye"`)
	c := s.dial(4)
	c.send(`42["create or join",7]`)
	c.hears(`["full","7"]`) // there are too many rooms
}

// Data passes between socket.io clients and native peers as it is.
func TestNativePeers(t *testing.T) {
	s := start(t, signaling.Config{}, Config{}, false)
	native := (&http.Server{Handler: s.hub}).Handler
	mux := http.NewServeMux()
	mux.Handle("/signal", native)
	mux.Handle(Path, s.door)
	s.http.Config.Handler = mux
	conn, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.url, "http")+"/signal?room=r", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	read := func() (m struct {
		Type, ID, Peer, From string
		Data                 json.RawMessage
	}) {
		conn.SetReadDeadline(time.Now().Add(patience))
		if err := conn.ReadJSON(&m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	welcome := read()
	page := s.dial(3)
	page.send(`42["create or join","r"]`)
	joined := page.read()
	page.hears(`["ready"`)
	if m := read(); m.Type != "peer-joined" || joined != `42["joined","r","`+m.Peer+`"]` {
		t.Errorf("%+v, %s", m, joined)
	}
	page.send(`42["message",{"sdp" : "x"}]`)
	if m := read(); string(m.Data) != `{"sdp" : "x"}` {
		t.Errorf("%+v", m)
	}
	page.send(`42["chat",1,2]`)
	if m := read(); string(m.Data) != `{"socket.io":["chat",1,2]}` {
		t.Errorf("%+v", m)
	}
	for data, want := range map[string]string{
		`{"type":"answer"}`:            `["message",{"type":"answer"}]`,
		`{"socket.io": ["chat", 3]}`:   `["chat", 3]`,
		`{"socket.io":["disconnect"]}`: `["message",{"socket.io":["disconnect"]}]`,
	} {
		if err := conn.WriteMessage(websocket.TextMessage, []byte(`{"type":"signal","data":`+data+`}`)); err != nil {
			t.Fatal(err)
		}
		page.hears(want)
	}
	page.send("1")
	if m := read(); m.Type != "peer-left" || welcome.ID == "" {
		t.Errorf("%+v", m)
	}
}

// Of many who come at once, one creates the room, one joins it, the others are told
// that it is full.
func TestJoinRace(t *testing.T) {
	s := start(t, signaling.Config{}, Config{}, false)
	const rounds, racers = 50, 4
	clients := make([]*client, racers)
	for i := range clients {
		clients[i] = s.dial(3 + i%2)
	}
	for round := range rounds {
		got := make([]string, racers)
		var all sync.WaitGroup
		for i, c := range clients {
			all.Go(func() {
				c.send(fmt.Sprintf(`42["create or join","race %d"]`, round))
				for !strings.Contains(got[i], fmt.Sprintf("race %d", round)) || strings.Contains(got[i], `"join"`) || strings.Contains(got[i], `"ready"`) {
					got[i] = c.read()
				}
			})
		}
		all.Wait()
		count := map[string]int{}
		for _, g := range got {
			count[strings.Split(g, `"`)[1]]++
		}
		if count["created"] != 1 || count["joined"] != 1 || count["full"] != racers-2 {
			t.Fatalf("round %d: %q", round, got)
		}
	}
}

// The pings of both versions, and what becomes of who does not answer.
func TestPings(t *testing.T) {
	t.Run("version 3 is answered", func(t *testing.T) {
		c := start(t, signaling.Config{}, Config{}, false).dial(3)
		c.send("2hello")
		if got := c.read(); got != "3hello" {
			t.Errorf("got %s", got)
		}
	})
	cfg := Config{PingInterval: 50 * time.Millisecond, PingTimeout: 100 * time.Millisecond}
	t.Run("version 4 is asked", func(t *testing.T) {
		c := start(t, signaling.Config{}, cfg, false).dial(4)
		for range 5 {
			if got := c.read(); got != "2" {
				t.Errorf("got %s", got)
			}
			c.send("3")
		}
	})
	for _, version := range []int{3, 4} {
		t.Run(fmt.Sprintf("version %d falls silent", version), func(t *testing.T) {
			s := start(t, signaling.Config{}, cfg, false)
			s.dial(version).ends("nothing was heard", 4008)
		})
	}
	t.Run("never connects", func(t *testing.T) {
		s := start(t, signaling.Config{}, cfg, false)
		conn, _, err := s.dialRaw("EIO=4&transport=websocket")
		if err != nil {
			t.Fatal(err)
		}
		(&client{t: t, conn: conn}).ends("did not connect", 4002)
	})
}

// Stopping tells everyone, polling or not, and leaves nothing (see stop).
func TestShutdown(t *testing.T) {
	s := start(t, signaling.Config{}, Config{}, false)
	a, b := s.pair("r")
	p := s.openPolling(4)
	p.post("40")
	p.get()
	got := make(chan string, 1)
	go func() { got <- p.get() }()
	s.http.Config.SetKeepAlivesEnabled(false)
	s.awaitPoll(p.sid)
	s.stop()
	if body := <-got; !strings.HasSuffix(body, "\x1e1") || !strings.Contains(body, "stopping") {
		t.Errorf("the poll got %q", body)
	}
	for _, c := range []*client{a, b} {
		c.ends("stopping", 1001)
	}
	s2 := start(t, signaling.Config{}, Config{}, false)
	if err := s2.door.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if resp, err := http.Get(s2.address("EIO=4&transport=polling")); err != nil || resp.StatusCode != 503 {
		t.Errorf("%v, %v", resp, err)
	} else {
		resp.Body.Close()
	}
}
