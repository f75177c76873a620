package signaling

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

func TestBadMessages(t *testing.T) {
	s := start(t, Config{MaxMessage: 1000})
	text := func(s string) func(*client) { return func(c *client) { c.send(s) } }
	frame := func(n int) string {
		const shell = `{"type":"signal","data":""}`
		return strings.Replace(shell, `""`, `"`+strings.Repeat("x", n-len(shell))+`"`, 1)
	}
	tests := []struct {
		name      string
		send      func(*client)
		code      string
		closeCode int
	}{
		{"empty", text(""), "bad-message", 4002},
		{"not JSON", text("hello"), "bad-message", 4002},
		{"not an object", text("[]"), "bad-message", 4002},
		{"truncated", text(`{"type":"signal","data":{`), "bad-message", 4002},
		{"two values", text(`{"type":"leave"}{}`), "bad-message", 4002},
		{"no type", text(`{"data":1}`), "bad-message", 4002},
		{"unknown type", text(`{"type":"shout","data":1}`), "bad-message", 4002},
		{"no data", text(`{"type":"signal"}`), "bad-message", 4002},
		{"type is a number", text(`{"type":1}`), "bad-message", 4002},
		{"deep", text(`{"type":"signal","data":` + strings.Repeat("[", 900)), "bad-message", 4002},
		{"invalid UTF-8", text("{\"type\":\"signal\",\"data\":\"\xff\"}"), "bad-message", 4002},
		{"binary", func(c *client) { c.conn.WriteMessage(websocket.BinaryMessage, []byte(`{"type":"leave"}`)) }, "bad-message", 4002},
		{"one byte too large", text(frame(1001)), "too-large", 1009},
		{"far too large", func(c *client) { c.conn.WriteMessage(websocket.TextMessage, make([]byte, 1<<20)) }, "too-large", 1009},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			witness := s.join(tt.name)
			c := s.join(tt.name)
			witness.next()
			tt.send(c)
			c.wantClose(tt.code, tt.closeCode)
			witness.want(serverMessage{Type: "peer-left", Peer: c.id})
		})
	}
	t.Run("exactly the limit", func(t *testing.T) {
		a, b := s.join("limit"), s.join("limit")
		a.next()
		a.send(frame(1000))
		if m := b.next(); m.Type != "signal" {
			t.Errorf("got %+v", m)
		}
	})
}

// A peer that stops reading is thrown out as soon as its queue is full, long
// before its writer gives up, and the one that sends to it goes on.
func TestSlowReaderIsClosed(t *testing.T) {
	s := start(t, Config{MessageRate: 1e6, ByteRate: 1 << 30, QueueMessages: 8, WriteTimeout: time.Hour})
	a, slow := s.join("r"), s.join("r")
	a.next()
	big := `{"type":"signal","data":"` + strings.Repeat("x", 60<<10) + `"}`
	left := make(chan serverMessage, 1)
	go func() {
		m, _ := a.read()
		left <- m
	}()
	deadline := time.After(patience)
	for {
		select {
		case m := <-left:
			if m.Type != "peer-left" || m.Peer != slow.id {
				t.Fatalf("got %+v", m)
			}
			slow.drain()
			return
		case <-deadline:
			t.Fatal("the slow peer was never closed")
		default:
			a.send(big) // the kernel's buffers fill first
		}
	}
}

func TestPeerThatAnswersNoPingIsCutOff(t *testing.T) {
	s := start(t, Config{PingInterval: 50 * time.Millisecond, PongTimeout: 50 * time.Millisecond})
	a := s.join("r")
	mute := s.join("r") // never reads, so never answers
	a.want(serverMessage{Type: "peer-joined", Peer: mute.id})
	a.want(serverMessage{Type: "peer-left", Peer: mute.id}) // reading answers a's own pings
}

func TestShutdownTellsEveryone(t *testing.T) {
	s := start(t, Config{})
	a, b := s.join("r"), s.join("x")
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		done <- s.hub.Shutdown(ctx)
	}()
	a.wantClose("shutting-down", 1001)
	b.wantClose("shutting-down", 1001)
	if err := <-done; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	_, resp, err := s.dial("r", nil)
	if err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("after Shutdown: %v, %v; want 503", resp, err)
	}
}

func TestShutdownCutsOffThoseWhoDoNotAnswer(t *testing.T) {
	s := start(t, Config{MessageRate: 1e6, ByteRate: 1 << 30, QueueMessages: 10_000, QueueBytes: 1 << 30, WriteTimeout: time.Hour})
	a, stuck := s.join("r"), s.join("r")
	big := `{"type":"signal","data":"` + strings.Repeat("x", 60<<10) + `"}`
	for range 300 { // 18 MB: more than the kernel takes
		a.send(big)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if err := s.hub.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown with a stuck peer: %v", err)
	}
	stuck.drain()
}

// A peer that got its close frame and stays is cut off.
func TestPeerThatDoesNotCloseIsCutOff(t *testing.T) {
	s := start(t, Config{})
	c := s.join("r")
	c.send("no JSON")
	c.drain()
}

// drain reads bytes, without answering any frame, until the server has ended
// the connection.
func (c *client) drain() {
	c.t.Helper()
	raw := c.conn.NetConn()
	raw.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, raw); errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Error("the server keeps the connection open")
	}
}

// A peer that reads, but too slowly, is gone within the time for last words,
// however much its writer had still to write.
func TestPeerThatReadsSlowlyIsClosed(t *testing.T) {
	s := start(t, Config{MessageRate: 1e6, ByteRate: 1 << 30, QueueMessages: 64, QueueBytes: 16 << 20, WriteTimeout: time.Hour})
	a, slow := s.join("r"), s.join("r")
	a.next()
	stop := make(chan struct{})
	closed := make(chan struct{})
	go func() { // one byte of it every millisecond never frees the writer for long
		defer close(closed)
		one := make([]byte, 1)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				if _, err := slow.conn.NetConn().Read(one); err != nil {
					return
				}
			}
		}
	}()
	left := make(chan serverMessage, 1)
	go func() { m, _ := a.read(); left <- m }()
	big := `{"type":"signal","data":"` + strings.Repeat("x", 60<<10) + `"}`
	for gone := false; !gone; {
		select {
		case <-left:
			gone = true
		default:
			a.send(big)
		}
	}
	eventually(t, "the slow peer's connection ends", func() bool {
		s.hub.mu.Lock()
		defer s.hub.mu.Unlock()
		return len(s.hub.visits) == 1
	})
	close(stop)
	<-closed
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		time.Sleep(10 * time.Millisecond) // between two looks at another goroutine's work
	}
}

// Events tell one story: each count is one off the last.
func TestEventsAreInOrder(t *testing.T) {
	s := start(t, Config{RoomSize: 200}) // all of them, if the server is slow to see them go
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 10 {
				conn, _, err := s.dial("r", nil)
				if err != nil {
					t.Error(err)
					return
				}
				conn.Close()
			}
		})
	}
	wg.Wait()
	count, here := 0, map[string]bool{}
	for range 2 * 20 * 10 {
		select {
		case e := <-s.events:
			step := 1
			if e.Kind == Left {
				step = -1
			}
			count += step
			if e.Peers != count || here[e.Peer] != (e.Kind == Left) {
				t.Fatalf("%+v comes when %d are there (this peer: %v)", e, count-step, here[e.Peer])
			}
			here[e.Peer] = e.Kind == Joined
		case <-time.After(patience):
			t.Fatalf("no more events; %d are there", count)
		}
	}
}
