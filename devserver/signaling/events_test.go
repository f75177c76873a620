package signaling

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestEventsAreTheSameProtocol(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	witness := s.join("r")
	l := s.listenIn("r")
	witness.want(serverMessage{Type: "peer-joined", Peer: l.id})
	l.send(`{"type":"signal","to":"` + witness.id + `","data":{ "a" : 1.0 }}`)
	witness.want(serverMessage{Type: "signal", From: l.id, Data: json.RawMessage(`{ "a" : 1.0 }`)})
	l.send(hello)
	witness.want(serverMessage{Type: "signal", From: l.id, Data: json.RawMessage(`"hello"`)})
	for i := range 20 {
		witness.send(fmt.Sprintf("{\"type\":\"signal\",\"data\":\n[%d,\r\n\r2 ]}", i))
	}
	for i := range 20 {
		m := l.next()
		var data [2]int
		if err := json.Unmarshal(m.Data, &data); err != nil || data != [2]int{i, 2} || m.From != witness.id {
			t.Fatalf("got %+v, %v", m, err)
		}
		l.wantID(i + 1)
	}
	l.send(`{"type":"signal","to":"nobody","data":1}`)
	if m := l.next(); m.Code != "no-such-peer" {
		t.Errorf("got %+v", m)
	}
	l.wantUndisturbed()
	l.send(`{"type":"leave"}`)
	l.wantEnd("")
	witness.want(serverMessage{Type: "peer-left", Peer: l.id})
	if status, code := l.post(99, hello); status != http.StatusGone || code != "cannot-resume" {
		t.Errorf("after leaving: %d %s", status, code)
	}
	witness.wantUndisturbed()
}

// A browser opens a broken stream again by itself; it goes on where it was.
func TestEventsResume(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	witness, l := s.join("r"), s.listenIn("r")
	witness.next()
	l.wantUndisturbed()
	for round := range 3 {
		s.hangUp(l)
		for i := range 30 {
			witness.send(fmt.Sprintf(`{"type":"signal","data":%d}`, i))
		}
		witness.wantUndisturbed()
		first := l.token
		l = s.listenAgain(l)
		l.wantID(1 + 31*round)
		for i := range 30 {
			l.want(serverMessage{Type: "signal", From: witness.id, Data: fmt.Append(nil, i)})
			l.wantID(2 + 31*round + i)
		}
		l.wantUndisturbed()
		if status, code, err := tryPost(l.url, url.Values{"resume": {first}, "n": {fmt.Sprint(l.sent + 1)}}, hello); status != http.StatusGone || err != nil {
			t.Errorf("with a token that is used up: %d %s, %v", status, code, err)
		}
	}
	witness.wantUndisturbed()
}

// Either door takes up what the other began.
func TestResumeThroughTheOtherDoor(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	witness, c := s.pair()
	c.snap()
	s.awaitAway(1)
	witness.send(hello)
	// What a browser says of itself when it reconnects is newer than the address.
	l := s.listen(url.Values{"resume": {"used.up"}, "seen": {"0"}}, c.token+".1")
	if m := l.next(); m.Type != "resumed" || m.ID != c.id || m.Seen != 1 {
		t.Fatalf("got %+v", m)
	} else {
		l.id, l.token, l.sent = m.ID, m.Resume, 1
	}
	l.want(serverMessage{Type: "signal", From: witness.id, Data: json.RawMessage(`"hello"`)})
	l.wantID(2)
	l.wantUndisturbed()
	again := s.resume(&client{id: l.id, token: l.token}, 3, 2) // while the stream is open
	l.wantEnd("replaced")
	again.wantUndisturbed()
	witness.wantUndisturbed()
}

// A message that was long on its way comes when the peer is on another line, where it
// sends it again: it is taken once.
func TestPostThatIsLate(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	witness, l := s.join("r"), s.listenIn("r")
	witness.next()
	l.wantUndisturbed()
	again := s.resume(&client{id: l.id, token: l.token}, 1, 1)
	if status, code := l.post(2, hello); status != http.StatusConflict {
		t.Errorf("while it is on a WebSocket: %d %s", status, code)
	}
	again.send(hello)
	witness.want(serverMessage{Type: "signal", From: l.id, Data: json.RawMessage(`"hello"`)})
	again.wantUndisturbed()
	witness.wantUndisturbed()

	old := *l
	old.token, old.last, old.sent = again.token, again.token+".2", 3
	l = s.listenAgain(&old)
	for _, from := range []*listener{&old, l} {
		if status, code := from.post(4, hello); status != http.StatusNoContent {
			t.Errorf("while it is on another event stream: %d %s", status, code)
		}
	}
	l.sent++
	witness.want(serverMessage{Type: "signal", From: l.id, Data: json.RawMessage(`"hello"`)})
	l.wantUndisturbed()
	witness.wantUndisturbed()
}

