//go:build unix

package main

import (
	"fmt"
	"strings"
	"testing"

	"rtcdev/devserver/peer"
)

// sendColour has the page send a picture of one colour, in place of its camera's.
const sendColour = `(async (colour) => {
	window.colour = colour;
	if (window.painting) return true;
	const canvas = document.createElement("canvas");
	const drawing = canvas.getContext("2d");
	window.painting = setInterval(() => { drawing.fillStyle = window.colour; drawing.fillRect(0, 0, canvas.width, canvas.height); }, 30);
	const [track] = canvas.captureStream(30).getVideoTracks();
	const pc = testPCs.find((pc) => pc.connectionState === "connected");
	await pc.getSenders().find((sender) => sender.track?.kind === "video").replaceTrack(track);
	return true;
})`

// seenColour is the one in the middle of the remote picture.
const seenColour = `(() => {
	const video = document.querySelector("#remoteVideo");
	const drawing = new OffscreenCanvas(1, 1).getContext("2d");
	drawing.drawImage(video, video.videoWidth / 2, video.videoHeight / 2, 1, 1, 0, 0, 1, 1);
	return drawing.getImageData(0, 0, 1, 1).data.slice(0, 3).map((c) => c > 127 ? 1 : 0).join("");
})()`

// An echo is the page's own picture, and a sink sends nothing.
func TestPeerModes(t *testing.T) {
	a := newAccount(t)
	a.trust()
	s := a.serve(a.emptyFolder("empty"), "--port", "0")
	v := a.withChromium()
	begin := func(t *testing.T, mode string) *testPeer {
		v.t = t
		v.open(s.ready.Room)
		v.get("allow()")
		v.wait(`document.body.dataset.state === "waiting"`)
		return a.peer(s.ready.Room, "--mode", mode)
	}
	t.Run("echo", func(t *testing.T) {
		p := begin(t, "echo")
		v.wantMoving()
		for colour, seen := range map[string]string{"#f0f": "101", "#0f0": "010", "#00f": "001"} {
			v.get(sendColour + `("` + colour + `")`)
			v.wait(seenColour + ` === "` + seen + `"`)
		}
		v.wantEcho()
		p.until("an echo", func(s peer.Stats) bool { return s.Flowed && s.FramesSent > 0 && s.Mode == "echo" })
		if code := p.interrupt(); code != 0 {
			t.Errorf("it ended with %d: %s", code, &p.err)
		}
		v.open("about:blank")
	})
	t.Run("sink", func(t *testing.T) {
		p := begin(t, "sink")
		p.until("a picture", func(s peer.Stats) bool { return s.Flowed && s.FramesReceived > 30 })
		v.wantEcho()
		if got := v.received(); got.Packets != 0 {
			t.Errorf("the page got %d packets", got.Packets)
		}
		if got := p.stats(); got[len(got)-1].PacketsSent != 0 {
			t.Errorf("the peer says %+v", got[len(got)-1])
		}
		if code := p.interrupt(); code != 0 {
			t.Errorf("it ended with %d: %s", code, &p.err)
		}
		v.open("about:blank")
	})
	t.Run("a call without media", func(t *testing.T) { // is none, by the exit code
		v.t = t
		first := a.peer(s.ready.URL+"?room=sinks", "--mode", "sink")
		first.until("the room", func(s peer.Stats) bool { return s.Peer != "" })
		second := a.peer(s.ready.URL+"?room=sinks", "--mode", "sink", "--duration", "3s")
		if code := second.wait(); code != 1 || !strings.Contains(second.err.String(), "nothing came from the other side") {
			t.Errorf("it ended with %d: %s", code, &second.err)
		}
		first.interrupt()
	})
}

