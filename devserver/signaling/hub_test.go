package signaling

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for something that must happen.
const patience = 30 * time.Second

// server runs a hub on a loopback port until the test ends.
type server struct {
	t      *testing.T
	hub    *Hub
	addr   string
	events chan Event
}

func start(t *testing.T, cfg Config) *server {
	t.Helper()
	s := &server{t: t, events: make(chan Event, 10_000)}
	cfg.OnEvent = func(e Event) { s.events <- e }
	s.hub = New(cfg)
	mux := http.NewServeMux()
	mux.Handle("/", s.hub)
	mux.Handle("/events", s.hub.Events())
	mux.Handle("/send", s.hub.Events())
	web := httptest.NewServer(mux)
	s.addr = web.Listener.Addr().String()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.hub.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		web.Close()
		if got := s.hub.Stats(); got != (Stats{}) {
			t.Errorf("after Shutdown the hub still holds %+v", got)
		}
	})
	return s
}

// in is the server for a subtest, whose failures are its own.
func (s *server) in(t *testing.T) *server {
	return &server{t: t, hub: s.hub, addr: s.addr, events: s.events}
}

// aRoom returns the name of a room that nobody has been in.
func aRoom() string { return newID() }

// client is one peer of a test.
type client struct {
	t    *testing.T
	conn *websocket.Conn
	id   string
	in   []string // peers of the welcome
	// token is the one of the welcome.
	token string
}

func (s *server) dial(room string, header http.Header) (*websocket.Conn, *http.Response, error) {
	return s.dialQuery(url.Values{"room": {room}}, header)
}

func (s *server) dialQuery(query url.Values, header http.Header) (*websocket.Conn, *http.Response, error) {
	d := websocket.Dialer{HandshakeTimeout: patience}
	return d.Dial("ws://"+s.addr+"/?"+query.Encode(), header)
}

// connect dials without expecting a welcome.
func (s *server) connect(room string) *client {
	s.t.Helper()
	conn, _, err := s.dial(room, nil)
	if err != nil {
		s.t.Fatalf("dialling: %v", err)
	}
	s.t.Cleanup(func() { conn.Close() })
	return &client{t: s.t, conn: conn}
}

func (s *server) join(room string) *client {
	s.t.Helper()
	c := s.connect(room)
	w := c.next()
	if w.Type != "welcome" || !strings.HasPrefix(w.ID, "p") || len(w.ID) < 20 {
		s.t.Fatalf("first message is %+v, want a welcome", w)
	}
	c.id, c.in, c.token = w.ID, w.Peers, w.Resume
	return c
}

// serverMessage is any message of the server.
type serverMessage struct {
	Type, ID, Room, Peer, From, Code, Message string
	Peers                                     []string
	Data                                      json.RawMessage
	ICEServers                                json.RawMessage
	ICETransportPolicy                        string
	Resume                                    string
	Seen                                      uint64
}

func (c *client) read() (serverMessage, error) {
	c.conn.SetReadDeadline(time.Now().Add(patience))
	var m serverMessage
	_, b, err := c.conn.ReadMessage()
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(b, &m)
}

func (c *client) next() serverMessage {
	c.t.Helper()
	m, err := c.read()
	if err != nil {
		c.t.Fatalf("reading: %v", err)
	}
	return m
}

func (c *client) want(want serverMessage) {
	c.t.Helper()
	got := c.next()
	if !reflect.DeepEqual(got, want) {
		c.t.Fatalf("got  %s\nwant %s", got, want)
	}
}

// String is short, whatever the data.
func (m serverMessage) String() string {
	m.Data = m.Data[:min(len(m.Data), 100)]
	type plain serverMessage
	return fmt.Sprintf("%+v, data %s", plain(m), m.Data)
}

