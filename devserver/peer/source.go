package peer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"

	"rtcdev/devserver/peer/vp8"
)

const (
	videoClock = 90000 // ticks a second of VP8's RTP timestamps (RFC 7741 §4.1)
	payloadMax = 1200  // bytes of an RTP packet, as browsers have it: any path takes that
	quantizer  = 20
	toneTime   = 20 * time.Millisecond
	// keyPause is the least time between two key frames that were asked for: several
	// viewers, or an impatient one, must not cost more than that.
	keyPause = 20 * time.Millisecond
)

// A source makes the test picture and the tone, for all connections of a peer at once.
type source struct {
	video, audio *webrtc.TrackLocalStaticRTP
	viewers      atomic.Int32
	keyWanted    chan struct{} // has one element when a viewer wants a key frame

	encoder    *vp8.Encoder
	picture    *picture
	packetizer rtp.Packetizer
	frame      []byte
	tone       []byte
	toneHeader rtp.Header
	count      *counters
}

func newSource(count *counters) (*source, error) {
	s := &source{keyWanted: make(chan struct{}, 1), picture: newPicture(), tone: makeTone(), count: count}
	var err error
	if s.encoder, err = vp8.NewEncoder(pictureWidth, pictureHeight, quantizer); err != nil {
		return nil, fmt.Errorf("making the encoder: %w", err)
	}
	if s.video, err = webrtc.NewTrackLocalStaticRTP(vp8Codec().RTPCodecCapability, "video", streamID); err != nil {
		return nil, fmt.Errorf("making the video track: %w", err)
	}
	if s.audio, err = webrtc.NewTrackLocalStaticRTP(pcmuCodec().RTPCodecCapability, "audio", streamID); err != nil {
		return nil, fmt.Errorf("making the audio track: %w", err)
	}
	// The track sets payload type and SSRC.
	// No picture ids: pion leaves out the id 0 (RFC 7741 §4.2 wants all or none), and browsers
	// then find no way from that frame to the next.
	s.packetizer = rtp.NewPacketizer(payloadMax, 0, 0, &codecs.VP8Payloader{}, rtp.NewRandomSequencer(), videoClock)
	s.toneHeader = rtp.Header{Version: 2, SequenceNumber: uint16(rand.Uint32()), Timestamp: rand.Uint32()}
	return s, nil
}

// wantKey asks for a key frame, at once.
func (s *source) wantKey() {
	select {
	case s.keyWanted <- struct{}{}:
	default:
	}
}

// addViewer and removeViewer tell who is watching: without viewers the source rests.
func (s *source) addViewer() {
	s.viewers.Add(1)
	s.wantKey()
}

func (s *source) removeViewer() { s.viewers.Add(-1) }

// run sends until ctx ends.
func (s *source) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.keyWanted:
		}
		if err := s.show(ctx); err != nil {
			return err
		}
	}
}

// show sends while there are viewers, from a key frame on.
func (s *source) show(ctx context.Context) error {
	frames, tones := time.NewTicker(time.Second/frameRate), time.NewTicker(toneTime)
	defer frames.Stop()
	defer tones.Stop()
	begun := time.Now()
	var sent time.Duration // of the tone
	key, lastKey := true, time.Time{}
	for s.viewers.Load() > 0 {
		if key {
			if since := time.Since(lastKey); since < keyPause && !sleep(ctx, keyPause-since) {
				return nil
			}
			lastKey = time.Now()
		}
		if err := s.sendFrame(time.Now(), key); err != nil {
			return err
		}
		for wait := true; wait; {
			select {
			case <-ctx.Done():
				return nil
			case <-s.keyWanted:
				key, wait = true, false
			case <-frames.C:
				key, wait = false, false
			case <-tones.C:
				sent = s.sendTone(time.Since(begun), sent)
			}
		}
	}
	return nil
}

func (s *source) sendFrame(now time.Time, key bool) error {
	s.picture.draw(now)
	var err error
	if s.frame, err = s.encoder.Encode(s.frame[:0], s.picture.img, key); err != nil {
		return fmt.Errorf("encoding the test picture: %w", err)
	}
	packets := s.packetizer.Packetize(s.frame, 0)
	timestamp := uint32(now.UnixMicro() * videoClock / 1_000_000)
	for _, p := range packets {
		p.Timestamp = timestamp
		if s.video.WriteRTP(p) == nil { // else a connection ends: it loses the packet
			s.count.sent(len(p.Payload))
		}
	}
	s.count.framesSent.Add(1)
	return nil
}

// sendTone sends the packets that are due after so much time, and returns how much has
// been sent. After a long wait the tone goes on from now.
func (s *source) sendTone(due, sent time.Duration) time.Duration {
	const late = 200 * time.Millisecond
	for ; sent <= due; sent += toneTime {
		h := &s.toneHeader
		h.Timestamp += tonePacket
		at := int(sent/toneTime) * tonePacket % len(s.tone)
		if due-sent > late {
			continue
		}
		h.SequenceNumber++
		payload := s.tone[at : at+tonePacket]
		if s.audio.WriteRTP(&rtp.Packet{Header: *h, Payload: payload}) == nil {
			s.count.sent(len(payload))
		}
	}
	return sent
}
