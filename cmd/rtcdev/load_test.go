package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// loadedPair is two peers, of whom one sends numbered messages to the other, each with a
// ping after it, until the server stops.
type loadedPair struct {
	sender, receiver *websocket.Conn

	accepted atomic.Int64 // messages that were before an answered ping
	arrived  int
	ends     [2]error // what is wrong with how the sender and the receiver were told
}

// receive reads to the end of the connection. It returns an error unless that is an
// orderly one.
func receive(conn *websocket.Conn, hear func(kind string, data int) error) error {
	last := ""
	for {
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		_, text, err := conn.ReadMessage()
		if websocket.IsCloseError(err, websocket.CloseGoingAway) && last == "error shutting-down" {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w after %q", err, last)
		}
		var m struct {
			Type, Code string
			Data       int
		}
		if err := json.Unmarshal(text, &m); err != nil {
			return fmt.Errorf("reading %s: %w", text, err)
		}
		if last = strings.TrimSpace(m.Type + " " + m.Code); last == "error shutting-down" {
			continue
		}
		if err := hear(m.Type, m.Data); err != nil {
			return err
		}
	}
}

func (p *loadedPair) run(stop <-chan struct{}) {
	var all sync.WaitGroup
	all.Go(func() {
		p.ends[0] = receive(p.sender, func(kind string, _ int) error {
			if kind == "pong" {
				p.accepted.Add(1)
			}
			return nil
		})
	})
	all.Go(func() {
		p.ends[1] = receive(p.receiver, func(kind string, data int) error {
			if kind == "signal" && data != p.arrived {
				return fmt.Errorf("message %d comes after %d others", data, p.arrived)
			}
			if kind == "signal" {
				p.arrived++
			}
			return nil
		})
	})
	ticker := time.NewTicker(20 * time.Millisecond) // half of what one may send
	defer ticker.Stop()
	for i := 0; ; i++ {
		select {
		case <-stop:
			all.Wait()
			return
		case <-ticker.C:
		}
		for _, text := range []string{fmt.Sprintf(`{"type":"signal","data":%d}`, i), `{"type":"ping"}`} {
			_ = p.sender.WriteMessage(websocket.TextMessage, []byte(text)) // fails once the server has stopped
		}
	}
}

// SIGTERM comes while 40 pairs talk. All peers are told, in order: what the server had
// accepted before, that it is stopping, and a close frame; and it ends in time.
func TestTerminatedUnderLoad(t *testing.T) {
	a := newAccount(t)
	s := a.serve(a.emptyFolder("empty"), "--port", "0")
	transport := trustingClient(t, filepath.Join(a.home, ".local", "share", "rtcdev", "authority", "root.pem")).Transport.(*http.Transport)
	dialer := websocket.Dialer{TLSClientConfig: transport.TLSClientConfig, HandshakeTimeout: patience}
	dial := func(room int) *websocket.Conn {
		conn, _, err := dialer.Dial(fmt.Sprintf("wss://localhost:%d/_rtcdev/signal?room=%d", s.ready.Port, room), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	pairs := make([]*loadedPair, 40)
	stop := make(chan struct{})
	var running sync.WaitGroup
	for i := range pairs {
		p := &loadedPair{receiver: dial(i)}
		if _, _, err := p.receiver.ReadMessage(); err != nil { // it is in the room before the other sends
			t.Fatal(err)
		}
		p.sender = dial(i)
		pairs[i] = p
		running.Go(func() { p.run(stop) })
	}
	for range 2 * len(pairs) {
		s.event("peer-joined")
	}
	accepted := make([]int, len(pairs))
	for i, p := range pairs {
		accepted[i] = int(p.accepted.Load())
	}
	begin := time.Now()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.event("stopping")
	<-s.ended
	took := time.Since(begin)
	close(stop)
	running.Wait()
	if err := s.cmd.Wait(); err != nil || took > stopLimit {
		t.Errorf("the server ended after %v with %v\n%s", took, err, &s.log)
	}
	sum := 0
	for i, p := range pairs {
		for k, err := range p.ends {
			if err != nil {
				t.Errorf("pair %d, %s: %v", i, [2]string{"sender", "receiver"}[k], err)
			}
		}
		if p.arrived < accepted[i] {
			t.Errorf("pair %d: %d messages have arrived of at least %d that were accepted", i, p.arrived, accepted[i])
		}
		sum += p.arrived
	}
	if sum < len(pairs) {
		t.Errorf("only %d messages: that was no load", sum)
	}
}