// wantClose expects an error message with the code (unless it is empty) and
// then a close frame.
func (c *client) wantClose(code string, closeCode int) {
	c.t.Helper()
	if code != "" {
		if m := c.next(); m.Type != "error" || m.Code != code || m.Message == "" {
			c.t.Fatalf("got %+v, want error %s", m, code)
		}
	}
	_, err := c.read()
	var closed *websocket.CloseError
	if !errors.As(err, &closed) || closed.Code != closeCode {
		c.t.Fatalf("got %v, want close %d", err, closeCode)
	}
}

func (c *client) send(text string) {
	c.t.Helper()
	if err := c.conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		c.t.Fatalf("sending: %v", err)
	}
}

// wantUndisturbed checks that c is in its room, and has heard nothing that was not
// read yet.
func (c *client) wantUndisturbed() {
	c.t.Helper()
	c.send(`{"type":"ping"}`)
	c.want(serverMessage{Type: "pong"})
}

func (s *server) event(kind EventKind) Event {
	s.t.Helper()
	select {
	case e := <-s.events:
		if e.Kind != kind {
			s.t.Fatalf("got event %+v, want %s", e, kind)
		}
		return e
	case <-time.After(patience):
		s.t.Fatalf("no %s event", kind)
	}
	panic("unreachable")
}

func TestJoinRelayLeave(t *testing.T) {
	s := start(t, Config{RoomSize: 3})
	a := s.join("영상")
	if e := s.event(Joined); e.Peer != a.id || e.Room != "영상" || e.Peers != 1 || e.RoomSize != 3 || e.Addr == "" {
		t.Errorf("join event %+v", e)
	}
	b := s.connect("영상")
	w := b.next()
	if w.Room != "영상" || len(w.Peers) != 1 || w.Peers[0] != a.id || string(w.ICEServers) != "[]" || w.ICETransportPolicy != "" {
		t.Fatalf("welcome %+v", w)
	}
	b.id = w.ID
	a.want(serverMessage{Type: "peer-joined", Peer: b.id})
	c := s.join("영상")
	a.want(serverMessage{Type: "peer-joined", Peer: c.id})
	b.want(serverMessage{Type: "peer-joined", Peer: c.id})
	if len(c.in) != 2 || c.in[0] != a.id || c.in[1] != b.id {
		t.Errorf("third peer was told of %v, want %s %s in order", c.in, a.id, b.id)
	}

	// Directed, with bytes that a JSON round trip would change.
	data := `{ "big":12345678901234567890, "e":1.0e+2, "esc":"\u0041\/", "a":1 ,"a":2 }`
	a.send(`{"type":"signal","to":"` + c.id + `","data":` + data + `}`)
	c.want(serverMessage{Type: "signal", From: a.id, Data: json.RawMessage(data)})
	// To everyone else.
	b.send(`{"data":null,"type":"signal"}`)
	a.want(serverMessage{Type: "signal", From: b.id, Data: json.RawMessage("null")})
	c.want(serverMessage{Type: "signal", From: b.id, Data: json.RawMessage("null")})

	b.send(`{"type":"leave"}`)
	b.wantClose("", 1000)
	a.want(serverMessage{Type: "peer-left", Peer: b.id})
	c.want(serverMessage{Type: "peer-left", Peer: b.id})
	c.conn.NetConn().Close() // without a word
	a.want(serverMessage{Type: "peer-left", Peer: c.id})
	if got := s.hub.Stats(); got != (Stats{Rooms: 1, Peers: 1}) {
		t.Errorf("stats %+v", got)
	}
}

func TestDataIsForwardedByteForByte(t *testing.T) {
	s := start(t, Config{})
	a, b := s.join(""), s.join("lobby") // the same room
	a.next()
	const data = "{\n \"x\" : [ 1 , 2.50 ] }"
	a.send(`{"type":"signal","data":` + data + `}`)
	_, frame, err := b.conn.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"type":"signal","from":"` + a.id + `","data":` + data + `}`; string(frame) != want {
		t.Errorf("got  %s\nwant %s", frame, want)
	}
}

func TestOrderIsKept(t *testing.T) {
	s := start(t, Config{MessageRate: 1e6, ByteRate: 1 << 30, QueueMessages: 5000, QueueBytes: 10 << 20})
	a, b := s.join("r"), s.join("r")
	a.next()
	const n = 2000
	go func() {
		for i := range n {
			a.conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":"signal","to":"%s","data":%d}`, b.id, i))
		}
	}()
	for i := range n {
		if m := b.next(); string(m.Data) != fmt.Sprint(i) {
			t.Fatalf("message %d is %+v", i, m)
		}
	}
}

