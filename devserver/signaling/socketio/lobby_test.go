package socketio

import (
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"rtcdev/devserver/signaling"
)

// logs reads the next packet, which must be a log line with text in it.
func (c *client) logs(text string) {
	c.t.Helper()
	c.conn.SetReadDeadline(time.Now().Add(patience))
	_, got, err := c.conn.ReadMessage()
	if err != nil || !strings.HasPrefix(string(got), `42["log",["rtcdev:",`) || !strings.Contains(string(got), text) {
		c.t.Fatalf("got %s, %v; want a log line with %q", got, err, text)
	}
}

// settled waits until the server has handled what the client sent.
func (c *client) settled() {
	c.t.Helper()
	c.send(`429["ipaddr"]`)
	c.hears(`["ipaddr"`)
	c.acknowledged("9")
}

// Pages that know of no rooms hear each other, also those that have said nothing yet.
func TestRoomless(t *testing.T) {
	s := start(t, signaling.Config{RoomSize: 3}, Config{RoomSize: 3}, false)
	listener, speaker := s.dial(4), s.dial(3)
	speaker.send(`421["offer",{"sdp":1},null]`)
	speaker.acknowledged("1")
	listener.hears(`["offer",{"sdp":1},null]`)
	late := s.dial(4)
	speaker.send(`42["message",2]`)
	listener.hears(`["message",2]`)
	late.hears(`["message",2]`)
	listener.send(`42["answer"]`) // takes a seat now, and hears nothing twice
	speaker.hears(`["answer"]`)
	late.hears(`["answer"]`)
	speaker.send(`42["message",3]`)
	listener.hears(`["message",3]`)
	late.hears(`["message",3]`)
	listener.send(`42["create or join","r"]`) // out of the lobby
	listener.hears(`["created","r"`)
	late.send(`42["answer"]`)
	speaker.hears(`["answer"]`)
	listener.settled()
}

// What a page says that knows of rooms and is in none goes nowhere, and it hears so.
func TestNamedPageStaysOut(t *testing.T) {
	s := start(t, signaling.Config{RoomSize: 2}, Config{}, false)
	s.pair("x")
	stranger, park := s.dial(4), s.dial(4)
	stranger.send(`421["hello"]`)
	stranger.acknowledged("1")
	park.hears(`["hello"]`)
	park.send(`42["create or join","x"]`)
	park.logs("rtcdev serve --room-size N")
	park.hears(`["full","x"]`)
	park.send(`42["message","secret"]`)
	park.logs("nobody hears")
	park.send(`42["other","secret"]`) // said once is enough
	stranger.send(`42["hello again"]`)
	park.settled()
	stranger.settled()
	if n := s.hub.Stats().Peers; n != 3 {
		t.Errorf("%d peers are in rooms", n)
	}

	gone := s.dial(4)
	gone.send(`42["create or join","y"]`)
	gone.hears(`["created","y"`)
	gone.send(`42["bye","y"]`)
	gone.send(`42["message","bye"]`) // pages say that after they have left
	gone.send(`42["message","got user media"]`)
	gone.send(`42["message",1]`)
	gone.logs("nobody hears")
	stranger.settled()
}

// A page that says only what pages of the codelab say takes no seat of the lobby, nor
// does one that says nothing; those that our own script knows for such do not even hear it.
func TestWaitingPagesTakeNoSeat(t *testing.T) {
	s := start(t, signaling.Config{RoomSize: 2}, Config{}, false)
	waiting := s.dial(4)
	waiting.send(`42["message","got user media"]`)
	waiting.settled()
	s.dial(4) // says nothing
	conn, _, err := s.dialRaw("EIO=4&transport=websocket")
	if err != nil {
		t.Fatal(err)
	}
	codelab := &client{t: t, conn: conn}
	codelab.read()
	codelab.send(`40{"rooms":true}`)
	codelab.read()
	a, b := s.dial(4), s.dial(4)
	a.send(`421["hello"]`)
	a.acknowledged("1")
	b.settled() // so it is not silent, and knows of no rooms
	b.send(`421["hello"]`)
	b.acknowledged("1")
	a.hears(`["hello"]`)
	waiting.settled()
	codelab.send(`42["early"]`)
	codelab.logs("nobody hears")
	a.settled()
	if n := s.hub.Stats().Peers; n != 2 {
		t.Errorf("%d peers are in the lobby", n)
	}
}

// The lobby has as many as a room may have, and who is one too many is told what to do.
func TestFullLobby(t *testing.T) {
	s := start(t, signaling.Config{RoomSize: 2}, Config{RoomSize: 2}, false)
	a, b, silent := s.dial(4), s.dial(4), s.dial(4)
	a.send(`42["hello",1]`)
	b.hears(`["hello",1]`)
	silent.logs("rtcdev serve --room-size N")
	b.send(`42["hello",2]`)
	a.hears(`["hello",2]`)
	third := s.dial(4)
	third.send(`42["hello",3]`)
	third.logs("rtcdev serve --room-size N")
	third.hears(`["full","lobby"]`)
	third.send(`42["hello",4]`) // no news
	third.settled()
	silent.settled()
	b.conn.WriteControl(websocket.CloseMessage, nil, time.Now().Add(patience))
	s.eventually("b is gone", func() bool { return s.hub.Stats().Peers == 1 })
	third.send(`42["hello",5]`)
	a.hears(`["hello",5]`)
}
