package signaling

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A browser opens the address again that it had at first: what its Last-Event-ID says is
// newer.
func TestLastEventIDIsNewer(t *testing.T) {
	t.Parallel()
	for name, heard := range map[string]bool{"heard": true, "not heard": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, Config{})
			witness, c := s.pair()
			c.snap()
			s.awaitAway(1)
			address := url.Values{"resume": {c.token}, "seen": {"1"}}
			l := s.listen(address, "")
			m := l.next()
			l.id, l.token, l.sent = m.ID, m.Resume, 1
			if m.Type != "resumed" || l.id != c.id {
				t.Fatalf("got %s", m)
			}
			witness.send(hello)
			l.want(serverMessage{Type: "signal", From: witness.id, Data: []byte(`"hello"`)})
			if heard {
				l.wantUndisturbed()
			}
			s.hangUp(l)
			again := s.listen(address, l.last)
			if m := again.next(); m.Type != "resumed" || m.ID != c.id || m.Seen != uint64(l.sent) {
				t.Fatalf("coming back: %s", m)
			}
			witness.send(`{"type":"signal","data":"new"}`)
			again.want(serverMessage{Type: "signal", From: witness.id, Data: []byte(`"new"`)})
			witness.send(`{"type":"leave"}`)
			again.want(serverMessage{Type: "peer-left", Peer: witness.id})
		})
	}
}

// The event of a fatal error has no id: what a browser comes back with stays what it was.
func TestFatalEventHasNoID(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	s.join("full")
	s.join("full")
	for code, query := range map[string]url.Values{"room-full": {"room": {"full"}}, "cannot-resume": {"resume": {"forged"}, "seen": {"0"}}} {
		l := s.listen(query, "")
		if l.wantEnd(code); l.last != "" {
			t.Errorf("%s: the id is %q", code, l.last)
		}
	}
	l := s.listenIn("fault")
	l.wantUndisturbed()
	l.post(l.sent+1, "no JSON")
	l.wantEnd("bad-message")
	l.wantID(1)

	l = s.listenIn("replaced")
	l.wantUndisturbed()
	again := s.listenAgain(l)
	l.wantEnd("replaced")
	l.wantID(1)
	again.wantUndisturbed()
	third := s.listenAgain(again)
	third = s.listenAgain(third) // the one before was not heard: it just ends
	again.wantEnd("replaced")
	third.wantUndisturbed()

	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		done <- s.hub.Shutdown(ctx)
	}()
	third.wantEnd("shutting-down")
	third.wantID(3)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Each end of a connection is counted by its close code.
func TestCloseCodes(t *testing.T) {
	t.Parallel()
	fast := Config{PingInterval: 50 * time.Millisecond, PongTimeout: 50 * time.Millisecond}
	closing := func(payload string) func(*server) {
		return func(s *server) {
			c := s.raw("r")
			c.bytes(frame(fin|opClose, payload))
		}
	}
	for name, tt := range map[string]struct {
		cfg  Config
		end  func(*server)
		code int
	}{
		"broken":                      {Config{}, func(s *server) { s.joinAndSpeak("r").snap() }, 1006},
		"a FIN without a close frame": {Config{}, func(s *server) { s.join("r").conn.NetConn().Close() }, 1006},
		"a broken stream":             {Config{}, func(s *server) { s.listenIn("r").cancel() }, 1006},
		"a silent line":               {fast, func(s *server) { s.join("r") }, 4008},
		"a silent stream":             {fast, func(s *server) { s.listenIn("r") }, 4008},
		"leave":                       {Config{}, func(s *server) { c := s.join("r"); c.send(`{"type":"leave"}`); c.wantClose("", 1000) }, 1000},
		"leave of a stream":           {Config{}, func(s *server) { l := s.listenIn("r"); l.send(`{"type":"leave"}`); l.wantEnd("") }, 1000},
		"a fault":                     {Config{}, func(s *server) { c := s.join("r"); c.send("no JSON"); c.wantClose("bad-message", 4002) }, 4002},
		"a fault of a stream":         {Config{}, func(s *server) { s.listenIn("r").post(1, "no JSON") }, 4002},
		"going away":                  {Config{}, closing("\x03\xe9"), 1001},
		"without a code":              {Config{}, closing(""), 1005},
		"3000, which means nothing":   {Config{}, closing("\x0b\xb8"), 0},
		"4999, which means nothing":   {Config{}, closing("\x13\x87bye"), 0},
		"replaced": {Config{}, func(s *server) {
			c := s.joinAndSpeak("r")
			s.resume(c, 1, 1)
			c.wantClose("replaced", 4005)
		}, 4005},
		"a stream that is replaced": {Config{}, func(s *server) {
			l := s.listenIn("r")
			l.wantUndisturbed()
			s.listenAgain(l)
			l.wantEnd("replaced")
		}, 4005},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, tt.cfg)
			tt.end(s)
			series := fmt.Sprintf(`rtcdev_closes_total{code="%d"}`, tt.code)
			eventually(t, series, func() bool { return scrape(t, s.hub)[series] == 1 })
			for name, value := range scrape(t, s.hub) {
				if strings.HasPrefix(name, "rtcdev_closes_total") && name != series {
					t.Errorf("%s is %v", name, value)
				}
			}
		})
	}
}

// A hub that everybody has left is quiet at once; one that is shut down is not asked.
func TestQuietWhenEverybodyHasLeft(t *testing.T) {
	t.Parallel()
	var quiet atomic.Int32
	s := start(t, Config{OnQuiet: func() { quiet.Add(1) }})
	for round := range int32(2) {
		c := s.join("r")
		c.send(`{"type":"leave"}`)
		c.wantClose("", 1000)
		eventually(t, "it is quiet", func() bool { return quiet.Load() == round+1 })
	}
	c := s.join("r")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.hub.Shutdown(ctx) }()
	c.wantClose("shutting-down", 1001)
	if err := <-done; err != nil { // the keeper has ended
		t.Error(err)
	}
	if n := quiet.Load(); n != 2 {
		t.Errorf("%d times quiet", n)
	}
}

// A peer can have only so many messages read at once; those before do well.
func TestManyPostsAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	witness, l := s.join("r"), s.listenIn("r")
	witness.next()
	posts := make([]net.Conn, mostPosts)
	for i := range posts {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(patience))
		query := url.Values{"resume": {l.token}, "n": {fmt.Sprint(i + 1)}}.Encode()
		fmt.Fprintf(conn, "POST /send?%s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", query, s.addr, len(hello), hello[1:])
		posts[i] = conn
	}
	peer := s.hub.sessionOf(l.token)
	eventually(t, "they are being read", func() bool { return peer.posting.Load() == mostPosts })
	if status, code := l.post(1, hello); status != http.StatusConflict || code != "bad-message" {
		t.Errorf("one more: %d %s", status, code)
	}
	for _, conn := range posts {
		conn.Close()
	}
	eventually(t, "they are given up", func() bool { return peer.posting.Load() == 0 })
	l.wantUndisturbed()
	l.send(hello)
	witness.want(serverMessage{Type: "signal", From: l.id, Data: []byte(`"hello"`)})
}
