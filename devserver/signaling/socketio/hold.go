package socketio

import (
	"slices"
	"time"
)

// A page of the codelab cannot answer an offer until it has its camera: what the other
// one says from its offer on is held back for it till then. There are also pages that
// only watch and never have a camera, and no way to tell them from one whose person has
// not answered the browser's question yet. So after holdTime the page gets it all the
// same; and what is of the call a second time if it comes to say "got user media" without
// an answer before: then the first was too early, and lost on it.

const (
	holdTime     = 5 * time.Second
	maxHeld      = 128       // messages; an offer and its candidates are far below this
	maxHeldBytes = 256 << 10 // of them in all
)

// hold is what a peer has said since its offer.
type hold struct {
	timer  *time.Timer
	said   []saying
	size   int  // bytes of their packets
	passed bool // the page has got them, perhaps too early
}

type saying struct {
	packet  []byte
	ofACall bool
}

// beginHold needs v.mu, as what follows.
func (v *view) beginHold(p *peer) {
	h := &hold{}
	h.timer = time.AfterFunc(holdTime, func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		if p.hold == h && !h.passed {
			v.passHeld(p)
		}
	})
	p.hold = h
	v.emit("log", []string{"rtcdev:", "an offer is held back until this page has its camera, or for " + holdTime.String()})
}

// keep adds what the peer says, and passes it on if the rest has been already. A hold
// that grows too large ends.
func (v *view) keep(p *peer, packet, data []byte) bool {
	h := p.hold
	if h.passed {
		if !v.send(packet) {
			return false
		}
		if !isOfACall(data) {
			return true
		}
	}
	h.said = append(h.said, saying{packet, isOfACall(data)})
	h.size += len(packet)
	if len(h.said) > maxHeld || h.size > maxHeldBytes {
		if !h.passed {
			v.passHeld(p)
		}
		p.endHold()
	}
	return true
}

// passHeld gives the page what is held, and keeps what is of the call.
func (v *view) passHeld(p *peer) {
	h := p.hold
	h.passed = true
	v.glare.got = time.Now()
	for _, s := range h.said {
		v.send(s.packet) // ends the session by itself if there is no room for it
	}
	h.said = slices.DeleteFunc(h.said, func(s saying) bool { return !s.ofACall })
}

// dropHeld ends a call that is held back. What is no part of it is passed on.
func (v *view) dropHeld(p *peer) {
	h := p.hold
	p.endHold()
	if h == nil || h.passed {
		return
	}
	for _, s := range h.said {
		if !s.ofACall {
			v.send(s.packet)
		}
	}
}

func (p *peer) endHold() {
	if p.hold != nil {
		p.hold.timer.Stop()
		p.hold = nil
	}
}

// speaks is for what the page says: until it has its camera, a page of the codelab says
// nothing, so one that speaks gets what is held.
func (v *view) speaks(data []byte) {
	media := says(data, sayMedia)
	for _, p := range v.peers {
		if p.hold == nil {
			continue
		}
		if media || !p.hold.passed {
			v.passHeld(p)
		}
		if media || isAnswer(data) {
			p.endHold()
		}
	}
}

// close ends what is held when the page leaves the room.
func (v *view) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range v.peers {
		p.endHold()
	}
}
