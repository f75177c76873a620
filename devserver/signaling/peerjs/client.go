package peerjs

import (
	"crypto/sha256"
	"errors"

	"rtcdev/devserver/signaling"
)

// outlet is what a client is told things through: a signaling.Line.
type outlet interface {
	Send(text []byte) bool
	Close(e *signaling.Error)
}

// client is one line of one page: a signaling.Receiver and a signaling.Client.
type client struct {
	door  *Door
	line  outlet
	place place
	token [sha256.Size]byte // its hash: tokens can be long

	// ready is closed when it is decided whether the client is in: the line has to be
	// served before that, to be there for whatever the room has to say.
	ready  chan struct{}
	member *signaling.Member // set before ready is closed; nil: it is not in
	gone   bool              // its line is over; guarded by door.moves
}

// tell sends one frame. A line that cannot take it is lost, as for the hub.
func (c *client) tell(frame []byte) {
	if !c.line.Send(frame) {
		c.line.Close(&signaling.Error{Code: signaling.TooSlow, Text: "the page does not read as fast as others send"})
	}
}

// Notify is how the hub tells the client something; see signaling.Receiver.
func (c *client) Notify(n signaling.Notice) bool {
	switch n.Kind {
	case signaling.Welcome:
		// Within the room's turn: nothing overtakes what has waited.
		c.door.board.enter(c)
	case signaling.Signal:
		return c.line.Send(n.Data) // the sender's side made a frame of it
	}
	return true
}

// Stop ends the client; see signaling.Receiver. It keeps its place until the line is
// over, or its page is back for it.
func (c *client) Stop(reason *signaling.Error) { c.line.Close(reason) }

// Message handles one frame of the page; see signaling.Client.
func (c *client) Message(text []byte) error {
	<-c.ready
	if c.door.board.holder(c.place) != c {
		return nil // it is out, and its line about to end: it speaks for nobody
	}
	m, err := parse(text)
	if err != nil {
		return &signaling.Error{Code: signaling.BadMessage, Text: err.Error()}
	}
	waits := false // for a peer that is not there
	switch m.kind {
	case typeOffer, typeAnswer, typeCandidate:
		waits = true
	case typeLeave, typeExpire:
	default: // HEARTBEAT, or something newer
		return nil
	}
	if m.dst == nil {
		if m.kind == typeLeave {
			c.door.leave(c)
			c.line.Close(nil)
		}
		return nil
	}
	return c.relay(place{c.place.key, m.to()}, m, waits)
}

// patience is how often relay asks again while the hub and the board disagree on
// whether somebody is there: that is so in the middle of a join or a leave.
const patience = 3

// relay passes m on, or lets it wait.
func (c *client) relay(to place, m message, waits bool) error {
	frame := relayed(m, c.place.id)
	if to == c.place {
		c.tell(frame)
		return nil
	}
	for range patience {
		var refusal *signaling.Error
		err := c.member.Send(to.id, frame)
		switch {
		case err == nil:
			return nil
		case !errors.As(err, &refusal) || refusal.Code != signaling.NoSuchPeer:
			return err
		case !waits || c.door.board.wait(c, to, m.dst, frame):
			return nil
		}
	}
	c.tell(expired(m.dst, c.place.id))
	return nil
}

// LastWords says why the line ends; see signaling.Client.
func (c *client) LastWords(e *signaling.Error) []byte {
	switch e.Code {
	case signaling.IDTaken:
		return refused(typeIDTaken, "ID is taken")
	case signaling.ShuttingDown:
		return nil // pages try again after "network", which they make of the bare close
	}
	return refused(typeError, e.Text)
}

// Closed is called when the line is over; see signaling.Client.
func (c *client) Closed(bool) { c.door.leave(c) }
