package relay

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v4"
)

func TestLANPeer(t *testing.T) {
	for _, a := range []string{"10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.1.2", "169.254.1.1", "fd00::1", "fc00::1"} {
		if !lanPeer(netip.MustParseAddr(a)) {
			t.Errorf("%s is refused", a)
		}
	}
	for _, a := range []string{
		"127.0.0.1", "::1", "::ffff:127.0.0.1", "::ffff:192.168.1.2", "169.254.169.254", "169.254.170.2", "fd00:ec2::254",
		"0.0.0.0", "::", "224.0.0.251", "239.255.255.250", "ff02::fb", "255.255.255.255", "172.32.0.1", "192.169.0.1", "11.0.0.0",
		"8.8.8.8", "2606:4700::1111", "100.64.0.1", "198.18.0.1", "fe80::1", "64:ff9b::a00:1", "2002:a00:1::",
	} {
		if lanPeer(netip.MustParseAddr(a)) {
			t.Errorf("%s is not refused", a)
		}
	}
	if lanPeer(netip.Addr{}) || lanPeer(netip.MustParseAddr("fd00::1%eth0")) {
		t.Error("no address, or one with a zone, is not refused")
	}
}

func TestBroadcast(t *testing.T) {
	for network, want := range map[string]string{
		"192.168.1.7/24": "192.168.1.255", "10.1.2.3/8": "10.255.255.255", "172.16.5.9/20": "172.16.15.255", "10.0.0.0/30": "10.0.0.3",
	} {
		if got := broadcast(netip.MustParsePrefix(network)); got.String() != want {
			t.Errorf("%s: %s, not %s", network, got, want)
		}
	}
	for _, network := range []string{"10.0.0.1/31", "10.0.0.1/32", "fd00::1/64"} {
		if got := broadcast(netip.MustParsePrefix(network)); got.IsValid() {
			t.Errorf("%s: %s", network, got)
		}
	}
}

func TestLANConfig(t *testing.T) {
	for _, a := range []string{"127.0.0.1", "8.8.8.8", "0.0.0.0", "::1"} {
		if _, err := New(Config{LAN: netip.MustParseAddr(a)}); err == nil || !strings.Contains(err.Error(), a) {
			t.Errorf("%s: %v", a, err)
		}
	}
}

// inNamespace runs the calling test in a network of its own, in which 10.77.0.1 is this
// machine, and the rest of 10.77.0.0/24 can be anybody. It returns true there.
func inNamespace(t *testing.T) bool {
	t.Helper()
	const mark = "RTCDEV_RELAY_NAMESPACE"
	if os.Getenv(mark) != "" {
		for _, command := range []string{"ip link set lo up", "ip addr add 10.77.0.1/24 dev lo", "ip addr add 10.78.0.1/32 dev lo"} {
			args := strings.Fields(command)
			if said, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v: %s", command, err, said)
			}
		}
		return true
	}
	flags := "-n"
	if os.Geteuid() != 0 {
		flags = "-rn"
	}
	if err := exec.Command("unshare", flags, "ip", "link").Run(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no network namespace: %v (apt-get install util-linux iproute2)", err)
		}
		t.Skipf("no network namespace: %v (apt-get install util-linux iproute2)", err)
	}
	child := exec.Command("unshare", flags, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	child.Env = append(os.Environ(), mark+"=1")
	said, err := child.CombinedOutput()
	if err != nil || !strings.Contains(string(said), "--- PASS: "+t.Name()) {
		t.Errorf("in the namespace: %v\n%s", err, said)
	}
	return false
}

func TestLAN(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	w := start(t, Config{LAN: netip.MustParseAddr("10.77.0.1")})
	phone, err := net.ListenPacket("udp", "10.77.0.5:0")
	if err != nil {
		t.Fatal(err)
	}
	defer phone.Close()
	service, err := net.ListenPacket("udp", "10.77.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	c := w.raw(w.Credentials("a"))
	own := c.allocate()
	if own.Addr() != w.cfg.LAN {
		t.Fatalf("the relayed address is %s", own)
	}
	peer := addrPort(phone.LocalAddr())

	// A permitted peer, both ways, by Send indication and by channel.
	if code, _ := c.request(stun.MethodCreatePermission, to(peer)); code != 0 {
		t.Fatalf("CreatePermission: %d", code)
	}
	buf := make([]byte, maxFrame)
	c.indicate(peer, "hello")
	_ = phone.SetReadDeadline(time.Now().Add(patience))
	if n, from, err := phone.ReadFrom(buf); err != nil || string(buf[:n]) != "hello" || addrPort(from) != own {
		t.Fatalf("%q from %v, %v", buf[:n], from, err)
	}
	c.channelTo(peer)
	if _, err := phone.WriteTo([]byte("hello yourself"), net.UDPAddrFromAddrPort(own)); err != nil {
		t.Fatal(err)
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	if n, err := c.conn.Read(buf); err != nil || string(buf[headroom:n]) != "hello yourself" || !isChannelData(buf[:n]) {
		t.Fatalf("%q, %v", buf[:n], err)
	}

	// Two clients of the relay.
	other := w.raw(w.Credentials("b"))
	atOther := other.allocate()
	c.request(stun.MethodCreatePermission, to(atOther))
	other.request(stun.MethodCreatePermission, to(own))
	c.indicate(atOther, "inside")
	_ = other.conn.SetReadDeadline(time.Now().Add(patience))
	if n, err := other.conn.Read(buf); err != nil || !strings.Contains(string(buf[:n]), "inside") {
		t.Fatalf("%q, %v", buf[:n], err)
	}

	// What is not to be reached: this machine, but for relayed sockets, and what is no
	// private address.
	c.indicate(addrPort(service.LocalAddr()), "knock")
	w.waitRefusal(func(r Refusal) bool { return r.Peer == addrPort(service.LocalAddr()) })
	for _, peer := range append(forbidden(t, 9)[:11], netip.MustParseAddrPort("10.78.0.1:9"), netip.MustParseAddrPort("10.77.0.255:9")) {
		if code, _ := c.request(stun.MethodCreatePermission, to(peer)); code != stun.CodeForbidden {
			t.Errorf("CreatePermission for %s: %d", peer, code)
		}
		w.waitRefusal(func(r Refusal) bool { return r.Peer == peer })
	}
	_ = service.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, _, err := service.ReadFrom(buf); err == nil {
		t.Errorf("this machine's service got %d bytes", n)
	}
}