// One message is taken once, whatever the page knows of what became of it.
func TestPostNumbers(t *testing.T) {
	t.Parallel()
	s := start(t, Config{MaxMessage: 1000})
	witness, l := s.join("r"), s.listenIn("r")
	witness.next()
	for _, n := range []any{0, -1, "", "x", "1.5", "99999999999999999999"} {
		if status, code := l.post(n, hello); status != http.StatusBadRequest || code != "bad-message" {
			t.Errorf("n=%v: %d %s", n, status, code)
		}
	}
	for range 3 {
		if status, code := l.post(1, hello); status != http.StatusNoContent {
			t.Errorf("the first: %d %s", status, code)
		}
	}
	if status, code := l.post(3, hello); status != http.StatusConflict {
		t.Errorf("a gap: %d %s", status, code)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			query := url.Values{"resume": {l.token}, "n": {"2"}}
			if status, code, err := tryPost(l.url, query, `{"type":"signal","data":2}`); status != http.StatusNoContent {
				t.Errorf("the second, many times at once: %d %s, %v", status, code, err)
			}
		})
	}
	wg.Wait()
	l.sent = 2
	witness.want(serverMessage{Type: "signal", From: l.id, Data: json.RawMessage(`"hello"`)})
	witness.want(serverMessage{Type: "signal", From: l.id, Data: json.RawMessage("2")})
	l.wantUndisturbed()
	witness.wantUndisturbed()
}

// A page that goes away says so with whatever number: what it had said before may
// still be on its way, or lost with the line.
func TestPostLeave(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	const leave = `{"type":"leave"}`
	const last = uint64(1<<53 - 1) // what JavaScript can count to
	for name, begin := range map[string]func(room string) (l *listener, id string){
		"after a gap": func(room string) (*listener, string) {
			l := s.listenIn(room)
			return l, l.id
		},
		"while it is on a WebSocket": func(room string) (*listener, string) {
			c := s.join(room)
			return &listener{t: t, token: c.token, url: "http://" + s.addr + "/send"}, c.id
		},
		"with the token before": func(room string) (*listener, string) {
			l := s.listenIn(room)
			l.wantUndisturbed()
			s.resume(&client{id: l.id, token: l.token}, 1, 1)
			return l, l.id
		},
		"while it is away": func(room string) (*listener, string) {
			l := s.listenIn(room)
			l.wantUndisturbed()
			s.hangUp(l)
			return l, l.id
		},
	} {
		room := aRoom()
		witness := s.join(room)
		l, id := begin(room)
		witness.want(serverMessage{Type: "peer-joined", Peer: id})
		if status, code := l.post(last, leave); status != http.StatusNoContent {
			t.Errorf("%s: %d %s", name, status, code)
		}
		witness.want(serverMessage{Type: "peer-left", Peer: id})
		// It may say so twice, when it does not know what became of the first.
		if status, code := l.post(last, leave); status != http.StatusNoContent {
			t.Errorf("%s, again: %d %s", name, status, code)
		}
		if status, code := l.post(last, hello); status != http.StatusGone || code != "cannot-resume" {
			t.Errorf("%s, then anything else: %d %s", name, status, code)
		}
		witness.wantUndisturbed()
	}
}

// A fault of the peer is told in the answer and on the stream, which ends, and so does
// the peer.
func TestPostFaults(t *testing.T) {
	t.Parallel()
	s := start(t, Config{MaxMessage: 1000, MessageRate: 2})
	for name, tt := range map[string]struct {
		text   string
		status int
		code   string
	}{
		"no JSON":       {"hello", 400, "bad-message"},
		"empty":         {"", 400, "bad-message"},
		"invalid UTF-8": {"{\"type\":\"signal\",\"data\":\"\xff\"}", 400, "bad-message"},
		"unknown type":  {`{"type":"shout"}`, 400, "bad-message"},
		"too large":     {`{"type":"signal","data":"` + strings.Repeat("x", 1000) + `"}`, 413, "too-large"},
		"a megabyte":    {strings.Repeat("x", 1<<20), 413, "too-large"},
		"too many":      {hello, 429, "rate-limited"},
	} {
		t.Run(name, func(t *testing.T) {
			s, room := s.in(t), aRoom()
			witness, l := s.join(room), s.listenIn(room)
			witness.next()
			if tt.status == 429 {
				for range 2 * burst {
					l.send(hello)
					witness.next()
				}
			}
			status, code, err := tryPost(l.url, url.Values{"resume": {l.token}, "n": {fmt.Sprint(l.sent + 1)}}, tt.text)
			if (status != tt.status || code != tt.code) && (err == nil || len(tt.text) < 256<<10) { // net/http reads no more
				t.Errorf("%d %s, %v; want %d %s", status, code, err, tt.status, tt.code)
			}
			l.wantEnd(tt.code)
			witness.want(serverMessage{Type: "peer-left", Peer: l.id})
			witness.wantUndisturbed()
		})
	}
}

