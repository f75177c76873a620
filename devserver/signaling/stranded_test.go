package signaling

import (
	"net/netip"
	"testing"
)

// The machine loses an address: who came to it may resume, and gives way to who finds the
// room full. Who was cut off otherwise does not.
func TestStrand(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	room := aRoom()
	first := s.joinAndSpeak(room)
	second := s.joinAndSpeak(room)
	s.hub.Strand(netip.MustParseAddr("192.0.2.1")) // of others
	first.want(serverMessage{Type: "peer-joined", Peer: second.id})
	second.wantUndisturbed()

	second.snap()
	s.awaitAway(1)
	if m := s.connect(room).next(); m.Code != "room-full" {
		t.Errorf("in the place of a peer that is only away: %+v", m)
	}
	s.resume(second, 2, 2)

	s.listenIn(aRoom()) // whom it has not heard yet cannot resume
	s.hub.Strand(netip.MustParseAddr("127.0.0.1"))
	s.awaitConnected(0)
	s.awaitAway(2)
	third := s.joinAndSpeak(room)
	fourth := s.joinAndSpeak(room)
	if m := third.next(); m.Type != "peer-left" {
		t.Errorf("the other one that is stranded: %+v", m)
	}
	third.want(serverMessage{Type: "peer-joined", Peer: fourth.id})
	if m := s.connect(room).next(); m.Code != "room-full" {
		t.Errorf("a fifth one: %+v", m)
	}
}
