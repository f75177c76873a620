package peer

import (
	"crypto/tls"
	"encoding/json"
	"math"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/pion/rtcp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"

	"rtcdev/devserver/signaling"
)

// A guest is another program in the room: pion as its makers set it up, and none of our
// code between it and the peer. It came first and answers.
type guest struct {
	t        *testing.T
	conn     *websocket.Conn
	pc       *webrtc.PeerConnection
	channel  *webrtc.DataChannel
	keys     chan time.Time // when the first packet of a key frame came
	frames   chan time.Time // when the last packet of any frame came
	messages chan webrtc.DataChannelMessage
	video    chan *webrtc.TrackRemote
	over     chan struct{}
}

func (s *server) guest(t *testing.T, room string) *guest {
	t.Helper()
	g := &guest{t: t, keys: make(chan time.Time, 100), frames: make(chan time.Time, 10_000), video: make(chan *webrtc.TrackRemote, 1),
		messages: make(chan webrtc.DataChannelMessage, 100), over: make(chan struct{})}
	dialer := websocket.Dialer{TLSClientConfig: &tls.Config{RootCAs: s.pool}}
	address := strings.Replace(s.web.URL, "https", "wss", 1) + signalPath + "?" + url.Values{"room": {room}}.Encode()
	var err error
	if g.conn, _, err = dialer.Dial(address, nil); err != nil {
		t.Fatal(err)
	}
	if g.pc, err = webrtc.NewPeerConnection(webrtc.Configuration{}); err != nil {
		t.Fatal(err)
	}
	negotiated, id := true, uint16(0)
	if g.channel, err = g.pc.CreateDataChannel("chat", &webrtc.DataChannelInit{Negotiated: &negotiated, ID: &id}); err != nil {
		t.Fatal(err)
	}
	g.channel.OnMessage(func(m webrtc.DataChannelMessage) { g.messages <- m })
	g.pc.OnTrack(g.watch)
	go g.listen()
	t.Cleanup(func() {
		g.conn.Close()
		<-g.over
		if err := g.pc.GracefulClose(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return g
}

func (g *guest) listen() {
	defer close(g.over)
	for {
		var m message
		if g.conn.ReadJSON(&m) != nil {
			return
		}
		var s signal
		if m.Type != "signal" || json.Unmarshal(m.Data, &s) != nil {
			continue
		}
		if s.Candidate != nil {
			if err := g.pc.AddICECandidate(*s.Candidate); err != nil {
				g.t.Errorf("candidate: %v", err)
			}
			continue
		}
		if err := g.answer(m.From, *s.Description); err != nil {
			g.t.Errorf("answering: %v", err)
		}
	}
}

func (g *guest) answer(to string, offer webrtc.SessionDescription) error {
	if err := g.pc.SetRemoteDescription(offer); err != nil {
		return err
	}
	answer, err := g.pc.CreateAnswer(nil)
	if err != nil {
		return err
	}
	gathered := webrtc.GatheringCompletePromise(g.pc)
	if err := g.pc.SetLocalDescription(answer); err != nil {
		return err
	}
	<-gathered
	return g.conn.WriteJSON(map[string]any{"type": "signal", "to": to, "data": signal{Description: g.pc.LocalDescription()}})
}

// watch looks at the packets of the video.
func (g *guest) watch(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
	if track.Kind() == webrtc.RTPCodecTypeVideo {
		g.video <- track
	}
	for {
		packet, _, err := track.ReadRTP()
		if err != nil || track.Kind() != webrtc.RTPCodecTypeVideo {
			return
		}
		var p codecs.VP8Packet
		payload, err := p.Unmarshal(packet.Payload)
		if err != nil {
			g.t.Errorf("a VP8 packet: %v", err)
			return
		}
		if p.I != 0 {
			g.t.Error("a picture id: pion leaves it out when it is 0, and browsers lose the picture then")
			return
		}
		// RFC 6386 §9.1: bit 0 of a frame is 0 for a key frame.
		if p.S == 1 && p.PID == 0 && payload[0]&1 == 0 {
			g.keys <- time.Now()
		}
		if packet.Marker {
			g.frames <- time.Now()
		}
	}
}

func receive[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("waiting for %s", what)
		panic("unreachable")
	}
}

// The first frame is a key frame; another one comes at once when it is asked for, and
// only then.
func TestKeyFrames(t *testing.T) {
	s := serve(t, signaling.Config{}, nil)
	g := s.guest(t, "keys")
	peer := run(t, s.config("keys", Pattern))
	track := receive(t, "the video", g.video)
	receive(t, "the first key frame", g.keys)
	for range 30 {
		receive(t, "frames", g.frames)
	}
	if len(g.keys) != 0 {
		t.Errorf("%d key frames that nobody asked for", len(g.keys))
	}
	ssrc := uint32(track.SSRC())
	for i, ask := range []rtcp.Packet{
		&rtcp.PictureLossIndication{MediaSSRC: ssrc},
		&rtcp.FullIntraRequest{MediaSSRC: ssrc, FIR: []rtcp.FIREntry{{SSRC: ssrc, SequenceNumber: 1}}},
	} {
		fewest := math.MaxInt // of the others before it, and of some tries: the machine may be busy
		for range 5 {
			for len(g.frames) > 0 {
				<-g.frames
			}
			asked := time.Now()
			if err := g.pc.WriteRTCP([]rtcp.Packet{ask}); err != nil {
				t.Fatal(err)
			}
			came := receive(t, "a key frame that was asked for", g.keys)
			fewest = min(fewest, len(g.frames))
			t.Logf("%T was answered after %v", ask, came.Sub(asked))
		}
		if fewest > 1 { // one may be on its way
			t.Errorf("before the key frame that %T asks for come %d others", ask, fewest)
		}
		peer.until("the count", func(s Stats) bool { return s.KeyFramesAsked == uint64(5*(i+1)) })
	}
}

// What comes through the channel goes back as it came.
func TestDataEcho(t *testing.T) {
	s := serve(t, signaling.Config{}, nil)
	for _, mode := range []Mode{Pattern, Echo, Sink} {
		t.Run(mode.String(), func(t *testing.T) {
			g := s.guest(t, mode.String())
			open := make(chan struct{})
			g.channel.OnOpen(func() { close(open) })
			own, err := g.pc.CreateDataChannel("own", nil)
			if err != nil {
				t.Fatal(err)
			}
			ownOpen, fromOwn := make(chan struct{}), make(chan string, 1)
			own.OnOpen(func() { close(ownOpen) })
			own.OnMessage(func(m webrtc.DataChannelMessage) { fromOwn <- string(m.Data) })
			peer := run(t, s.config(mode.String(), mode))
			receive(t, "the channel", open)
			if err := g.channel.SendText(`{"text":"안녕"}`); err != nil {
				t.Fatal(err)
			}
			if m := receive(t, "the text", g.messages); !m.IsString || string(m.Data) != `{"text":"안녕"}` {
				t.Errorf("the text came back as %+v", m)
			}
			if err := g.channel.Send([]byte{0, 1, 255}); err != nil {
				t.Fatal(err)
			}
			if m := receive(t, "the bytes", g.messages); m.IsString || string(m.Data) != "\x00\x01\xff" {
				t.Errorf("the bytes came back as %+v", m)
			}
			receive(t, "the other channel", ownOpen)
			if err := own.SendText("hello"); err != nil {
				t.Fatal(err)
			}
			if got := receive(t, "what the other channel sends back", fromOwn); got != "hello" {
				t.Errorf("%q", got)
			}
			peer.until("the count", func(s Stats) bool { return s.MessagesEchoed == 3 })
		})
	}
}
