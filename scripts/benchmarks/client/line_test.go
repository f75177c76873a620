package client

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dialled is a line to a server that somebody else wrote, and its other end.
func dialled(t *testing.T) (*Line, *websocket.Conn) {
	t.Helper()
	conns := make(chan *websocket.Conn, 1)
	upgrader := websocket.Upgrader{}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ws" {
			http.Error(w, "not here", http.StatusServiceUnavailable)
			return
		}
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		conns <- conn
	}))
	t.Cleanup(web.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	server := Server{Address: web.Listener.Addr().String()}
	if _, err := DialWebSocket(ctx, server, "/elsewhere"); !errors.As(err, new(*StatusError)) {
		t.Errorf("a refused handshake: %v", err)
	}
	l, err := DialWebSocket(ctx, server, "/ws?room=a")
	if err != nil {
		t.Fatal(err)
	}
	conn := <-conns
	deadline := time.Now().Add(10 * time.Second)
	if err := errors.Join(conn.SetReadDeadline(deadline), conn.SetWriteDeadline(deadline)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Drop(false); conn.Close() })
	return l, conn
}

// sizes are at the edges of the three forms of a length, and of the buffer.
func sizes() []int {
	return []int{0, 1, 125, 126, 127, 3000, readBuffer, readBuffer + 1, 1<<16 - 1, 1 << 16, 200_000}
}

func TestMessagesOfAllSizes(t *testing.T) {
	l, conn := dialled(t)
	for _, size := range sizes() {
		text := strings.Repeat("abcdefg", size/7+1)[:size]
		if err := l.Send([]byte(text[:size/3]), []byte(text[size/3:])); err != nil {
			t.Fatal(err)
		}
		if kind, got, err := conn.ReadMessage(); err != nil || kind != websocket.TextMessage || string(got) != text {
			t.Fatalf("of %d bytes %d arrived: %v", size, len(got), err)
		}
		if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := l.Next(); err != nil || string(got) != text {
			t.Fatalf("of %d bytes %d came back: %v", size, len(got), err)
		}
	}
}

func TestPingsAreAnsweredAndFragmentsPutTogether(t *testing.T) {
	l, conn := dialled(t)
	w, err := conn.NextWriter(websocket.TextMessage)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 3*4096) // several of gorilla's write buffers
	if _, err := w.Write([]byte(long[:8192])); err != nil {
		t.Fatal(err)
	}
	if err := conn.WriteControl(websocket.PingMessage, []byte("now"), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(long[8192:])); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := l.Next(); err != nil || string(got) != long {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	pongs := make(chan string, 1)
	conn.SetPongHandler(func(data string) error { pongs <- data; return nil })
	if err := l.Send([]byte("after")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := conn.ReadMessage(); err != nil {
		t.Fatal(err)
	}
	if got := <-pongs; got != "now" {
		t.Errorf("pong %q", got)
	}
}

func TestCloseFrames(t *testing.T) {
	l, conn := dialled(t)
	closed := make(chan error, 1)
	go func() { closed <- l.Close() }()
	_, _, err := conn.ReadMessage() // gorilla answers by itself
	if !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		t.Errorf("the server saw %v", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}

	l, conn = dialled(t)
	if err := conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4003, "too slow"), time.Time{}); err != nil {
		t.Fatal(err)
	}
	var frame *CloseError
	if _, err := l.Next(); !errors.As(err, &frame) || *frame != (CloseError{4003, "too slow"}) {
		t.Errorf("got %v", err)
	}
}

// Half a message is no message.
func TestHalfAMessage(t *testing.T) {
	l, conn := dialled(t)
	if err := l.Send([]byte("whole")); err != nil {
		t.Fatal(err)
	}
	if err := l.SendHalf([]byte(strings.Repeat("half", 1000))); err != nil {
		t.Fatal(err)
	}
	l.Drop(false)
	if _, got, err := conn.ReadMessage(); err != nil || string(got) != "whole" {
		t.Errorf("%q, %v", got, err)
	}
	if _, got, err := conn.ReadMessage(); err == nil {
		t.Errorf("%q arrived", got)
	}
}
