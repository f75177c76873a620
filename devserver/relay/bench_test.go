package relay

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/stun/v4"
)

// channelTo binds channel 0x4001 to peer.
func (c *rawClient) channelTo(peer netip.AddrPort) {
	c.t.Helper()
	number := stun.RawAttribute{Type: stun.AttrChannelNumber, Value: []byte{0x40, 1, 0, 0}}
	if code, _ := c.request(stun.MethodChannelBind, number, to(peer)); code != 0 {
		c.t.Fatalf("ChannelBind: %d", code)
	}
}

// channelData is a ChannelData message on channel 0x4001.
func channelData(size int) []byte {
	frame := make([]byte, headroom+size)
	frame[0], frame[1] = 0x40, 1
	binary.BigEndian.PutUint16(frame[2:], uint16(size))
	return frame
}

// pair connects two clients by a channel in each direction.
func (w *world) pair() (a, b *rawClient) {
	w.t.Helper()
	a, b = w.raw(w.Credentials("a")), w.raw(w.Credentials("b"))
	atA, atB := a.allocate(), b.allocate()
	a.channelTo(atB)
	b.channelTo(atA)
	return a, b
}

// discard is a UDP socket that sends nowhere.
type discard struct{ *wire }

func (discard) WriteTo(p []byte, _ net.Addr) (int, error) { return len(p), nil }

// twoEnds makes two clients that have a channel to each other, without pion.
func twoEnds(t testing.TB, s *Server, sessions [2]string) (f *udpFront, clients [2]*client) {
	t.Helper()
	f = newUDPFront(s, discard{newWire()})
	var sockets [2]*relayed
	for i := range clients {
		addr := at(i)
		clients[i] = &client{front: f.front, addr: addrPort(addr), net: addr, out: f}
		f.remember(clients[i])
		var err error
		if sockets[i], err = s.hub.add(clients[i], sessions[i], false); err != nil {
			t.Fatal(err)
		}
	}
	for i, r := range sockets {
		r.bind(0x4001, sockets[1-i].addr)
	}
	return f, clients
}

// A packet between two channels takes no memory.
func TestNoAllocationPerPacket(t *testing.T) {
	s, err := New(Config{BytesPerSecond: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	f, clients := twoEnds(t, s, [2]string{"a", "a"})
	frame := channelData(1200)
	if n := testing.AllocsPerRun(1000, func() { f.take(clients[0].addr, frame, 1, nil) }); n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
	if n := s.Stats().Packets; n < 1000 {
		t.Errorf("only %d packets were relayed", n)
	}
}

// Of a burst, one second's worth passes: of all that one owner's sessions send.
func TestBytesPerSecond(t *testing.T) {
	for sessions, want := range map[[2]string]uint64{
		{"a", "a"}: 10, {"a.1", "a.2"}: 10, {"a", "a."}: 10, {"a.1", "b.1"}: 20,
	} {
		synctest.Test(t, func(t *testing.T) {
			s, err := New(Config{BytesPerSecond: 12_000})
			if err != nil {
				t.Fatal(err)
			}
			f, clients := twoEnds(t, s, sessions)
			for range 20 {
				for _, c := range clients {
					f.take(c.addr, channelData(1200), 1, nil)
				}
			}
			if got := s.Stats(); got.Packets != want || got.Dropped != 40-want || got.Bytes != 1200*want {
				t.Errorf("%q: %+v", sessions, got)
			}
		})
	}
}

// The same with real sockets. The clients of this test take no memory for a packet
// either.
func TestNoAllocationPerPacketOverUDP(t *testing.T) {
	w := start(t, Config{})
	a, b := w.pair()
	frame, buf := channelData(1200), make([]byte, maxFrame)
	// One at a time, so that none is lost.
	n := testing.AllocsPerRun(2000, func() {
		_, _ = a.conn.Write(frame)
		_ = b.conn.SetReadDeadline(time.Now().Add(patience))
		if n, err := b.conn.Read(buf); err != nil || n != len(frame) {
			t.Fatalf("%d bytes, %v", n, err)
		}
	})
	if n != 0 && !raceEnabled {
		t.Errorf("%v allocations per packet", n)
	}
}

// Eight pairs, 1,200 bytes, each with 8 packets on their way, so that none is lost.
func BenchmarkRelay(b *testing.B) {
	const pairs, window = 8, 8
	w := start(b, Config{})
	var clients [pairs][2]*rawClient
	for i := range clients {
		clients[i][0], clients[i][1] = w.pair()
	}
	b.SetBytes(1200)
	b.ReportAllocs()
	b.ResetTimer()
	var running sync.WaitGroup
	for _, c := range clients {
		running.Go(func() {
			frame, buf := channelData(1200), make([]byte, maxFrame)
			for sent := 0; sent < b.N/pairs; sent += window {
				for range window {
					_, _ = c[0].conn.Write(frame)
				}
				_ = c[1].conn.SetReadDeadline(time.Now().Add(time.Second))
				for range window {
					if _, err := c[1].conn.Read(buf); err != nil {
						break
					}
				}
			}
		})
	}
	running.Wait()
}
