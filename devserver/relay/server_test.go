package relay

import (
	"fmt"
	"testing"
	"time"
)

// pion's client first sends by Send indication, and binds a channel in the
// background, so that sending again goes by ChannelData.
func TestExchange(t *testing.T) {
	w := start(t, Config{})
	for _, from := range []string{"udp", "tcp", "tls"} {
		for _, to := range []string{"udp", "tcp", "tls"} {
			t.Run(from+" to "+to, func(t *testing.T) {
				a, b := w.allocated(from, "a"), w.allocated(to, "b")
				a.permit(b)
				b.permit(a)
				for _, r := range []*peer{a, b} {
					if got := addrPort(r.addr()); !closedWorld(got.Addr()) {
						t.Errorf("the relayed address is %s", got)
					}
				}
				if got := a.sendTo(b, "hello"); got.String() != a.addr().String() {
					t.Errorf("it comes from %s, not from %s", got, a.addr())
				}
				b.sendTo(a, "hello yourself")
				w.waitChannels(2, a, b)
				for i := range 20 {
					a.sendTo(b, fmt.Sprintf("ping %d", i))
					b.sendTo(a, fmt.Sprintf("pong %d", i))
				}
			})
		}
	}
	if s := w.Stats(); s.Packets < 9*42 || s.Refused != 0 {
		t.Errorf("stats are %+v", s)
	}
}

// waitChannels waits until n of the peers have a channel.
func (w *world) waitChannels(n int, peers ...*peer) {
	w.t.Helper()
	for late := time.Now().Add(patience); ; {
		have := 0
		for _, p := range peers {
			if r := w.hub.find(addrPort(p.addr())); r != nil {
				if c := r.channels.Load(); c != nil && len(c.peers) > 0 {
					have++
				}
			}
		}
		if have >= n {
			return
		}
		if time.Now().After(late) {
			w.t.Fatalf("%d of %d peers have a channel", have, n)
		}
		<-time.After(time.Millisecond)
	}
}

func TestSTUN(t *testing.T) {
	w := start(t, Config{})
	for _, transport := range []string{"udp", "tcp", "tls"} {
		p := w.client(transport, Credentials{})
		got, err := p.SendBindingRequest()
		if err != nil {
			t.Fatalf("%s: %v", transport, err)
		}
		want := addrPort(p.control.LocalAddr())
		if addrPort(got) != want {
			t.Errorf("%s: the server sees %s, not %s", transport, got, want)
		}
	}
}

func TestConnectionEndsAllocation(t *testing.T) {
	w := start(t, Config{})
	for _, transport := range []string{"tcp", "tls"} {
		p := w.allocated(transport, "a")
		if n := w.Stats().Allocations; n != 1 {
			t.Fatalf("%d allocations", n)
		}
		_ = p.control.Close()
		w.waitAllocations(0)
	}
}

// waitAllocations waits until there are n.
func (w *world) waitAllocations(n int) {
	w.t.Helper()
	for late := time.Now().Add(patience); w.Stats().Allocations != n; <-time.After(time.Millisecond) {
		if time.Now().After(late) {
			w.t.Fatalf("there are %d allocations, not %d", w.Stats().Allocations, n)
		}
	}
}
