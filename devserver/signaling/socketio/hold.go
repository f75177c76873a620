package socketio

import "time"

// A page of the codelab cannot answer an offer until it has its camera: what the other
// one says from its offer on is held back for it till then. There are also pages that
// only watch and never have a camera, and no way to tell them from one whose person has
// not answered the browser's question yet. So after holdTime the page gets it all the
// same, and a second time if it comes to say "got user media" without an answer before:
// then the first was too early, and lost on it.

const (
	holdTime     = 5 * time.Second
	maxHeld      = 128       // messages; an offer and its candidates are far below this
	maxHeldBytes = 256 << 10 // of them in all
)

// hold is what a peer has said since its offer.
type hold struct {
	timer   *time.Timer
	packets [][]byte
	size    int  // bytes of them
	passed  bool // the page has got them, perhaps too early
}

// beginHold needs v.mu, as what follows.
func (v *view) beginHold(p *peer) {
	h := &hold{}
	h.timer = time.AfterFunc(holdTime, func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		if p.hold == h && !h.passed && !v.passHeld(p) {
			v.socket.session.end(tooSlow())
		}
	})
	p.hold = h
	v.emit("log", []string{"rtcdev:", "an offer is held back until this page has its camera, or for " + holdTime.String()})
}

// keep adds what the peer says, and passes it on if the rest has been already. A hold
// that grows too large ends.
func (v *view) keep(p *peer, text []byte) bool {
	h := p.hold
	h.packets = append(h.packets, text)
	h.size += len(text)
	full := len(h.packets) > maxHeld || h.size > maxHeldBytes
	ok := true
	switch {
	case h.passed:
		ok = v.send(text)
	case full:
		ok = v.passHeld(p)
	}
	if full {
		p.endHold()
	}
	return ok
}

// passHeld gives the page what is held, and keeps it.
func (v *view) passHeld(p *peer) bool {
	p.hold.passed = true
	v.glare.got = time.Now()
	ok := true
	for _, text := range p.hold.packets {
		ok = ok && v.send(text)
	}
	return ok
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
