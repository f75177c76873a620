package peer

import (
	"net/url"
	"testing"

	"github.com/pion/webrtc/v4"
)

// ICE never uses a port of the servers.
func TestPortRange(t *testing.T) {
	for _, c := range []struct {
		taken     []uint16
		low, high uint16
	}{
		{nil, 49152, 65535},
		{[]uint16{8443, 3478}, 49152, 65535},
		{[]uint16{49152}, 49153, 65535},
		{[]uint16{65535}, 49152, 65534},
		{[]uint16{50000}, 50001, 65535},
		{[]uint16{60000, 50000}, 50001, 59999},
	} {
		if low, high := portRange(c.taken); low != c.low || high != c.high {
			t.Errorf("without %v: %d to %d", c.taken, low, high)
		}
	}
	signal := &url.URL{Scheme: "wss", Host: "localhost:50001"}
	servers := []webrtc.ICEServer{{URLs: []string{"stun:192.168.1.2:50002", "turns:mac.local:50003?transport=tcp", "turn:[fd00::1]:50004", "turn:mac.local"}}}
	if got := takenPorts(servers, signal); len(got) != 4 || got[0] != 50001 || got[1] != 50002 || got[2] != 50003 || got[3] != 50004 {
		t.Errorf("%v", got)
	}
}

func TestSequenceCountsLoss(t *testing.T) {
	for _, c := range []struct {
		name    string
		numbers []uint16
		lost    int64
	}{
		{"none", []uint16{7, 8, 9}, 0},
		{"one", []uint16{7, 9}, 1},
		{"out of order", []uint16{7, 9, 8}, 0},
		{"before the first", []uint16{9, 8, 7}, 0},
		{"over the end", []uint16{65534, 65535, 1}, 1},
	} {
		var s sequence
		var lost int64
		for _, n := range c.numbers {
			lost += s.add(n)
		}
		if lost != c.lost {
			t.Errorf("%s: %d, not %d", c.name, lost, c.lost)
		}
	}
}
