package relay

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/pion/stun/v4"
)

// tellErrors has a socket's reading fail when a packet that it sent comes back (ip(7)).
func tellErrors(t *testing.T, conn *net.UDPConn) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_RECVERR, 1)
	}); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
}

// knock sends a packet that nobody takes.
func knock(t *testing.T, conn *net.UDPConn) {
	t.Helper()
	nobody, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	_, err = conn.WriteTo([]byte("knock"), nobody.LocalAddr())
	if err != nil && !errors.Is(err, syscall.ECONNREFUSED) { // of the one before
		t.Fatal(err)
	}
}

// The system's own errors, before the first datagram and between batches.
func TestBatchesGoOn(t *testing.T) {
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	tellErrors(t, conn)
	served := make(chan error, 1)
	go func() { served <- s.ServePacket(conn) }()
	w := &world{Server: s, t: t, udp: conn.LocalAddr()}
	c := w.raw(Credentials{})
	for range 3 {
		knock(t, conn)
		if code, _ := c.request(stun.MethodBinding); code != 0 {
			t.Errorf("Binding: %d", code)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading ended: %v", err)
	}
}

// The same for a relayed socket on the local network.
func TestRelayedSocketGoesOn(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	w := start(t, Config{LAN: netip.MustParseAddr("10.77.0.1")})
	c := w.raw(w.Credentials("a"))
	r := w.hub.find(c.allocate())
	tellErrors(t, r.socket)
	for range 3 {
		knock(t, r.socket)
	}
	phone, err := net.ListenPacket("udp", "10.77.0.5:0")
	if err != nil {
		t.Fatal(err)
	}
	defer phone.Close()
	c.channelTo(addrPort(phone.LocalAddr()))
	if _, err := phone.WriteTo([]byte("hello"), r.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, maxFrame)
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	if n, err := c.conn.Read(buf); err != nil || string(buf[headroom:n]) != "hello" {
		t.Errorf("%q, %v", buf[:n], err)
	}
}
