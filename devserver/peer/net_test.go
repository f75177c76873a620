package peer

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"rtcdev/devserver/signaling"
)

// A TURN server that takes connections and keeps silent does not keep a peer from
// ending, over any transport, and nothing of it is left: see TestMain.
func TestSilentTURNServer(t *testing.T) {
	for _, url := range []string{"turn:%s?transport=tcp", "turns:%s?transport=tcp", "turn:%s?transport=udp"} {
		t.Run(url, func(t *testing.T) {
			silent := newSilentServer(t)
			s := serve(t, signaling.Config{}, nil)
			peers := make([]*running, 2)
			for i := range peers {
				cfg := s.config("silent", Sink)
				cfg.RelayOnly = true
				cfg.ICEServers = []ICEServer{{URLs: []string{fmt.Sprintf(url, silent.address)}, Username: "u", Credential: "p"}}
				peers[i] = run(t, cfg)
			}
			receive(t, "the TURN server's first client", silent.came)
			for _, p := range peers {
				p.cancel()
			}
			begun := time.Now()
			for _, p := range peers {
				p.end()
			}
			if took := time.Since(begun); took > 3*time.Second {
				t.Errorf("the peers took %v to end", took)
			}
		})
	}
}

// A silentServer takes connections and packets, and says nothing.
type silentServer struct {
	address string
	came    chan struct{}
}

func newSilentServer(t *testing.T) *silentServer {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	packets, err := net.ListenPacket("udp4", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s := &silentServer{listener.Addr().String(), make(chan struct{}, 100)}
	var handlers sync.WaitGroup
	handlers.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.came <- struct{}{}
			defer conn.Close()
		}
	})
	handlers.Go(func() {
		for {
			if _, _, err := packets.ReadFrom(make([]byte, 2000)); err != nil {
				return
			}
			s.came <- struct{}{}
		}
	})
	t.Cleanup(func() {
		listener.Close()
		packets.Close()
		handlers.Wait()
	})
	return s
}
