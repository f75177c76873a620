package relay

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/stun/v4"
)

// peerNumber is the n-th peer of a test.
func peerNumber(n int) netip.AddrPort {
	return netip.AddrPortFrom(closedWorldAddr(uint32(n), false), relayedPort)
}

// channelNumber is the attribute for the n-th channel.
func channelNumber(n int) stun.Setter {
	return stun.RawAttribute{Type: stun.AttrChannelNumber, Value: binary.BigEndian.AppendUint32(nil, uint32(0x4000+n)<<16)}
}

// An allocation has 256 permissions; those that it keeps are always granted again, and
// those that have expired make room.
func TestPermissionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, w, end := wired(t, Config{Lifetime: 10 * time.Hour})
		defer end()
		w.allocate(t, s, 0, "a")
		w.allocate(t, s, 1, "b")
		permit := func(n, peer int, more ...stun.Setter) stun.ErrorCode {
			t.Helper()
			return w.ask(t, s, at(n), []string{"a", "b"}[n], stun.MethodCreatePermission, append(more, to(peerNumber(peer)))...)
		}
		full := func(code stun.ErrorCode, what string) {
			t.Helper()
			if code != stun.CodeInsufficientCapacity {
				t.Errorf("%s: %d", what, code)
			}
		}
		for peer := range maxPeers - 1 {
			if code := permit(0, peer); code != 0 {
				t.Fatalf("permission %d: %d", peer, code)
			}
		}
		full(permit(0, 1000, to(peerNumber(1001))), "two where there is room for one")
		if code := permit(0, maxPeers-1, to(peerNumber(maxPeers-1)), to(peerNumber(0))); code != 0 {
			t.Errorf("the last one, twice, with an old one: %d", code)
		}
		full(permit(0, 1000), "one more permission")
		full(w.ask(t, s, at(0), "a", stun.MethodChannelBind, channelNumber(1), to(peerNumber(1000))), "one more by a channel")
		if n := s.Stats().Refused; n != 3 {
			t.Errorf("%d refusals are counted, not 3", n)
		}
		if code := permit(1, 1000); code != 0 {
			t.Errorf("another allocation: %d", code)
		}
		for range 60 { // a long call
			<-time.After(4 * time.Minute)
			for peer := range 3 {
				if code := permit(0, peer); code != 0 {
					t.Fatalf("a permission of a long call: %d", code)
				}
			}
		}
		for peer := range maxPeers - 3 {
			if code := permit(0, 2000+peer); code != 0 {
				t.Fatalf("permission %d after others have expired: %d", peer, code)
			}
		}
		full(permit(0, 1000), "one more permission after others have expired")
	})
}

// Channels to the ports of one address need one permission, but have a bound, too.
func TestChannelsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, w, end := wired(t, Config{Lifetime: time.Hour})
		defer end()
		w.allocate(t, s, 0, "a")
		bind := func(n int) stun.ErrorCode {
			peer := netip.AddrPortFrom(peerNumber(0).Addr(), uint16(20000+n))
			return w.ask(t, s, at(0), "a", stun.MethodChannelBind, channelNumber(n), to(peer))
		}
		for n := range maxPeers {
			if code := bind(n); code != 0 {
				t.Fatalf("channel %d: %d", n, code)
			}
		}
		if code := bind(maxPeers); code != stun.CodeInsufficientCapacity {
			t.Errorf("one more channel: %d", code)
		}
		<-time.After(9 * time.Minute)
		if code := bind(0); code != 0 {
			t.Errorf("a channel again: %d", code)
		}
		<-time.After(2 * time.Minute) // pion has ended the others
		synctest.Wait()
		if code := bind(maxPeers); code != 0 {
			t.Errorf("after others have ended: %d", code)
		}
	})
}

// Only what the hub can give a client is of the closed world.
func TestClosedWorldIsExact(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for _, n := range []uint32{0, 1, 255, 65535, closedWorldSize - 1} {
			if a := closedWorldAddr(n, v6); !closedWorld(a) {
				t.Errorf("%s is refused", a)
			}
		}
		for _, n := range []uint32{^uint32(0), closedWorldSize, closedWorldSize + 1} {
			if a := closedWorldAddr(n, v6); closedWorld(a) {
				t.Errorf("%s is not refused", a)
			}
		}
	}
	if a := closedWorldAddr(1, true).WithZone("eth0"); closedWorld(a) || closedWorld(netip.Addr{}) {
		t.Error("a zone, or no address, is not refused")
	}
}
