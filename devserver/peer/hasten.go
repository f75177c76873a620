package peer

import (
	"fmt"
	"time"

	"github.com/pion/webrtc/v4"
)

// pion looks after its candidate pairs every 200 ms, or when a candidate comes from the
// other side, and nothing else makes it. The one who offers, and so is the controlling side
// (RFC 8445 §6.1.1), nominates a pair only then: most of what a connection costs
// would be this wait. So we tell pion of candidates that mean nothing.
const (
	firstLook = 8 * time.Millisecond // after a candidate: a pair of one machine, or of a local network, has answered
	lastLook  = 128 * time.Millisecond
	looks     = 5 // from the first to the last, each twice as late as the one before
)

// hasten has pion look at its pairs after this pause and several longer ones. A later
// call takes the place of an earlier one.
func (c *connection) hasten(pause time.Duration) {
	c.look++
	look := c.look
	c.afterwards(pause, func() {
		if look != c.look || c.pc.ICEConnectionState() > webrtc.ICEConnectionStateChecking {
			return
		}
		_ = c.pc.AddICECandidate(nothing(look)) // without a description, there is nothing to hasten
		if pause < lastLook {
			c.hasten(2 * pause)
		}
	})
}

// nothing is a candidate that pion takes for one, and makes no pair of: ICE over TCP
// (RFC 6544) is off. It does not take the same one twice.
func nothing(n int) webrtc.ICECandidateInit {
	line, section := uint16(0), ""
	return webrtc.ICECandidateInit{SDPMLineIndex: &line, SDPMid: &section,
		Candidate: fmt.Sprintf("candidate:nothing 1 tcp 1 127.0.0.1 %d typ host tcptype passive", 1+n%65535)}
}