func TestEventsThatAreRefused(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	s.join("full")
	s.join("full")
	for code, query := range map[string]url.Values{
		"room-full":     {"room": {"full"}},
		"bad-message":   {"room": {"a\x00"}},
		"cannot-resume": {"resume": {"forged"}, "seen": {"0"}},
	} {
		s.listen(query, "").wantEnd(code)
	}
	s.listen(nil, "forged.1").wantEnd("cannot-resume")
	if got := s.hub.Stats(); got.Peers != 2 {
		t.Errorf("stats: %+v", got)
	}
}

// A peer of this door shows with its messages that it is there.
func TestSilentEventsPeer(t *testing.T) {
	t.Parallel()
	s := start(t, Config{MessageRate: 1e6, PingInterval: 100 * time.Millisecond, PongTimeout: 300 * time.Millisecond, ResumeTime: 50 * time.Millisecond})
	witness, l := s.join("r"), s.listenIn("r")
	witness.next()
	left := make(chan error, 1)
	go func() { // reading answers the witness's pings
		m, err := witness.read()
		if err == nil && (m.Type != "peer-left" || m.Peer != l.id) {
			err = fmt.Errorf("got %+v", m)
		}
		left <- err
	}()
	for began := time.Now(); time.Since(began) < 600*time.Millisecond; {
		l.wantUndisturbed()
	}
	select {
	case err := <-left:
		t.Fatalf("while it speaks: %v", err)
	default:
	}
	l.wantEnd("")
	if err := <-left; err != nil {
		t.Error(err)
	}
}

// A stream that nobody reads is closed when too much waits for it, however long the
// write to it may take, and the others are told.
func TestEventsSlowReader(t *testing.T) {
	t.Parallel()
	s := start(t, Config{MessageRate: 1e6, ByteRate: 1 << 30, QueueMessages: 8, WriteTimeout: time.Hour})
	a, slow := s.join("r"), s.listenIn("r")
	a.next()
	left := make(chan serverMessage, 1)
	go func() {
		m, _ := a.read()
		left <- m
	}()
	big := `{"type":"signal","data":"` + strings.Repeat("x", 60<<10) + `"}`
	for began := time.Now(); time.Since(began) < patience; {
		select {
		case m := <-left:
			if m.Type != "peer-left" || m.Peer != slow.id {
				t.Fatalf("got %+v", m)
			}
			for m, err := slow.read(); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF); m, err = slow.read() {
				if err != nil || m.Type != "signal" {
					t.Fatalf("the slow one got %+v, %v", m, err)
				}
			}
			return
		default:
			a.send(big)
		}
	}
	t.Fatal("the slow peer was never closed")
}

func TestEventsShutdown(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	witness, l := s.join("r"), s.listenIn("r")
	witness.next()
	witness.send(hello)
	witness.wantUndisturbed()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.hub.Shutdown(ctx) }()
	l.want(serverMessage{Type: "signal", From: witness.id, Data: json.RawMessage(`"hello"`)})
	for name, next := range map[string]func() serverMessage{"event stream": l.next, "WebSocket": witness.next} {
		m := next()
		if m.Type == "peer-left" { // the other was quicker
			m = next()
		}
		if m.Code != "shutting-down" {
			t.Errorf("%s: got %+v", name, m)
		}
	}
	l.wantEnd("")
	witness.wantClose("", 1001)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if status, code := l.post(1, hello); status != http.StatusServiceUnavailable || code != "shutting-down" {
		t.Errorf("posting afterwards: %d %s", status, code)
	}
	if again := s.listen(url.Values{"room": {"r"}}, ""); again.resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("listening afterwards: %s", again.resp.Status)
	}
}
