package peer

import (
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v4"
)

// Stats says what a peer has done since Run began. Bytes are those of RTP payloads.
type Stats struct {
	Time        time.Time `json:"time"`
	Room        string    `json:"room"`
	Mode        string    `json:"mode"`
	Peer        string    `json:"peer"`        // the peer's own id at the server, or empty
	Met         uint64    `json:"met"`         // others who were in the room, each time that they came
	Connections int       `json:"connections"` // that are connected now

	BytesSent       uint64 `json:"bytesSent"`
	PacketsSent     uint64 `json:"packetsSent"`
	FramesSent      uint64 `json:"framesSent"` // of video, as are KeyFramesAsked and FramesReceived
	KeyFramesAsked  uint64 `json:"keyFramesAsked"`
	BytesReceived   uint64 `json:"bytesReceived"`
	PacketsReceived uint64 `json:"packetsReceived"`
	FramesReceived  uint64 `json:"framesReceived"`
	// PacketsLost are those that were sent to the peer and have not arrived.
	PacketsLost uint64 `json:"packetsLost"`
	// PacketsLostThere are those that the others say have not arrived from the peer.
	PacketsLostThere uint64 `json:"packetsLostThere"`
	// Messages that came through data channels and were sent back.
	MessagesEchoed uint64 `json:"messagesEchoed"`

	// Pairs are the candidate pairs of the connections that are connected now.
	Pairs []Pair `json:"pairs"`

	// MediaReceived tells that RTP packets have come, MediaDelivered that another peer
	// has confirmed (RTCP receiver report) that ours came there.
	MediaReceived  bool `json:"mediaReceived"`
	MediaDelivered bool `json:"mediaDelivered"`
	// Flowed tells that media went both ways: both of these, or for Sink the first.
	Flowed bool `json:"flowed"`
}

// Pair is a selected candidate pair.
type Pair struct {
	Peer string `json:"peer"` // the other one's id
	// Local and Remote are candidates as "TYPE PROTOCOL ADDRESS", with a type of
	// RFC 8839 §5.1: host, srflx, prflx or relay.
	Local  string `json:"local"`
	Remote string `json:"remote"`
	// RTT is the last round trip of ICE's checks in milliseconds.
	RTT float64 `json:"rttMs"`
}

// counters are what the goroutines of a peer count.
type counters struct {
	bytesSent, packetsSent, framesSent, keyFramesAsked atomic.Uint64
	bytesReceived, packetsReceived, framesReceived     atomic.Uint64
	met                                                atomic.Uint64
	lost, lostThere, echoed                            atomic.Int64
	delivered                                          atomic.Bool
}

func (c *counters) sent(bytes int) {
	c.bytesSent.Add(uint64(bytes))
	c.packetsSent.Add(1)
}

func (c *counters) received(bytes int) {
	c.bytesReceived.Add(uint64(bytes))
	c.packetsReceived.Add(1)
}

func (c *counters) stats(mode Mode) Stats {
	s := Stats{
		Time: time.Now(), Mode: mode.String(), Met: c.met.Load(),
		BytesSent: c.bytesSent.Load(), PacketsSent: c.packetsSent.Load(), FramesSent: c.framesSent.Load(),
		KeyFramesAsked: c.keyFramesAsked.Load(),
		BytesReceived:  c.bytesReceived.Load(), PacketsReceived: c.packetsReceived.Load(), FramesReceived: c.framesReceived.Load(),
		PacketsLost: uint64(max(0, c.lost.Load())), PacketsLostThere: uint64(max(0, c.lostThere.Load())),
		MessagesEchoed: uint64(c.echoed.Load()),
		MediaDelivered: c.delivered.Load(),
		Pairs:          []Pair{},
	}
	s.MediaReceived = s.PacketsReceived > 0
	s.Flowed = s.MediaReceived && (s.MediaDelivered || mode == Sink)
	return s
}

// A sequence counts the packets of one stream that are missing (RFC 3550 appendix A.3).
type sequence struct {
	begun        bool
	first, last  int64 // extended sequence numbers
	packets      int64
	lostReported int64
}

// add takes a packet's sequence number, and returns by how much the count of those
// that are missing has changed.
func (s *sequence) add(number uint16) int64 {
	if !s.begun {
		s.begun, s.first, s.last = true, int64(number), int64(number)
	}
	at := s.last + int64(int16(number-uint16(s.last)))
	s.last, s.first = max(s.last, at), min(s.first, at)
	s.packets++
	lost := s.last - s.first + 1 - s.packets
	change := lost - s.lostReported
	s.lostReported = lost
	return change
}

// pair describes the selected candidate pair of a connection.
func pair(pc *webrtc.PeerConnection) (Pair, bool) {
	ice := pc.SCTP().Transport().ICETransport()
	selected, err := ice.GetSelectedCandidatePair()
	if err != nil || selected == nil {
		return Pair{}, false
	}
	describe := func(c *webrtc.ICECandidate) string {
		return c.Typ.String() + " " + c.Protocol.String() + " " + addressOf(c)
	}
	p := Pair{Local: describe(selected.Local), Remote: describe(selected.Remote)}
	if stats, ok := ice.GetSelectedCandidatePairStats(); ok {
		p.RTT = stats.CurrentRoundTripTime * 1000
	}
	return p, true
}
