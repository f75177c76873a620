package relay

import (
	"fmt"
	"net"
	"slices"
	"syscall"
	"testing"
	"time"
)

// sink is a client of a socket that sends with runs.
type sink struct {
	*client
	conn *net.UDPConn
}

// newSinks makes runs of a socket at listen, and clients at the addresses.
func newSinks(t testing.TB, listen string, addresses ...string) (*runs, []sink) {
	t.Helper()
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenPacket("udp", listen)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	f := newUDPFront(s, conn)
	raw, err := conn.(*net.UDPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var sinks []sink
	for _, address := range addresses {
		conn, err := net.ListenPacket("udp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		sinks = append(sinks, sink{&client{front: f.front, net: conn.LocalAddr(), out: f}, conn.(*net.UDPConn)})
	}
	return newRuns(f, conn.(*net.UDPConn), raw), sinks
}

// got are the texts that come, n of them.
func (s sink) got(t testing.TB, n int) (texts []string) {
	t.Helper()
	buf := make([]byte, 1<<16)
	_ = s.conn.SetReadDeadline(time.Now().Add(patience))
	for range n {
		n, err := s.conn.Read(buf)
		if err != nil {
			t.Fatalf("after %d: %v", len(texts), err)
		}
		texts = append(texts, string(buf[:n]))
	}
	return texts
}

// text is the n-th message for a client, of a length.
func text(n, length int) string { return fmt.Sprintf("%-*d", length, n) }

// Each client gets its messages one by one and in order, whatever their sizes.
func TestRuns(t *testing.T) {
	r, sinks := newSinks(t, ":0", "127.0.0.1:0", "127.0.0.1:0", "[::1]:0")
	if !r.merge {
		t.Fatal("this kernel cannot cut up a run")
	}
	sizes := [][]int{
		{1200, 1200, 1200, 700, 1200, 1200, 1201, 1201},                   // a frame of video, and the next
		{100, 1600, 100, 100, 4, 4, 4, 4},                                 // sound, and a data channel
		{1200, 1200, 1200, 1200, 1200, 1200, 1200, 1200, 1200, 1200, 200}, // over IPv6
	}
	for range 2 { // what is left of a flush is not in the next
		want := make([][]string, len(sinks))
		for n := range 11 {
			for i, s := range sinks {
				if n < len(sizes[i]) {
					message := text(n, sizes[i][n])
					if !r.collect(s.client, []byte(message)) {
						t.Fatal("it is not collected")
					}
					want[i] = append(want[i], message)
				}
			}
		}
		if r.n >= 27 {
			t.Errorf("%d messages for the system, of 27", r.n)
		}
		r.flush()
		for i, s := range sinks {
			if got := s.got(t, len(want[i])); !slices.Equal(got, want[i]) {
				t.Errorf("client %d has %.20q, not %.20q", i, got, want[i])
			}
		}
	}
}

// More than one batch, and more for one client than one datagram holds.
func TestRunsAreBounded(t *testing.T) {
	r, sinks := newSinks(t, "127.0.0.1:0", "127.0.0.1:0")
	_ = sinks[0].conn.SetReadBuffer(1 << 20)
	var want []string
	for n := range 2 * batchSize {
		want = append(want, text(n, headroom+maxPayload))
		r.collect(sinks[0].client, []byte(want[n]))
	}
	r.flush()
	if got := sinks[0].got(t, len(want)); !slices.Equal(got, want) {
		t.Errorf("got %.20q", got)
	}
}

// A run that the system does not take goes out message by message, and an interface
// that cannot cut up is not asked again.
func TestRunRefused(t *testing.T) {
	r, sinks := newSinks(t, "127.0.0.1:0", "127.0.0.1:0")
	want := []string{text(0, 100), text(1, 100), text(2, 50)}
	for _, message := range want {
		r.collect(sinks[0].client, []byte(message))
	}
	r.failed(&r.list[0], syscall.EINVAL)
	if got := sinks[0].got(t, 3); !slices.Equal(got, want) || !r.merge {
		t.Errorf("got %.20q; runs go on: %t", got, r.merge)
	}
	r.failed(&r.list[0], syscall.EIO)
	r.n = 0
	sinks[0].got(t, 3)
	for _, message := range want {
		r.collect(sinks[0].client, []byte(message))
	}
	if r.n != 3 {
		t.Errorf("%d messages for the system, not 3", r.n)
	}
	r.flush()
	if got := sinks[0].got(t, 3); !slices.Equal(got, want) {
		t.Errorf("got %.20q", got)
	}
	if n := r.front.server.Stats().Dropped; n != 0 {
		t.Errorf("%d were dropped", n)
	}
	r.front.conn.Close()
	r.collect(sinks[0].client, []byte("lost"))
	r.collect(sinks[0].client, []byte("lost too"))
	r.flush()
	if n := r.front.server.Stats().Dropped; n != 2 {
		t.Errorf("%d were dropped, not 2", n)
	}
}

// One for another front is not collected.
func TestRunsOfOthers(t *testing.T) {
	r, _ := newSinks(t, "127.0.0.1:0")
	_, others := newSinks(t, "127.0.0.1:0", "127.0.0.1:0")
	if r.collect(others[0].client, []byte("hello")) {
		t.Error("it is collected")
	}
}

// A burst takes no memory either.
func TestNoAllocationPerRun(t *testing.T) {
	r, sinks := newSinks(t, "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0")
	message := channelData(1200)
	buf := make([]byte, maxFrame)
	n := testing.AllocsPerRun(500, func() {
		for range 4 {
			for _, s := range sinks {
				r.collect(s.client, message)
			}
		}
		r.flush()
		for _, s := range sinks {
			for range 4 {
				_ = s.conn.SetReadDeadline(time.Now().Add(patience))
				if n, _, err := s.conn.ReadFromUDPAddrPort(buf); err != nil || n != len(message) {
					t.Fatalf("%d bytes, %v", n, err)
				}
			}
		}
	})
	if n != 0 && !raceEnabled {
		t.Errorf("%v allocations per eight packets", n)
	}
}
