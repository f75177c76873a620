package peer

import (
	"net/url"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"
)

// A peer offers 127.0.0.1 only on a machine without any network: Firefox takes a check
// from there for a way, and never gets through on it.
func TestLoopbackIsForMachinesWithoutNetwork(t *testing.T) {
	network, err := newBoundNet(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	connected, err := network.connected()
	if err != nil {
		t.Fatal(err)
	}
	api, err := newAPI(network, Sink, nil, &url.URL{Scheme: "https", Host: "localhost:8443"})
	if err != nil {
		t.Fatal(err)
	}
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	if _, err := pc.CreateDataChannel("any", nil); err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	offer, err := pc.CreateOffer(nil)
	if err == nil {
		err = pc.SetLocalDescription(offer)
	}
	if err != nil {
		t.Fatal(err)
	}
	receive(t, "the end of gathering", gathered)
	if loopback := strings.Contains(pc.LocalDescription().SDP, " 127.0.0.1 "); loopback == connected {
		t.Errorf("connected: %v, and 127.0.0.1 among the candidates: %v\n%s", connected, loopback, pc.LocalDescription().SDP)
	}
}
