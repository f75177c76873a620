package signaling

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// twoNodes are two servers with one set of rooms.
func twoNodes(t *testing.T, cfg Config) (one, two *server) {
	t.Helper()
	cfg.Bus = NewBus()
	return start(t, cfg), start(t, cfg)
}

// A room is one, wherever its peers are connected: presence, both kinds of messages,
// the number of places and what is said of strangers.
func TestRoomAcrossNodes(t *testing.T) {
	t.Parallel()
	one, two := twoNodes(t, Config{RoomSize: 3})
	a, b := one.join("r"), two.join("r")
	a.want(serverMessage{Type: "peer-joined", Peer: b.id})
	c := one.join("r")
	a.want(serverMessage{Type: "peer-joined", Peer: c.id})
	b.want(serverMessage{Type: "peer-joined", Peer: c.id})
	if !slices.Equal(b.in, []string{a.id}) || !slices.Equal(c.in, []string{a.id, b.id}) {
		t.Errorf("the second met %v, the third %v; want %s and then %s", b.in, c.in, a.id, b.id)
	}
	for _, s := range []*server{one, two} {
		s.connect("r").wantClose("room-full", 4001)
	}

	a.send(`{"type":"signal","to":"` + b.id + `","data":{ "to" : "b" }}`)
	b.want(serverMessage{Type: "signal", From: a.id, Data: []byte(`{ "to" : "b" }`)})
	b.send(hello)
	for _, peer := range []*client{a, c} {
		peer.want(serverMessage{Type: "signal", From: b.id, Data: []byte(`"hello"`)})
	}
	b.send(`{"type":"signal","to":"` + b.id + `","data":1}`)
	if m := b.next(); m.Code != "no-such-peer" {
		t.Errorf("to itself: %+v", m)
	}
	elsewhere := two.join("another")
	elsewhere.send(`{"type":"signal","to":"` + a.id + `","data":1}`)
	if m := elsewhere.next(); m.Code != "no-such-peer" {
		t.Errorf("to another room: %+v", m)
	}

	b.send(`{"type":"leave"}`)
	b.wantClose("", 1000)
	for _, peer := range []*client{a, c} {
		peer.want(serverMessage{Type: "peer-left", Peer: b.id})
		peer.send(`{"type":"signal","to":"` + b.id + `","data":1}`)
		if m := peer.next(); m.Code != "no-such-peer" {
			t.Errorf("to one that has left: %+v", m)
		}
	}
	d := two.join("r")
	if !slices.Equal(d.in, []string{a.id, c.id}) {
		t.Errorf("the next one met %v", d.in)
	}
	a.want(serverMessage{Type: "peer-joined", Peer: d.id})
	a.wantUndisturbed()
	elsewhere.wantUndisturbed()
	if first, second := one.hub.Stats(), two.hub.Stats(); first != (Stats{1, 2}) || second != (Stats{2, 2}) {
		t.Errorf("%+v and %+v", first, second)
	}
}

// A peer can be away at one node while those at the other see nothing, and a node that
// stops takes its peers out of the rooms of the others.
func TestNodesComeAndGo(t *testing.T) {
	t.Parallel()
	one, two := twoNodes(t, Config{})
	a, b := one.join("r"), two.joinAndSpeak("r")
	a.want(serverMessage{Type: "peer-joined", Peer: b.id})
	b.snap()
	two.awaitAway(1)
	a.send(hello)
	a.wantUndisturbed()
	one.comeBack(b.token, 1).wantClose("cannot-resume", 4004) // only at its own node
	b = two.resume(b, 1, 1)
	b.want(serverMessage{Type: "signal", From: a.id, Data: []byte(`"hello"`)})
	a.wantUndisturbed()
	if err := two.hub.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	b.wantClose("shutting-down", 1001)
	a.want(serverMessage{Type: "peer-left", Peer: b.id})
	c := one.join("r")
	a.want(serverMessage{Type: "peer-joined", Peer: c.id})
	c.wantUndisturbed()
}

