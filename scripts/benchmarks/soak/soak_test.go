package soak

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rtcdev/devserver/signaling"
	"rtcdev/scripts/benchmarks/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plenty is more than the soak needs: it talks faster than the bounds are made for.
const plenty = 1 << 30

// A host runs hubs behind a wire that may tamper with what they say.
type host struct {
	t      *testing.T
	front  net.Listener
	tamper func(frame []byte) [][]byte
	wires  sync.WaitGroup

	mu   sync.Mutex
	hub  *signaling.Hub
	web  *http.Server
	back string
}

func newHost(t *testing.T, tamper func([]byte) [][]byte) *host {
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, front: front, tamper: tamper}
	h.wires.Go(func() {
		for {
			conn, err := front.Accept()
			if err != nil {
				return
			}
			h.wires.Go(func() { h.wire(conn) })
		}
	})
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		front.Close()
		if err := h.stop(); err != nil {
			t.Error(err)
		}
		h.wires.Wait()
	})
	return h
}

func (h *host) start() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.back = listener.Addr().String()
	h.hub = signaling.New(signaling.Config{MessageRate: plenty, ByteRate: plenty, QueueMessages: plenty, QueueBytes: plenty, KeepBytes: plenty})
	h.web = &http.Server{Handler: h.hub}
	go func(web *http.Server) { _ = web.Serve(listener) }(h.web)
	return nil
}

func (h *host) stop() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := h.hub.Shutdown(ctx)
	h.web.Close()
	return err
}

// wire passes bytes on to the hub, and frames back.
func (h *host) wire(conn net.Conn) {
	defer conn.Close()
	h.mu.Lock()
	address := h.back
	h.mu.Unlock()
	hub, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	h.wires.Go(func() {
		_, _ = io.Copy(hub, conn)
		if tcp, ok := hub.(*net.TCPConn); ok {
			_ = tcp.CloseWrite()
		}
	})
	defer hub.Close()
	in := bufio.NewReader(hub)
	for line := ""; line != "\r\n"; { // the answer to the handshake
		if line, err = in.ReadString('\n'); err != nil {
			return
		}
		_, _ = io.WriteString(conn, line)
	}
	for {
		head, err := in.Peek(4)
		if err != nil {
			_, _ = io.Copy(conn, in) // an end shorter than this
			return
		}
		n := 2 + int(head[1])
		if head[1] == 126 {
			n = 4 + int(binary.BigEndian.Uint16(head[2:]))
		}
		frame := make([]byte, n)
		if _, err := io.ReadFull(in, frame); err != nil {
			return
		}
		for _, f := range h.tamper(frame) {
			if _, err := conn.Write(f); err != nil {
				return
			}
		}
	}
}

func (h *host) soak(ctx context.Context) (Result, error) {
	return Run(ctx, Config{
		Server: client.Server{Address: h.front.Addr().String()}, Rooms: 5, Duration: 2 * time.Second,
		Pause: 10 * time.Millisecond, Line: 500 * time.Millisecond, Away: time.Second, Stop: h.stop, Start: h.start, Progress: h.t.Output(),
	})
}

func honest(frame []byte) [][]byte { return [][]byte{frame} }

func TestSoak(t *testing.T) {
	r, err := newHost(t, honest).soak(t.Context())
	if err != nil || r.Faulty > 0 {
		t.Fatalf("%v, %q", err, r.Faults)
	}
	if r.Heard == 0 || r.Heard > r.Said || r.Broken == 0 || r.Resumed == 0 || r.Rejoined != 10 {
		t.Errorf("%+v", r)
	}
}

// A server that loses or repeats one message in fifty is found out. (One alone may
// fall on a line that is just being broken, and be made up for.)
func TestFaultsAreFound(t *testing.T) {
	for name, tamper := range map[string]func([]byte) [][]byte{
		"lost":     func([]byte) [][]byte { return nil },
		"repeated": func(f []byte) [][]byte { return [][]byte{f, f} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var count atomic.Int64
			h := newHost(t, func(frame []byte) [][]byte {
				if strings.Contains(string(frame), `"type":"signal"`) && count.Add(1)%50 == 0 {
					return tamper(frame)
				}
				return honest(frame)
			})
			r, err := h.soak(t.Context())
			if err != nil || r.Faulty == 0 {
				t.Errorf("%v, %+v", err, r)
			}
		})
	}
}

// A server that does not come back is an error, and nothing is left running.
func TestNoServer(t *testing.T) {
	h := newHost(t, honest)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := h.soak(ctx); err == nil {
		t.Error("no error")
	}
}
