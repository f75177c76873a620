package devserver

import (
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/pion/stun/v4"
)

// answers tells whether STUN is answered over UDP at that address, from that address: a
// connected socket hears nobody else.
func answers(t *testing.T, address netip.AddrPort) bool {
	t.Helper()
	conn, err := net.Dial("udp", address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	request := stun.MustBuild(stun.TransactionID, stun.BindingRequest)
	for range 5 { // UDP may lose it
		if _, err := conn.Write(request.Raw); err != nil {
			return false
		}
		conn.SetReadDeadline(time.Now().Add(time.Second))
		answer := make([]byte, 1500)
		n, err := conn.Read(answer)
		if err == nil {
			m := &stun.Message{Raw: answer[:n]}
			return m.Decode() == nil && m.TransactionID == request.TransactionID
		}
	}
	return false
}

// On all interfaces, each address answers for itself.
func TestSTUNOnEachAddress(t *testing.T) {
	r := run(t, func(c *Config) { c.Host = AllInterfaces })
	for _, a := range addressesOf(nil) {
		if a.IsLinkLocalUnicast() {
			continue // needs a zone
		}
		if !answers(t, netip.AddrPortFrom(a, uint16(r.ready.Port))) {
			t.Errorf("%s does not answer", a)
		}
	}
}

// Sockets come and go with the addresses.
func TestSocketsFollow(t *testing.T) {
	if runtime.GOOS == "darwin" {
		t.Skip("macOS has 127.0.0.1 only")
	}
	listeners, _, err := listen(AllInterfaces, 0, false)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(listeners)
	here, _, err := openRelay(&Config{Host: AllInterfaces}, listeners, func(Event) {})
	if err != nil {
		t.Fatal(err)
	}
	now := map[netip.Addr]bool{}
	here.list = func() map[netip.Addr]bool { return now }
	port := here.own[0].Port()
	for _, last := range []byte{2, 3} {
		a := netip.AddrFrom4([4]byte{127, 0, 0, last})
		now = map[netip.Addr]bool{a: true}
		here.look()
		if len(here.sockets) != 1 || !answers(t, netip.AddrPortFrom(a, port)) {
			t.Errorf("%s does not answer", a)
		}
	}
	if err := here.close(); err != nil {
		t.Error(err)
	}
	here.look() // opens nothing
}

// Where another program has the UDP port, it is said, and everything else goes on.
func TestUDPPortTaken(t *testing.T) {
	other, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	r := run(t, func(c *Config) {
		c.Host = "127.0.0.1"
		c.Port = other.LocalAddr().(*net.UDPAddr).Port
		c.StrictPort = true
	})
	if e := nextEvent[TCPOnly](r); e.Address != "127.0.0.1:"+strconv.Itoa(r.ready.Port) {
		t.Errorf("%+v", e)
	}
	r.read("/_rtcdev/ice")
}
