package peer

import (
	"time"

	"github.com/pion/webrtc/v4"
)

const (
	offerPatience   = 2 * time.Second // for the one who came later, as the call template has it
	restartPatience = 3 * time.Second // for the polite one
)

// meet begins with someone who is in the room. Who came later makes the first offer; if
// it keeps silent, we do.
func (p *participant) meet(id string, weCameLater bool) {
	p.count.met.Add(1)
	p.others[id] = weCameLater
	c := p.connections[id]
	if c == nil {
		c = p.adopt(id)
	}
	switch {
	case weCameLater && c != nil && c.connected():
		p.offer(c, true)
	case weCameLater:
		p.start(id, true)
	case c == nil:
		p.after(offerPatience, func() {
			if _, here := p.others[id]; here && p.connections[id] == nil {
				p.start(id, true)
			}
		})
	}
}

// adopt takes a connection to one who is not in the room any more for that to the newcomer,
// who may be the same with a new id: after a restart of the server, for example. If that
// is wrong the fingerprints say so, and negotiate begins anew.
func (p *participant) adopt(id string) *connection {
	for old, c := range p.connections {
		if _, here := p.others[old]; here || !c.connected() {
			continue
		}
		delete(p.connections, old)
		c.remote = id
		p.connections[id] = c
		return c
	}
	return nil
}

// start makes a new connection in place of the one there is, if any. It returns nil
// when that cannot be.
func (p *participant) start(id string, offer bool) *connection {
	if old := p.connections[id]; old != nil {
		p.drop(old)
	}
	c, err := p.newConnection(id)
	if err != nil {
		p.failure = err
		return nil
	}
	p.connections[id] = c
	c.offered = offer
	if offer {
		p.offer(c, false)
	}
	return c
}

// startAgain is for a connection that the other side has closed: most likely its page is
// gone. If the server knows better, we begin again.
func (p *participant) startAgain(c *connection) {
	p.drop(c)
	if polite, here := p.others[c.remote]; here {
		p.meet(c.remote, polite)
	}
}

func (p *participant) drop(c *connection) {
	delete(p.connections, c.remote)
	c.close()
}

// offer makes an offer. What fails is tried again when the connection fails, or when the
// other one offers.
func (p *participant) offer(c *connection, restart bool) {
	if c.pc.SignalingState() == webrtc.SignalingStateStable {
		_ = c.offer(restart)
	}
}

// negotiate is perfect negotiation, as the package comment describes it.
func (p *participant) negotiate(from string, s signal) {
	c := p.connections[from]
	if s.Candidate != nil {
		if c != nil {
			// One for an offer that we ignored does not fit.
			_ = c.pc.AddICECandidate(*s.Candidate)
			if c.offered {
				c.hasten(firstLook)
			}
		}
		return
	}
	polite, here := p.others[from]
	if s.Description == nil || !here {
		return
	}
	isOffer := s.Description.Type == webrtc.SDPTypeOffer
	if c == nil || !c.knows(*s.Description) {
		// An answer to what is gone: our new offer is on its way.
		if c = p.start(from, !isOffer); c == nil || !isOffer {
			return
		}
	}
	stable := c.pc.SignalingState() == webrtc.SignalingStateStable
	switch {
	case isOffer && !stable && !polite:
		return
	case isOffer && !stable: // we give way: pion has no rollback
		if c = p.start(from, false); c == nil {
			return
		}
	case !isOffer && c.pc.SignalingState() != webrtc.SignalingStateHaveLocalOffer:
		return
	}
	if err := c.apply(*s.Description); err != nil {
		p.drop(c)
	}
}

// stateChanged heals a connection, and ends one that cannot be healed.
func (p *participant) stateChanged(c *connection, state webrtc.PeerConnectionState) {
	polite, here := p.others[c.remote]
	switch state {
	case webrtc.PeerConnectionStateConnected:
		if p.source != nil && !c.viewing {
			c.viewing = true
			p.source.addViewer()
		}
	case webrtc.PeerConnectionStateClosed:
		p.startAgain(c)
	case webrtc.PeerConnectionStateFailed:
		if !here {
			p.drop(c)
			return
		}
		patience := restartPatience
		if polite {
			patience = 0
		}
		c.afterwards(patience, func() {
			if c.pc.ConnectionState() == webrtc.PeerConnectionStateFailed {
				p.offer(c, true)
			}
		})
	}
}
