package peer

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

// signal is what two peers tell each other; one of the two is there.
type signal struct {
	Description *webrtc.SessionDescription `json:"description,omitempty"`
	Candidate   *webrtc.ICECandidateInit   `json:"candidate,omitempty"`
}

// A connection is one RTCPeerConnection to another peer. Its fields belong to the
// goroutine of Run.
type connection struct {
	p       *participant
	remote  string
	pc      *webrtc.PeerConnection
	offered bool // by us, at first
	look    int  // counts the calls of hasten
	viewing bool // counted as a viewer of the source
	echoes  map[webrtc.RTPCodecType]*echoTrack
}

// newConnection makes a connection that has everything to send, and has not offered.
func (p *participant) newConnection(remote string) (*connection, error) {
	pc, err := p.api.NewPeerConnection(p.configuration())
	if err != nil {
		return nil, fmt.Errorf("making a peer connection: %w", err)
	}
	c := &connection{p: p, remote: remote, pc: pc, echoes: map[webrtc.RTPCodecType]*echoTrack{}}
	c.listen()
	if err := errors.Join(c.addMedia(), c.addChannel()); err != nil {
		c.close()
		return nil, fmt.Errorf("making a peer connection: %w", err)
	}
	return c, nil
}

// listen has what pion tells, on goroutines of its own, handled by that of Run.
func (c *connection) listen() {
	c.pc.OnICECandidate(func(candidate *webrtc.ICECandidate) {
		if candidate == nil {
			return
		}
		init := candidate.ToJSON()
		c.post(func() { c.p.send(c.remote, signal{Candidate: &init}) })
	})
	c.pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		c.post(func() { c.p.stateChanged(c, state) })
	})
	c.pc.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { c.receive(t) })
	c.pc.OnDataChannel(c.echoMessages)
}

// post has f run by the goroutine of Run, unless the connection is over then.
func (c *connection) post(f func()) {
	c.p.mailbox.post(func() {
		if c.p.connections[c.remote] == c {
			f()
		}
	})
}

func (c *connection) addMedia() error {
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		track := c.track(kind)
		if track == nil {
			init := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}
			if _, err := c.pc.AddTransceiverFromKind(kind, init); err != nil {
				return fmt.Errorf("receiving %s: %w", kind, err)
			}
			continue
		}
		sender, err := c.pc.AddTrack(track)
		if err != nil {
			return fmt.Errorf("sending %s: %w", kind, err)
		}
		c.p.working.Go(func() { c.listenToReports(sender, kind) })
	}
	return nil
}

// track is what is sent of a kind, or nil.
func (c *connection) track(kind webrtc.RTPCodecType) webrtc.TrackLocal {
	switch {
	case c.p.cfg.Mode == Echo:
		c.echoes[kind] = &echoTrack{kind: kind}
		return c.echoes[kind]
	case c.p.cfg.Mode == Sink:
		return nil
	case kind == webrtc.RTPCodecTypeAudio:
		return c.p.source.audio
	}
	return c.p.source.video
}

// listenToReports hears what the other one says about what we send, until the end.
func (c *connection) listenToReports(sender *webrtc.RTPSender, kind webrtc.RTPCodecType) {
	var lost int64 // as it said last
	for {
		packets, _, err := sender.ReadRTCP()
		if err != nil {
			return
		}
		ssrc := uint32(sender.GetParameters().Encodings[0].SSRC)
		for _, packet := range packets {
			switch r := packet.(type) {
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				if kind == webrtc.RTPCodecTypeVideo {
					c.keyAsked()
				}
			case *rtcp.ReceiverReport:
				lost = c.confirm(r.Reports, ssrc, lost)
			case *rtcp.SenderReport:
				lost = c.confirm(r.Reports, ssrc, lost)
			}
		}
	}
}

// keyAsked answers PLI and FIR.
func (c *connection) keyAsked() {
	c.p.count.keyFramesAsked.Add(1)
	if c.p.source != nil {
		c.p.source.wantKey()
		return
	}
	c.askForKey()
}

// askForKey sends a PLI for each video that comes. One that is lost is not missed: who
// wants the picture asks again.
func (c *connection) askForKey() {
	for _, r := range c.pc.GetReceivers() {
		if t := r.Track(); t != nil && t.Kind() == webrtc.RTPCodecTypeVideo && t.SSRC() != 0 {
			_ = c.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(t.SSRC())}})
		}
	}
}

