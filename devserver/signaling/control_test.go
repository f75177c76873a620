package signaling

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
)

// What is no message costs like one, or like its bytes: who floods with it is closed, and
// the others are told.
func TestFloodsWithoutMessages(t *testing.T) {
	t.Parallel()
	s := start(t, Config{MessageRate: 10, ByteRate: 1000})
	for name, all := range map[string][]byte{
		"pongs":           bytes.Repeat(frame(fin|opPong, ""), 1000),
		"long pongs":      bytes.Repeat(frame(fin|opPong, strings.Repeat("x", 125)), 1000),
		"made-up answers": bytes.Repeat(frame(fin|opPong, "\x00\x00\x00\x00\x00\x00\x00\x00"), 1000),
		"empty fragments": frames(frame(opText, ""), bytes.Repeat(frame(opMore, ""), 10_000)),
		"fragments and pings": frames(frame(opText, ""),
			bytes.Repeat(frames(frame(opMore, ""), frame(opMore, ""), frame(opMore, ""), frame(fin|opPing, "")), 1000)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, room := s.in(t), aRoom()
			witness, c := s.join(room), s.raw(room)
			witness.want(serverMessage{Type: "peer-joined", Peer: c.id})
			go c.conn.Write(all) // until it is closed
			witness.want(serverMessage{Type: "peer-left", Peer: c.id})
			first, payload, err := c.next()
			for first == fin|opPong {
				first, payload, err = c.next()
			}
			if err != nil || !strings.Contains(payload, `"code":"rate-limited"`) {
				t.Fatalf("got frame %#x %q, %v", first, payload, err)
			}
			c.wantEnd("", 4006)
			witness.wantUndisturbed()
		})
	}
}

// A message may come in as many fragments as it has characters, as long as the rate allows.
func TestManyFragmentsAreNoFlood(t *testing.T) {
	t.Parallel()
	s := start(t, Config{MessageRate: 10, ByteRate: 1000})
	witness, c := s.join("r"), s.raw("r")
	witness.next()
	all := frame(opText, "")
	for i := range len(hello) {
		all = append(all, frame(opMore, hello[i:i+1])...)
	}
	all = append(all, frame(fin|opMore, "")...)
	for range 40 {
		c.bytes(all)
		witness.want(serverMessage{Type: "signal", From: c.id, Data: []byte(`"hello"`)})
	}
	witness.wantUndisturbed()
}

// Answering our pings costs a client nothing, however many there are.
func TestAnswersAreFree(t *testing.T) {
	t.Parallel()
	s := start(t, Config{MessageRate: 1, PingInterval: 20 * time.Millisecond})
	c := s.join("r")
	answered := make(chan struct{}, 1000)
	answer := c.conn.PingHandler()
	c.conn.SetPingHandler(func(payload string) error {
		answered <- struct{}{}
		return answer(payload)
	})
	ended := make(chan error, 1)
	go func() { _, err := c.read(); ended <- err }()
	for range 4 * burst {
		select {
		case <-answered:
		case err := <-ended:
			t.Fatalf("it was closed: %v", err)
		case <-time.After(patience):
			t.Fatal("no more pings")
		}
	}
	c.conn.WriteMessage(websocket.TextMessage, []byte(`{"type":"ping"}`))
	if err := <-ended; err != nil { // the pong
		t.Error(err)
	}
}

// Only an answer to what was asked tells that the peer has got its new token.
func TestUnaskedPongProvesNothing(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	_, c := s.pair()
	c.snap()
	s.awaitAway(1)
	again, _ := s.handshake("/?"+url.Values{"resume": {c.token}, "seen": {"1"}}.Encode(), "")
	again.nextText() // resumed
	again.bytes(frames(frame(fin|opPong, ""), frame(fin|opPong, "1234567"), frame(fin|opPing, "heard?")))
	if first, payload, err := again.next(); err != nil || first != fin|opPong || payload != "heard?" {
		t.Fatalf("got frame %#x %q, %v", first, payload, err)
	}
	again.conn.Close()
	s.awaitAway(1)
	s.resume(c, 1, 1).wantUndisturbed() // by the token before, as if that answer had been lost
}

// Each ping has one answer.
func TestQueueCountsAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, number := newTestQueue(1000, 1000), []byte{0, 0, 0, 0, 0, 0, 0, 1}
		out := &testSink{reader: &reader{t: t}}
		q.attach(out, nil, 0)
		q.put([]byte("hello"))
		synctest.Wait()
		wantPong := func(want bool, why string) {
			t.Helper()
			if got := q.pong(out, number); got != want {
				t.Errorf("%s: taken: %v", why, got)
			}
		}
		wantPong(false, "before anything was asked")
		if q.held() == 0 {
			t.Error("an answer to nothing has acknowledged a message")
		}
		q.ping(out)
		q.ping(out)
		synctest.Wait()
		if q.pong(out, number[1:]) || q.pong(&testSink{}, number) {
			t.Error("an answer to something else was taken")
		}
		wantPong(true, "the first answer")
		wantPong(true, "the second answer")
		wantPong(false, "the third answer to two questions")
		if n := q.held(); n != 0 {
			t.Errorf("%d bytes are held although all is acknowledged", n)
		}
		q.ping(out)
		next := &testSink{reader: &reader{t: t}}
		q.attach(next, nil, 1)
		out = next
		wantPong(false, "an answer on another line than the question")
		synctest.Wait()
	})
}

// A client that is busy has its pings answered in their places, and its own answers
// acknowledge what was sent.
func TestControlFramesOfABusyClient(t *testing.T) {
	t.Parallel()
	s := start(t, Config{MessageRate: 1e6, PingInterval: 50 * time.Millisecond})
	witness, c := s.join("r"), s.raw("r")
	witness.next()
	const n = 4 * busyStreak
	var all []byte
	for i := range n {
		text := fmt.Sprintf(`{"type":"signal","to":"nobody","data":%d}`, i)
		all = frames(all, frame(opText, text[:7]), frame(fin|opPing, fmt.Sprint(i)), frame(fin|opMore, text[7:]))
	}
	go c.conn.Write(all)
	for i := range n {
		if first, payload, err := c.next(); err != nil || first != fin|opPong || payload != fmt.Sprint(i) {
			t.Fatalf("got frame %#x %q, %v; want pong %d", first, payload, err, i)
		}
		if text := c.nextText(); !strings.Contains(text, "no-such-peer") {
			t.Fatalf("got %s", text)
		}
	}
	witness.wantUndisturbed()
	busy := s.join("busy")
	for i := range n {
		busy.send(fmt.Sprintf(`{"type":"signal","to":"nobody","data":%d}`, i))
		busy.next()
	}
	acknowledged := func() bool { // its answers to pings, while it is busy
		busy.wantUndisturbed()
		held := s.hub.sessionOf(busy.token).queue.held()
		return held < 2*(len(pongText)+2)
	}
	for began := time.Now(); !acknowledged(); {
		if time.Since(began) > patience {
			t.Fatal("nothing is acknowledged")
		}
	}
}