// All peers see the messages of all others in one order, wherever they are.
func TestOneOrderAcrossNodes(t *testing.T) {
	t.Parallel()
	bus := NewBus()
	hubs := []*Hub{New(Config{Bus: bus}), New(Config{Bus: bus})}
	const peers, messages = 6, 200
	receivers := make([]*orderReceiver, peers)
	members := make([]*Member, peers)
	for i := range peers {
		receivers[i] = new(orderReceiver)
		m, err := hubs[i%2].Join(Join{Room: "r", ID: fmt.Sprint(i), Size: peers, Receiver: receivers[i]})
		if err != nil {
			t.Fatal(err)
		}
		members[i] = m
	}
	var wg sync.WaitGroup
	for i, m := range members {
		wg.Go(func() {
			for k := range messages {
				if err := m.Send("", fmt.Append(nil, k)); err != nil {
					t.Errorf("%d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
	// What two peers have both heard is that of the four others.
	for i, r := range receivers[1:] {
		if one, two := receivers[0].without("0", fmt.Sprint(i+1)), r.without("0", fmt.Sprint(i+1)); !slices.Equal(one, two) || len(one) != (peers-2)*messages {
			t.Errorf("peers 0 and %d have heard other things: %d and %d", i+1, len(one), len(two))
		}
	}
	for _, m := range members {
		m.Leave()
	}
}

type orderReceiver struct{ heard []Notice }

// Notify is called by one event after the other.
func (r *orderReceiver) Notify(n Notice) bool {
	if n.Kind == Signal {
		n.Data = slices.Clone(n.Data)
		r.heard = append(r.heard, n)
	}
	return true
}

func (*orderReceiver) Stop(*Error) {}

func (r *orderReceiver) without(peers ...string) (heard []string) {
	for _, n := range r.heard {
		if !slices.Contains(peers, n.Peer) {
			heard = append(heard, n.Peer+": "+string(n.Data))
		}
	}
	return heard
}

// The bus itself: a node that comes later hears of the joins that hold, in their order,
// and then the same as the others.
func TestBus(t *testing.T) {
	t.Parallel()
	bus := NewBus()
	log := func(to *[]string) func(BusEvent) {
		return func(ev BusEvent) { *to = append(*to, fmt.Sprint(ev.Kind, ev.Peer, ev.Instance, string(ev.Data))) }
	}
	var first, second, other, again []string
	one := bus.Open("r", log(&first))
	elsewhere := bus.Open("x", log(&other))
	for _, ev := range []BusEvent{
		{Kind: BusJoin, Peer: "a", Instance: "1"}, {Kind: BusJoin, Peer: "b", Instance: "2"}, {Kind: BusJoin, Peer: "c", Instance: "3"},
		{Kind: BusLeave, Peer: "b", Instance: "9"}, {Kind: BusLeave, Peer: "a", Instance: "1"}, {Kind: BusSignal, Peer: "b", Data: []byte("d")},
	} {
		one.Publish(ev)
	}
	two := bus.Open("r", log(&second))
	two.Publish(BusEvent{Kind: BusLeave, Peer: "b", Instance: "2"})
	one.Close()
	two.Publish(BusEvent{Kind: BusSignal, Peer: "c", Data: []byte("e")})
	two.Close()
	bus.Open("r", log(&again)).Close()
	elsewhere.Close()
	for name, tt := range map[string][2][]string{
		"the first":         {first, {"1a1", "1b2", "1c3", "2b9", "2a1", "3bd", "2b2"}},
		"the second":        {second, {"1b2", "1c3", "2b2", "3ce"}},
		"another room":      {other, nil},
		"when all had gone": {again, nil},
	} {
		if !slices.Equal(tt[0], tt[1]) {
			t.Errorf("%s heard %q, want %q", name, tt[0], tt[1])
		}
	}
	if rooms := len(bus.(*localBus).rooms); rooms != 0 {
		t.Errorf("%d rooms are left", rooms)
	}
}

// While others come and go at two nodes, who stays sees each come and go once.
func TestPresenceAcrossNodes(t *testing.T) {
	t.Parallel()
	one, two := twoNodes(t, Config{RoomSize: 100})
	witness := one.join("r")
	const visitors, rounds = 6, 8
	for i := range visitors {
		go func() {
			s := []*server{one, two}[i%2]
			for range rounds {
				conn, _, err := s.dial("r", nil)
				if err != nil {
					t.Error(err)
					return
				}
				c := &client{t: t, conn: conn}
				if m, err := c.read(); err != nil || m.Type != "welcome" {
					t.Errorf("got %+v, %v", m, err)
				}
				conn.Close()
			}
		}()
	}
	here := map[string]bool{}
	gone := 0
	for began := time.Now(); gone < visitors*rounds && time.Since(began) < patience; {
		switch m := witness.next(); m.Type {
		case "peer-joined":
			if _, before := here[m.Peer]; before {
				t.Fatalf("%s comes again", m.Peer)
			}
			here[m.Peer] = true
		case "peer-left":
			if !here[m.Peer] {
				t.Fatalf("%s leaves, and is not here", m.Peer)
			}
			here[m.Peer] = false
			gone++
		}
	}
	if gone != visitors*rounds {
		t.Errorf("%d of %d have gone", gone, visitors*rounds)
	}
}