func (c *connection) confirm(reports []rtcp.ReceptionReport, ssrc uint32, lost int64) int64 {
	for _, r := range reports {
		if r.SSRC == ssrc && r.LastSequenceNumber != 0 {
			c.p.count.delivered.Store(true)
			now := int64(int32(r.TotalLost<<8) >> 8) // 24 bits with sign (RFC 3550 §6.4.1)
			c.p.count.lostThere.Add(now - lost)
			lost = now
		}
	}
	return lost
}

// receive reads a track until the end. pion runs it on a goroutine of its own, and
// GracefulClose waits for it.
func (c *connection) receive(t *webrtc.TrackRemote) {
	var numbers sequence
	echo := c.echoes[t.Kind()]
	for {
		packet, _, err := t.ReadRTP()
		if err != nil {
			return
		}
		c.p.count.received(len(packet.Payload))
		c.p.count.lost.Add(numbers.add(packet.SequenceNumber))
		isVideo := t.Kind() == webrtc.RTPCodecTypeVideo
		if isVideo && packet.Marker {
			c.p.count.framesReceived.Add(1)
		}
		if echo != nil && echo.write(t.Codec().MimeType, packet) {
			c.p.count.sent(len(packet.Payload))
			if isVideo && packet.Marker {
				c.p.count.framesSent.Add(1)
			}
		}
	}
}

// addChannel makes the channel that pages of the call template make, too.
func (c *connection) addChannel() error {
	negotiated, id := true, uint16(0)
	channel, err := c.pc.CreateDataChannel("chat", &webrtc.DataChannelInit{Negotiated: &negotiated, ID: &id})
	if err != nil {
		return fmt.Errorf("making the data channel: %w", err)
	}
	c.echoMessages(channel)
	channel.OnClose(func() { c.post(func() { c.p.startAgain(c) }) })
	return nil
}

// maxWaiting is how much may wait to be sent back through a channel, in bytes. What
// comes beyond it is not echoed: the page sends faster than it receives.
const maxWaiting = 16 << 20

func (c *connection) echoMessages(channel *webrtc.DataChannel) {
	channel.OnMessage(func(m webrtc.DataChannelMessage) {
		if channel.BufferedAmount() > maxWaiting {
			return
		}
		var err error
		if m.IsString {
			err = channel.SendText(string(m.Data))
		} else {
			err = channel.Send(m.Data)
		}
		if err == nil {
			c.p.count.echoed.Add(1)
		}
	})
}

// offer describes our side first, with new ICE credentials if restart is true.
func (c *connection) offer(restart bool) error {
	offer, err := c.pc.CreateOffer(&webrtc.OfferOptions{ICERestart: restart})
	if err != nil {
		return fmt.Errorf("making an offer: %w", err)
	}
	return c.describe(offer)
}

func (c *connection) describe(d webrtc.SessionDescription) error {
	if err := c.pc.SetLocalDescription(d); err != nil {
		return fmt.Errorf("applying our own %s: %w", d.Type, err)
	}
	c.p.send(c.remote, signal{Description: &d})
	return nil
}

// apply takes the other one's description, and answers if it is an offer.
func (c *connection) apply(d webrtc.SessionDescription) error {
	if err := c.pc.SetRemoteDescription(d); err != nil {
		return fmt.Errorf("applying the %s: %w", d.Type, err)
	}
	if d.Type != webrtc.SDPTypeOffer {
		return nil
	}
	answer, err := c.pc.CreateAnswer(nil)
	if err != nil {
		return fmt.Errorf("making an answer: %w", err)
	}
	return c.describe(answer)
}

// knows tells whether the description comes from the connection that this one is to,
// or may be: every RTCPeerConnection has a key of its own, whose fingerprint is in it.
func (c *connection) knows(d webrtc.SessionDescription) bool {
	known := c.pc.RemoteDescription()
	return known == nil || fingerprint(known.SDP) == fingerprint(d.SDP)
}

// fingerprint is the first one of a description (RFC 8122 §5).
func fingerprint(sdp string) string {
	_, rest, _ := strings.Cut(sdp, "a=fingerprint:")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.ToLower(strings.TrimSpace(line))
}

func (c *connection) connected() bool {
	return c.pc.ConnectionState() == webrtc.PeerConnectionStateConnected
}

// close ends the connection in the background, for pion's goroutines may be waiting.
func (c *connection) close() {
	if c.viewing {
		c.viewing = false
		c.p.source.removeViewer()
	}
	c.p.working.Go(func() { _ = c.pc.GracefulClose() }) // there is nothing to do about an error
}

// afterwards runs f on the goroutine of Run after a while, if the connection is not over.
func (c *connection) afterwards(d time.Duration, f func()) {
	c.p.after(d, func() {
		if c.p.connections[c.remote] == c {
			f()
		}
	})
}
