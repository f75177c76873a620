package socketio

import (
	"slices"
	"sync"

	"rtcdev/devserver/signaling"
)

// lobby is where pages that know of no rooms hear each other. Who speaks there has a
// place in the hub's room of that name; who has only listened so far has none, and so
// takes none from pages that will name a room later.
type lobby struct {
	size int // how many may hear what is said

	mu     sync.Mutex  // held while somebody speaks or begins to; innermost but for sessions and the hub
	silent []*listener // in the order of their coming
}

// listener is a page that is connected and has emitted nothing.
type listener struct {
	socket *socket
	told   bool // that there are too many to hear it
}

func (l *lobby) listen(s *socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.silent = append(l.silent, &listener{socket: s})
}

func (l *lobby) forget(s *socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(s)
}

// remove needs l.mu, as hear.
func (l *lobby) remove(s *socket) {
	l.silent = slices.DeleteFunc(l.silent, func(other *listener) bool { return other.socket == s })
}

// hear passes on what was said, when so many have places.
func (l *lobby) hear(data []byte, places int) {
	for i, other := range l.silent {
		session := other.socket.session
		switch {
		case i < l.size-places:
			other.told = false
			if !session.send(relayPacket(data)) {
				session.end(tooSlow())
			}
		case !other.told:
			other.told = true
			other.socket.log(`the room "`+signaling.DefaultRoom+`" is full:`, moreRoom)
		}
	}
}

// moreRoom is what helps against a full room.
const moreRoom = "to let more pages in, start the server with: rtcdev serve --room-size N"

// speak passes on, in the lobby, what a page says that has named no room.
func (s *socket) speak(data []byte) error {
	s.joining.Lock()
	defer s.joining.Unlock()
	l := &s.session.door.lobby
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(s)
	if s.member == nil {
		if err := s.enter(signaling.DefaultRoom, false); err != nil || s.member == nil {
			return err
		}
	}
	if err := s.member.Send("", data); err != nil {
		return err
	}
	l.hear(data, s.view.places())
	return nil
}