// Peers that may use nothing but the server's relay have media through it.
func TestPeerThroughTheRelay(t *testing.T) {
	a := newAccount(t)
	s := a.serve(a.emptyFolder("empty"), "--port", "0")
	p := a.peer(s.ready.URL+"?room=relayed", "--relay-only", "--count", "2")
	got := p.until("media both ways", func(s peer.Stats) bool { return s.Flowed && s.FramesReceived > 50 })
	if len(got.Pairs) != 1 || !strings.HasPrefix(got.Pairs[0].Local, "relay udp ") || !strings.HasPrefix(got.Pairs[0].Remote, "relay udp ") {
		t.Errorf("not through the relay: %+v", got.Pairs)
	}
	if code := p.interrupt(); code != 0 {
		t.Errorf("they ended with %d: %s", code, &p.err)
	}
}

// A bad network is met by peers, too: they use the relay without being told to.
func TestPeersMeetABadNetwork(t *testing.T) {
	a := newAccount(t)
	s := a.serve(a.emptyFolder("empty"), "--port", "0", "--impair", "delay=100ms")
	p := a.peer(s.ready.URL+"?room=slow", "--count", "2")
	got := p.until("media both ways", func(s peer.Stats) bool { return s.Flowed && len(s.Pairs) == 1 && s.Pairs[0].RTT > 0 })
	if pair := got.Pairs[0]; !strings.HasPrefix(pair.Local, "relay udp ") || !strings.HasPrefix(pair.Remote, "relay udp ") || pair.RTT < 200 {
		t.Errorf("past the bad network: %+v", pair)
	}
	if code := p.interrupt(); code != 0 {
		t.Errorf("they ended with %d: %s", code, &p.err)
	}
}

// A room's name is enough when the port is known, from the command line or elsewhere.
func TestPeerAtAnotherPort(t *testing.T) {
	a := newAccount(t)
	s := a.serve(a.emptyFolder("empty"), "--port", "0")
	peers := []*testPeer{a.peer("here", "--port", port(s.ready.Port), "--mode", "sink")}
	a.settings = append(a.settings, "RTCDEV_PORT="+port(s.ready.Port))
	peers = append(peers, a.peer("here", "--mode", "sink"))
	for _, p := range peers {
		p.until("the other one", func(s peer.Stats) bool { return s.Met == 1 && s.Room == "here" })
		if at := "at localhost:" + port(s.ready.Port) + ";"; !strings.Contains(p.err.String(), at) {
			t.Errorf("it does not say %q: %s", at, &p.err)
		}
	}
}

// A page that uses nothing but the relay has a call with a peer that may use anything.
func TestPageThroughTheRelay(t *testing.T) {
	a := newAccount(t)
	a.trust()
	s := a.serve(a.emptyFolder("empty"), "--port", "0")
	page := a.open(s.ready.Room + "&rtcdev-relay")
	p := a.peer(s.ready.Room)
	page.wantVideo()
	if got := eval[string](page, selectedPair); !strings.HasPrefix(got, "relay ") || !strings.HasSuffix(got, " relay relay") {
		t.Errorf("the call goes by %s", got)
	}
	if code := p.interrupt(); code != 0 {
		t.Errorf("it ended with %d: %s", code, &p.err)
	}
}

// The server ends and starts again on its port; the peers come back to it, and their
// call goes on.
func TestPeerOutlivesTheServer(t *testing.T) {
	a := newAccount(t)
	dir := a.emptyFolder("empty")
	s := a.serve(dir, "--port", "0")
	p := a.peer(fmt.Sprintf("https://localhost:%d/?room=again", s.ready.Port), "--count", "2")
	before := p.until("media both ways", func(s peer.Stats) bool { return s.Flowed })
	for _, end := range []func(){func() { s.interrupt() }, func() { s.kill() }} {
		end()
		s = a.serve(dir, "--port", port(s.ready.Port), "--strict-port")
		s.event("peer-joined")
		s.event("peer-joined")
		before = p.until("media with the new server", func(s peer.Stats) bool {
			return s.FramesReceived > before.FramesReceived+100 && s.Connections == 1 && len(s.Pairs) == 1
		})
	}
	if code := p.interrupt(); code != 0 {
		t.Errorf("they ended with %d: %s", code, &p.err)
	}
}
