package socketio

import (
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"

	"rtcdev/devserver/signaling"
)

// socket is what a page has as its socket: connected or not to the default
// namespace, in one room or in none.
type socket struct {
	session *session
	id      string // what others know it by
	addr    string
	granted atomic.Bool // the page has said "got user media"

	// joining guards entering and leaving rooms; it is never held with another
	// socket's.
	joining   sync.Mutex
	connected bool
	named     bool              // the page knows of rooms: it has named one, or is about to
	told      bool              // that nobody hears it, since it was last in a room
	member    *signaling.Member // nil while in no room
	view      *view             // of the room that member is in
}

func (s *socket) isConnected() bool {
	s.joining.Lock()
	defer s.joining.Unlock()
	return s.connected
}

// receive handles one Socket.IO packet. An error ends the session.
func (s *socket) receive(text []byte) error {
	p, err := parsePacket(text)
	if err != nil {
		return badMessage("%v", err)
	}
	if p.namespace != "/" {
		if p.kind == packetConnect {
			s.session.send(s.noNamespace(p.namespace))
		}
		return nil // clients send on before they have read that
	}
	switch p.kind {
	case packetConnect:
		s.connect(s.recognize(p.data))
		return nil
	case packetDisconnect:
		s.close()
		return nil
	case packetEvent:
		return s.event(p)
	case packetAck:
		return nil // we never ask for one
	}
	return badMessage("a client does not send Socket.IO packets of type %q", p.kind)
}

// noNamespace refuses a namespace; its error is a string in version 3.
func (s *socket) noNamespace(name string) []byte {
	why := `"Invalid namespace"`
	if s.session.version == 4 {
		why = `{"message":"Invalid namespace"}`
	}
	return []byte("44" + name + "," + why)
}

// connect connects the page to the default namespace. named says that it knows of rooms.
func (s *socket) connect(named bool) {
	s.joining.Lock()
	defer s.joining.Unlock()
	if s.connected || s.session.hasEnded() {
		return
	}
	s.connected, s.named = true, named
	if !named {
		s.session.door.lobby.listen(s)
	}
	greeting := "40"
	if s.session.version == 4 {
		greeting += `{"sid":"` + s.id + `"}`
	}
	s.session.send([]byte(greeting))
}

// recognize reads what our own script says when it connects: whether its page knows of
// rooms, and which session it had before its line broke, by its secret. That one ends, so
// that the page does not find its own place in the room taken.
func (s *socket) recognize(data []byte) (named bool) {
	var auth struct {
		Replaces string `json:"replaces"`
		Rooms    bool   `json:"rooms"`
	}
	if len(data) == 0 || json.Unmarshal(data, &auth) != nil {
		return false
	}
	if old := s.session.door.find(auth.Replaces); old != nil && old != s.session {
		old.end(&signaling.Error{Code: signaling.Replaced, Text: "this page has come back on another line"})
		old.socket.close()
	}
	return auth.Rooms
}

// close disconnects the page from the namespace, and so from its room.
func (s *socket) close() {
	s.joining.Lock()
	defer s.joining.Unlock()
	s.leave()
	s.connected = false
	s.session.door.lobby.forget(s)
}

// event handles what the page emits.
func (s *socket) event(p packet) error {
	if !s.isConnected() {
		return badMessage("an event came before the connection to the default namespace")
	}
	e, err := parseEvent(p.data)
	if err != nil {
		return badMessage("%v", err)
	}
	if isCodelabs(e) {
		s.session.door.lobby.forget(s) // it is not a page that knows of no rooms
	}
	switch e.name {
	case "create or join":
		err = s.createOrJoin(e.args)
	case "ipaddr":
		for _, a := range s.session.door.cfg.Addrs() {
			s.emit("ipaddr", a)
		}
	case "bye":
		s.joining.Lock()
		s.leave()
		s.joining.Unlock()
	default:
		err = s.relay(e)
	}
	if err == nil && p.ack != "" && !s.session.send([]byte("43"+p.ack+"[]")) {
		err = tooSlow()
	}
	return err
}

func (s *socket) emit(name string, args ...any) bool {
	return s.session.send(eventPacket(name, args...))
}

// log shows a line in the page's console: pages print what "log" brings.
func (s *socket) log(words ...string) { s.emit("log", append([]string{"rtcdev:"}, words...)) }

// createOrJoin is how a page in the codelab's manner enters a room.
func (s *socket) createOrJoin(args []json.RawMessage) error {
	s.joining.Lock()
	defer s.joining.Unlock()
	s.named, s.told = true, false
	name, err := "", error(nil)
	if len(args) > 0 {
		name, err = asText(args[0])
	}
	if err == nil {
		name, err = signaling.RoomName(name)
	}
	if err != nil {
		s.log("this room cannot be joined:", err.Error())
		return nil
	}
	if s.member != nil && s.view.explicit && s.view.room == name {
		s.log("already in room", name)
		return nil
	}
	s.leave()
	if err := s.enter(name, true); err != nil || s.member == nil {
		return err
	}
	if s.granted.Load() { // said before it was in the room, and lost there
		return s.member.Send("", []byte(sayMedia))
	}
	return nil
}

// enter needs s.joining. A refusal that a page can live with is told to it: every
// time if it asked for the room.
func (s *socket) enter(room string, explicit bool) error {
	if !s.connected {
		return nil
	}
	v := &view{socket: s, room: room, explicit: explicit, peers: make(map[string]*peer)}
	join := signaling.Join{Door: doorName, Room: room, ID: s.id, Addr: s.addr, Receiver: v}
	member, err := s.session.door.hub.Join(join)
	var refused *signaling.Error
	switch {
	case err == nil:
		s.member, s.view, s.told = member, v, false
		return nil
	case errors.As(err, &refused) && (refused.Code == signaling.RoomFull || refused.Code == signaling.TooManyRooms):
		if !explicit && s.told {
			return nil
		}
		s.told = !explicit
		if refused.Code == signaling.RoomFull {
			s.log(refused.Text+";", moreRoom)
		} else {
			s.log("this room cannot be joined:", refused.Text)
		}
		s.emit("full", room)
		return nil
	}
	return err
}

// leave needs s.joining.
func (s *socket) leave() {
	if s.member == nil {
		return
	}
	s.member.Leave()
	s.view.close()
	s.member, s.view = nil, nil
}

// relay sends an event to the others in the room.
func (s *socket) relay(e event) error {
	data := wrap(e)
	if says(data, sayMedia) {
		s.granted.Store(true)
	}
	s.joining.Lock()
	member, v, named := s.member, s.view, s.named
	s.joining.Unlock()
	switch {
	case member == nil && isCodelabs(e):
		return nil // the first is told when the page joins, the second has no one to hear it
	case member == nil && named:
		s.shush()
		return nil
	case member == nil || !v.explicit:
		return s.speak(data)
	case !v.sending(data):
		return nil
	}
	return member.Send("", data)
}

// shush tells a page once that it is in no room.
func (s *socket) shush() {
	s.joining.Lock()
	defer s.joining.Unlock()
	if !s.told {
		s.log(`this page is in no room, so nobody hears what it says; it enters one with "create or join"`)
	}
	s.told = true
}
