package peer

import (
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
)

// What hastens pion is taken as a candidate every time, and nobody connects to it.
func TestNothingIsNoCandidate(t *testing.T) {
	address := &url.URL{Scheme: "wss", Host: "localhost"}
	connection := func() *webrtc.PeerConnection {
		network, err := newBoundNet(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		api, err := newAPI(network, Sink, nil, address)
		if err != nil {
			t.Fatal(err)
		}
		pc, err := api.NewPeerConnection(webrtc.Configuration{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = pc.GracefulClose() })
		return pc
	}
	other, pc := connection(), connection()
	if _, err := other.CreateDataChannel("any", nil); err != nil {
		t.Fatal(err)
	}
	offer, err := other.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := pc.SetRemoteDescription(offer); err != nil {
		t.Fatal(err)
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(answer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	port := listener.Addr().(*net.TCPAddr).Port
	for n := range 3 {
		if err := pc.AddICECandidate(nothing(port - 1 + n)); err != nil {
			t.Errorf("pion does not take it: %v", err)
		}
	}
	taken := func() (n int) {
		for _, s := range pc.GetStats() {
			if c, ok := s.(webrtc.ICECandidateStats); ok && c.Type == webrtc.StatsTypeRemoteCandidate && c.Protocol == "tcp" {
				n++
			}
		}
		return n
	}
	eventually(t, "all of them", func() bool { return taken() == 3 })
	if err := listener.(*net.TCPListener).SetDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if conn, err := listener.Accept(); err == nil {
		conn.Close()
		t.Error("pion connects to the candidate")
	}
}