func TestRoomsAreSeparate(t *testing.T) {
	s := start(t, Config{})
	a, x := s.join("one"), s.join("two")
	a.send(`{"type":"signal","to":"` + x.id + `","data":1}`)
	if m := a.next(); m.Code != "no-such-peer" {
		t.Errorf("got %+v", m)
	}
	a.send(`{"type":"signal","data":1}`) // alone: no error, nobody hears it
	b := s.join("one")
	a.want(serverMessage{Type: "peer-joined", Peer: b.id}) // and a is still connected
	a.send(`{"type":"signal","to":"` + a.id + `","data":1}`)
	if m := a.next(); m.Code != "no-such-peer" {
		t.Errorf("a message to oneself: got %+v", m)
	}
}

func TestRoomFull(t *testing.T) {
	s := start(t, Config{})
	a := s.join("r")
	s.join("r")
	third := s.connect("r")
	third.wantClose("room-full", 4001)
	a.next()
	a.send(`{"type":"leave"}`)
	a.wantClose("", 1000)
	s.join("r") // there is a place again
}

func TestJoinRaceLetsExactlyTwoIn(t *testing.T) {
	s := start(t, Config{})
	for round := range 20 {
		var wg sync.WaitGroup
		first := make([]string, 8)
		for i := range first {
			wg.Go(func() {
				conn, _, err := s.dial(fmt.Sprint(round), nil)
				if err != nil {
					t.Error(err)
					return
				}
				t.Cleanup(func() { conn.Close() })
				m, err := (&client{t: t, conn: conn}).read()
				if err != nil {
					t.Error(err)
				}
				first[i] = m.Type + m.Code
			})
		}
		wg.Wait()
		if got := strings.Count(strings.Join(first, " "), "welcome"); got != 2 {
			t.Fatalf("round %d: %d peers were let in: %v", round, got, first)
		}
	}
}

func TestRoomNames(t *testing.T) {
	s := start(t, Config{})
	for _, name := range []string{strings.Repeat("x", 65), "a\nb", "\xff", "a\x00"} {
		s.connect(name).wantClose("bad-message", 4002)
	}
	for _, name := range []string{strings.Repeat("방", 64), "a b", "../..", `"<script>`} {
		c := s.connect(name)
		if m := c.next(); m.Type != "welcome" || m.Room != name {
			t.Errorf("room %q: got %+v", name, m)
		}
	}
}

func TestOrigin(t *testing.T) {
	s := start(t, Config{})
	for origin, want := range map[string]int{
		"":                           http.StatusSwitchingProtocols,
		"http://" + s.addr:           http.StatusSwitchingProtocols,
		"https://evil.example":       http.StatusForbidden,
		"http://" + s.addr + ".evil": http.StatusForbidden,
		"null":                       http.StatusForbidden,
	} {
		header := http.Header{}
		if origin != "" {
			header.Set("Origin", origin)
		}
		conn, resp, err := s.dial("origin"+origin, header)
		if resp == nil {
			t.Fatalf("Origin %q: %v", origin, err)
		}
		if resp.StatusCode != want {
			t.Errorf("Origin %q: status %d, want %d", origin, resp.StatusCode, want)
		}
		if conn != nil {
			conn.Close()
		}
	}
}

func TestPlainRequestIsToldWhatThisIs(t *testing.T) {
	s := start(t, Config{})
	resp, err := http.Get("http://" + s.addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	if resp.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("status %d", resp.StatusCode)
	}
}
