package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
)

// A Protocol is one server's way to bring two peers together and to pass
// messages between them.
type Protocol interface {
	// Join opens a line, enters the room and returns when the server has said
	// that the peer is in.
	Join(ctx context.Context, s Server, room string) (*Peer, error)
	// around is what a message to the peer called to has before and after its data.
	around(to string) (before, after string)
	// answer looks at a message without data: it returns what to answer it with,
	// if anything, and an error when it means that something went wrong.
	answer(message []byte) ([]byte, error)
}

// Protocols are all of them by name.
func Protocols() map[string]Protocol {
	return map[string]Protocol{"native": native{}, "socketio": socketIO{}, "peerjs": peerJS{}, "bare": bare{}}
}

// A Peer is a member of a room.
type Peer struct {
	*Line
	ID string // by which others reach it; empty where the room is enough

	protocol      Protocol
	before, after []byte
}

// Link makes the two peers of a room send to each other.
func Link(a, b *Peer) {
	for _, p := range []struct{ from, to *Peer }{{a, b}, {b, a}} {
		before, after := p.from.protocol.around(p.to.ID)
		p.from.before, p.from.after = []byte(before), []byte(after)
	}
}

// SendData sends data to the linked peer.
func (p *Peer) SendData(data []byte) error { return p.Send(p.before, data, p.after) }

// NextData waits for the next numbered message, compares it with what kind says,
// and returns its number. It answers what has to be answered on the way.
func (p *Peer) NextData(kind *Payload) (int, error) {
	for {
		message, err := p.Next()
		if err != nil {
			return 0, err
		}
		n, ok, err := kind.Number(message)
		if ok || err != nil {
			return n, err
		}
		reply, err := p.protocol.answer(message)
		if err != nil {
			return 0, err
		}
		if reply != nil {
			if err := p.Send(reply); err != nil {
				return 0, err
			}
		}
	}
}

// SignalPath is the address of rtcdev's native protocol.
const SignalPath = "/_rtcdev/signal"

// native is rtcdev's own protocol: see devserver/signaling.
type native struct{}

func (native) Join(ctx context.Context, s Server, room string) (*Peer, error) {
	l, err := DialWebSocket(ctx, s, SignalPath+query("room", room))
	if err != nil {
		return nil, err
	}
	var welcome struct{ Type, ID string }
	if err := l.first(&welcome); err != nil {
		return nil, err
	}
	if welcome.Type != "welcome" {
		l.Drop(true)
		return nil, fmt.Errorf("the first message is %+v", welcome)
	}
	return &Peer{Line: l, ID: welcome.ID, protocol: native{}}, nil
}

func (native) around(to string) (string, string) {
	return `{"type":"signal","to":"` + to + `","data":`, `}`
}

func (native) answer(message []byte) ([]byte, error) {
	if bytes.Contains(message, []byte(`"type":"error"`)) || bytes.Contains(message, []byte(`"type":"peer-left"`)) {
		return nil, fmt.Errorf("the server said %.300s", message)
	}
	return nil, nil
}

// first reads the first message into v and drops the line when it cannot.
func (l *Line) first(v any) error {
	message, err := l.Next()
	if err == nil {
		err = json.Unmarshal(message, v)
	}
	if err != nil {
		l.Drop(true)
		return fmt.Errorf("waiting for the welcome: %w", err)
	}
	return nil
}

// socketIO is Engine.IO 4 and Socket.IO 5 over WebSocket alone, to the room
// server in counterparts/socketio.js.
type socketIO struct{}

func (p socketIO) Join(ctx context.Context, s Server, room string) (*Peer, error) {
	l, err := DialWebSocket(ctx, s, "/socket.io/?EIO=4&transport=websocket")
	if err != nil {
		return nil, err
	}
	event, err := json.Marshal([]string{"join", room})
	if err != nil {
		return nil, err
	}
	for _, step := range []struct{ expect, send string }{{`0{`, `40`}, {`40{`, "42" + string(event)}, {`42["joined"`, ""}} {
		message, err := l.Next()
		if err == nil && !bytes.HasPrefix(message, []byte(step.expect)) {
			err = fmt.Errorf("%.300q instead of %s", message, step.expect)
		}
		if err == nil && step.send != "" {
			err = l.Send([]byte(step.send))
		}
		if err != nil {
			l.Drop(true)
			return nil, fmt.Errorf("joining with socket.io: %w", err)
		}
	}
	return &Peer{Line: l, protocol: p}, nil
}

func (socketIO) around(string) (string, string) { return `42["message",`, `]` }

func (socketIO) answer(message []byte) ([]byte, error) {
	if string(message) == "2" { // Engine.IO's ping
		return []byte("3"), nil
	}
	return nil, fmt.Errorf("the server said %.300q", message)
}

// peerJS is PeerServer's protocol. A room is nothing to it: peers are reached by
// the ids that they choose.
type peerJS struct{}

func (p peerJS) Join(ctx context.Context, s Server, room string) (*Peer, error) {
	id := room + rand.Text()
	l, err := DialWebSocket(ctx, s, "/peerjs"+query("key", "peerjs", "id", id, "token", "t"))
	if err != nil {
		return nil, err
	}
	var open struct{ Type string }
	if err := l.first(&open); err != nil {
		return nil, err
	}
	if open.Type != "OPEN" {
		l.Drop(true)
		return nil, fmt.Errorf("the first message is %+v", open)
	}
	return &Peer{Line: l, ID: id, protocol: p}, nil
}

func (peerJS) around(to string) (string, string) {
	return `{"type":"OFFER","dst":"` + to + `","payload":`, `}`
}

func (peerJS) answer(message []byte) ([]byte, error) {
	return nil, fmt.Errorf("the server said %.300s", message)
}

// bare is the protocol of barerelay: a line with the room's name, answered by one
// with the peer's place, and then whatever the other sends.
type bare struct{}

func (p bare) Join(ctx context.Context, s Server, room string) (*Peer, error) {
	l, err := connect(ctx, s)
	if err != nil {
		return nil, err
	}
	l.bare = true
	_, err = l.conn.Write([]byte(room + "\n"))
	place := ""
	if err == nil {
		place, err = l.in.ReadString('\n')
	}
	if err == nil && place != "1\n" && place != "2\n" {
		err = errors.New("it answered " + place)
	}
	if err != nil {
		l.Drop(true)
		return nil, fmt.Errorf("joining the bare relay: %w", err)
	}
	return &Peer{Line: l, protocol: p}, nil
}

func (bare) around(string) (string, string) { return "", "" }

func (bare) answer(message []byte) ([]byte, error) {
	return nil, fmt.Errorf("the relay passed on %.300q", message)
}
