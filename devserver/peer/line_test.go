package peer

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pion/webrtc/v4"

	"rtcdev/devserver/signaling"
)

// A cutter ends the lines of a server without a word.
type cutter struct {
	mu    sync.Mutex
	conns []net.Conn
}

func (c *cutter) watch(conn net.Conn, state http.ConnState) {
	if state == http.StateHijacked {
		c.mu.Lock()
		c.conns = append(c.conns, conn)
		c.mu.Unlock()
	}
}

func (c *cutter) cut() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.conns)
	for _, conn := range c.conns {
		conn.(*tls.Conn).NetConn().Close()
	}
	c.conns = nil
	return n
}

// A peer whose line breaks comes back as the one it was, and gets and sends what was
// said meanwhile. The media does not notice.
func TestResume(t *testing.T) {
	events := make(chan signaling.Event, 100)
	c := &cutter{}
	s := serveWatched(t, signaling.Config{OnEvent: func(e signaling.Event) { events <- e }}, nil, c.watch)
	first, second := run(t, s.config("line", Pattern)), run(t, s.config("line", Pattern))
	flowed := func(s Stats) bool { return s.Flowed }
	before := first.until("media", flowed)
	second.until("media", flowed)
	for range 3 {
		if n := c.cut(); n != 2 {
			t.Fatalf("%d lines, not 2", n)
		}
		want := before.PacketsReceived
		before = first.until("more media", func(s Stats) bool { return s.PacketsReceived > want+150 && s.Connections == 1 })
	}
	third := first.until("the same id", func(s Stats) bool { return s.Peer == before.Peer })
	if third.PacketsLost != 0 {
		t.Errorf("%d packets were lost", third.PacketsLost)
	}
	if peers := s.hub.Stats().Peers; peers != 2 {
		t.Errorf("%d peers are in the room", peers)
	}
	first.end()
	second.end()
	for len(events) > 0 {
		t.Logf("%+v", <-events)
	}
}

// With its place the peer gets new credentials for the relay, also for the connections
// that it has.
func TestResumedServers(t *testing.T) {
	c := &cutter{}
	var told atomic.Int32
	cfg := signaling.Config{ICE: func(*http.Request, string) signaling.ICE {
		return signaling.ICE{Servers: fmt.Appendf(nil, `[{"urls":"turn:127.0.0.1:9","username":"u","credential":"%d"}]`, told.Add(1))}
	}}
	s := serveWatched(t, cfg, nil, c.watch)
	p, err := newParticipant(s.config("servers", Sink))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if p.network, err = newBoundNet(ctx); err != nil {
		t.Fatal(err)
	}
	heard, over := make(chan message, 10), make(chan struct{})
	p.line.deliver = func(m message) { heard <- m }
	go func() { defer close(over); _ = p.line.run(ctx) }()
	defer func() { cancel(); <-over }()

	p.hear(receive(t, "the welcome", heard))
	connection, err := p.newConnection("another")
	if err != nil {
		t.Fatal(err)
	}
	p.connections["another"] = connection
	defer p.working.Wait()
	defer connection.close()
	p.send("another", signal{}) // who was never heard cannot resume
	if m := receive(t, "the answer", heard); m.Code != signaling.NoSuchPeer {
		t.Fatalf("got %+v", m)
	}
	c.cut()
	m := receive(t, "the resumption", heard)
	if m.Type != "resumed" {
		t.Fatalf("got %+v", m)
	}
	p.hear(m)
	for _, servers := range [][]webrtc.ICEServer{p.servers, connection.pc.GetConfiguration().ICEServers} {
		if len(servers) != 1 || servers[0].Credential != "2" {
			t.Errorf("after the resumption: %+v", servers)
		}
	}
}

// A line that breaks in the middle of the negotiation loses nothing of it.
func TestResumeWhileNegotiating(t *testing.T) {
	c := &cutter{}
	s := serveWatched(t, signaling.Config{}, nil, c.watch)
	first := run(t, s.config("line", Pattern))
	first.until("the room", func(s Stats) bool { return s.Peer != "" })
	second := run(t, s.config("line", Pattern))
	eventually(t, "both lines", func() bool { return s.hub.Stats().Peers == 2 })
	c.cut()
	first.until("media", func(s Stats) bool { return s.Flowed })
	second.until("media", func(s Stats) bool { return s.Flowed })
}

// When the server is another one, the peers join anew and go on.
func TestServerRestart(t *testing.T) {
	var hub atomic.Pointer[signaling.Hub]
	hub.Store(signaling.New(signaling.Config{}))
	s := serveWatched(t, signaling.Config{}, func(mux *http.ServeMux) {
		mux.HandleFunc("/again"+signalPath, func(w http.ResponseWriter, r *http.Request) { hub.Load().ServeHTTP(w, r) })
	}, nil)
	cfg := s.config("", Pattern)
	cfg.URL, cfg.Room = s.web.URL+"/again"+signalPath, "restart"
	first, second := run(t, cfg), run(t, cfg)
	flowed := func(s Stats) bool { return s.Flowed && s.Connections == 1 }
	before := first.until("media", flowed)
	second.until("media", flowed)
	old := hub.Swap(signaling.New(signaling.Config{}))
	shutdown(t, old)
	after := first.until("a new place", func(s Stats) bool { return s.Peer != before.Peer })
	more := func(s Stats) bool {
		return s.PacketsReceived > after.PacketsReceived+300 && len(s.Pairs) == 1 && hub.Load().Stats().Peers == 2
	}
	first.until("media with the new place", more)
	second.until("media with the new place", more)
	first.end()
	second.end()
	shutdown(t, hub.Load())
}

func shutdown(t *testing.T, hub *signaling.Hub) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := hub.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// A peer that ends says so: its room is empty when Run returns.
func TestLeave(t *testing.T) {
	s := serve(t, signaling.Config{}, nil)
	peer := run(t, s.config("leave", Sink))
	peer.until("the room", func(s Stats) bool { return s.Peer != "" })
	peer.end()
	if got := s.hub.Stats(); got.Peers != 0 {
		t.Errorf("after the end: %+v", got)
	}
}
