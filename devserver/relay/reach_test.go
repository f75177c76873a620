package relay

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v4"
)

// forbidden are addresses that no page may reach, on a port that listens.
func forbidden(t *testing.T, port uint16) []netip.AddrPort {
	t.Helper()
	all := []string{
		"127.0.0.1", "::1", "::ffff:127.0.0.1", "127.1.2.3", "169.254.169.254", "0.0.0.0", "::", "224.0.0.251", "ff02::fb",
		"239.255.255.250", "255.255.255.255", "10.0.0.1", "192.168.1.1", "fd00::1", "fe80::1", "8.8.8.8",
		"2606:4700::1111", "198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0", "2001:2::", "2001:2::1:0:1", "2001:2::1:ffff", "2001:2::2:0", "::ffff:198.18.0.5", "64:ff9b::7f00:1", "2002:7f00:1::",
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range own {
		if a := a.(*net.IPNet).IP.String(); !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	var list []netip.AddrPort
	for _, a := range all {
		list = append(list, netip.AddrPortFrom(netip.MustParseAddr(a), port))
	}
	return list
}

// With valid credentials a client tries to reach what it must not, in every way that
// TURN has.
func TestReach(t *testing.T) {
	w := start(t, Config{})
	witness, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer witness.Close()
	c := w.raw(w.Credentials("thief"))
	c.allocate()
	for _, peer := range forbidden(t, addrPort(witness.LocalAddr()).Port()) {
		before := w.Stats().Refused
		if code, _ := c.request(stun.MethodCreatePermission, to(peer)); code != stun.CodeForbidden {
			t.Errorf("CreatePermission for %s: %d", peer, code)
		}
		channel := stun.RawAttribute{Type: stun.AttrChannelNumber, Value: []byte{0x40, 1, 0, 0}}
		if code, _ := c.request(stun.MethodChannelBind, to(peer), channel); code != stun.CodeForbidden {
			t.Errorf("ChannelBind for %s: %d", peer, code)
		}
		if code, _ := c.request(stun.MethodConnect, to(peer)); code != stun.CodeForbidden {
			t.Errorf("Connect to %s: %d", peer, code)
		}
		c.indicate(peer, "knock")
		_, _ = c.conn.Write([]byte("\x40\x01\x00\x05knock\x00\x00\x00"))
		if code, _ := c.request(stun.MethodBinding); code != 0 { // what came before is done
			t.Fatalf("Binding: %d", code)
		}
		// Or more, if an answer is late and c asks again.
		if n := w.Stats().Refused - before; n < 4 {
			t.Errorf("%s: %d are counted, not 4", peer, n)
		}
		own := Refusal{Session: "thief", Client: addrPort(c.conn.LocalAddr()), Transport: "udp", Peer: peer}
		foreign, tcp := own, own
		foreign.Reason, tcp.Reason = ForeignAddress, TCPRelaying
		if n, m := w.reported(foreign), w.reported(tcp); n < 3 || m < 1 {
			t.Errorf("%s: %d and %d are reported, not 3 and 1", peer, n, m)
		}
	}
	t.Logf("%d addresses: %d refusals, nothing else", len(forbidden(t, 1)), w.Stats().Refused)
	_ = witness.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, _, err := witness.ReadFrom(make([]byte, 10)); err == nil {
		t.Errorf("the witness got %d bytes", n)
	}
}

// reported is how often something was refused.
func (w *world) reported(wanted Refusal) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.refusals {
		if r == wanted {
			n++
		}
	}
	return n
}

// Even the last door, where only an address is asked for, is shut: nothing in the
// closed world has a socket.
func TestReachBehindPion(t *testing.T) {
	w := start(t, Config{})
	r := w.hub.find(w.raw(w.Credentials("a")).allocate())
	for _, peer := range forbidden(t, 9) {
		before := w.Stats().Dropped
		_, _ = r.WriteTo([]byte("knock"), net.UDPAddrFromAddrPort(peer))
		if w.Stats().Dropped != before+1 || r.socket != nil {
			t.Errorf("a packet to %s was not dropped", peer)
		}
	}
}

func TestTCPRelayingRefused(t *testing.T) {
	w := start(t, Config{})
	c := w.raw(w.Credentials("a"))
	if code, _ := c.request(stun.MethodAllocate, requestedTransport(protocolTCP)); code != stun.CodeUnsupportedTransProto {
		t.Errorf("Allocate of TCP: %d", code)
	}
	other := w.raw(w.Credentials("b")).allocate()
	c.allocate()
	if code, _ := c.request(stun.MethodConnect, to(other)); code != stun.CodeForbidden {
		t.Errorf("Connect to another relayed address: %d", code)
	}
	id := stun.RawAttribute{Type: stun.AttrConnectionID, Value: []byte{0, 0, 0, 1}}
	if code, _ := c.request(stun.MethodConnectionBind, id); code != stun.CodeForbidden {
		t.Errorf("ConnectionBind: %d", code)
	}
	if code, _ := c.request(stun.MethodAllocate, requestedTransport(17), stun.RawAttribute{Type: stun.AttrEvenPort, Value: []byte{0x80}}); code != stun.CodeInsufficientCapacity {
		t.Errorf("EVEN-PORT: %d", code)
	}
	r := w.waitRefusal(func(r Refusal) bool { return r.Reason == TCPRelaying && r.Peer == other })
	if !strings.Contains(r.String(), "RFC 6062") {
		t.Errorf("it says %q", r)
	}
	w.waitRefusal(func(r Refusal) bool { return r.Reason == Unsupported })
}

// A peer without permission is not heard, even inside the closed world.
func TestPermission(t *testing.T) {
	w := start(t, Config{})
	a, b := w.raw(w.Credentials("a")), w.raw(w.Credentials("b"))
	atA, atB := a.allocate(), b.allocate()
	if code, _ := a.request(stun.MethodCreatePermission, to(atB)); code != 0 {
		t.Fatalf("CreatePermission: %d", code)
	}
	a.indicate(atB, "unwanted") // b has permitted nobody
	b.indicate(atA, "no permission either")
	if code, _ := a.request(stun.MethodBinding); code != 0 {
		t.Fatal(code)
	}
	buf := make([]byte, 100)
	for _, c := range []*rawClient{a, b} {
		_ = c.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if n, err := c.conn.Read(buf); err == nil {
			t.Errorf("%d bytes arrived", n)
		}
	}
}
