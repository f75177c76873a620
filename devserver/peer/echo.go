package peer

import (
	"strings"
	"sync"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// An echoTrack sends the packets of another track, whatever codec they have, if both
// sides have agreed on it for this direction too.
type echoTrack struct {
	kind webrtc.RTPCodecType

	mu     sync.Mutex
	ssrc   webrtc.SSRC
	codecs []webrtc.RTPCodecParameters
	writer webrtc.TrackLocalWriter // nil before the negotiation and after the end
}

// Bind is part of webrtc.TrackLocal: the negotiation is done.
func (e *echoTrack) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	codecs := c.CodecParameters()
	if len(codecs) == 0 {
		return webrtc.RTPCodecParameters{}, webrtc.ErrUnsupportedCodec
	}
	e.ssrc, e.codecs, e.writer = c.SSRC(), codecs, c.WriteStream()
	return codecs[0], nil
}

// Unbind is part of webrtc.TrackLocal: the connection ends.
func (e *echoTrack) Unbind(webrtc.TrackLocalContext) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.writer = nil
	return nil
}

// ID, RID, StreamID and Kind are part of webrtc.TrackLocal.
func (e *echoTrack) ID() string { return e.kind.String() }

// RID is empty: there is one encoding.
func (e *echoTrack) RID() string { return "" }

// StreamID is that of everything the peer sends.
func (e *echoTrack) StreamID() string { return streamID }

// Kind is audio or video.
func (e *echoTrack) Kind() webrtc.RTPCodecType { return e.kind }

// write sends a packet that came with the codec mime. It tells whether it could.
func (e *echoTrack) write(mime string, p *rtp.Packet) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.writer == nil {
		return false
	}
	for _, c := range e.codecs {
		if strings.EqualFold(c.MimeType, mime) {
			// The extensions of one direction mean nothing in the other.
			h := rtp.Header{Version: 2, Marker: p.Marker, PayloadType: uint8(c.PayloadType),
				SequenceNumber: p.SequenceNumber, Timestamp: p.Timestamp, SSRC: uint32(e.ssrc)}
			_, err := e.writer.WriteRTP(&h, p.Payload)
			return err == nil
		}
	}
	return false
}
