package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"strconv"
	"sync"
	"time"

	"rtcdev/scripts/benchmarks/client"
)

// Codes of the protocol's close frames, see devserver/signaling.
const (
	codeNormal       = 1000
	codeShuttingDown = 1001
	codeCannotResume = 4004
	codeReplaced     = 4005
)

// A peer is one member of a room, over all its lines.
type peer struct {
	soak  *soak
	room  string
	from  net.IP
	other *peer

	mu      sync.Mutex
	line    *client.Line // nil while there is none
	ended   chan error   // gets why the line ended
	leaving bool
	left    bool

	id     string
	token  string
	joined int64 // the soak's restarts when it joined
	known  bool  // the server has heard of it: before, it holds no place for it
	seen   int   // the server's messages since the welcome

	partner string // the id of who else is in the room
	told    int    // the last number told to the partner
	heard   int    // the last number heard of the partner

	// What was sent since the welcome and may not have arrived at the server: the
	// messages after the first acked ones.
	acked int
	log   []spoken
}

// spoken is a message that a peer has sent: to the other one, or without it a ping
// to the server.
type spoken struct {
	to     string
	number int
}

func newPeer(s *soak, room string, from net.IP) *peer {
	return &peer{soak: s, room: room, from: from, ended: make(chan error, 1)}
}

func (p *peer) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Sprintf("%s in %s (told %d, heard %d of %q, connected: %t)", p.id, p.room, p.told, p.heard, p.partner, p.line != nil)
}

// live connects the peer, and again whenever its line has ended, until it has left.
func (p *peer) live(ctx context.Context) error {
	pause := jitter(2 * time.Second) // not everybody at once
	for {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		err := p.connect(ctx)
		if err == nil {
			select {
			case err = <-p.ended:
			case <-ctx.Done():
				p.cut()
				return nil
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		done, again := p.judge(err)
		if done {
			return nil
		}
		pause = again
	}
}

// errUnconnected is about a try that came to nothing: there was no line yet.
var errUnconnected = errors.New("there is no connection")

// judge decides what to do after a line, or the try to make one, has ended.
func (p *peer) judge(err error) (done bool, pause time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line = nil
	older := p.joined < p.soak.restarts.Load() // than the server that runs now
	restarted := older || p.soak.excused.Load()
	switch code := closeCode(err); {
	case code == codeNormal && p.leaving:
		p.left = true
		return true, 0
	case code == codeCannotResume && older, code == codeShuttingDown && restarted:
		p.token = ""
		return false, jitter(3 * time.Second)
	case code == codeCannotResume:
		p.soak.fault("%s could not resume within %v", p.id, p.soak.cfg.Away)
		p.token = ""
		return false, 0
	case code != 0:
		p.soak.fault("%s was closed: %v", p.id, err)
		p.token = ""
		return false, time.Second
	case err == errBroken: // by us
		return false, p.soak.absence()
	case errors.Is(err, errUnconnected): // a busy server gives up handshakes that take too long
		p.soak.retried.Add(1)
		return false, jitter(2 * time.Second)
	case restarted: // it was down, or the restart cut the line
		return false, jitter(2 * time.Second)
	}
	p.soak.fault("the line of %s ended: %v", p.id, err)
	return false, jitter(time.Second)
}

// absence is how long a peer stays away after its line broke: mostly a moment,
// and sometimes almost as long as it may.
func (s *soak) absence() time.Duration {
	switch n := rand.IntN(100); {
	case n < 80:
		return jitter(s.cfg.Away / 10)
	case n < 95:
		return jitter(s.cfg.Away / 2)
	}
	return jitter(s.cfg.Away)
}

func jitter(most time.Duration) time.Duration { return rand.N(most) }

// greeting is the server's first message on a line.
type greeting struct {
	Type, ID, Code string
	Resume         string
	Peers          []string
	Seen           int
}

// connect joins, or resumes if it can. It has then a reader, which ends with a word
// to p.ended.
func (p *peer) connect(life context.Context) error {
	ctx, cancel := context.WithTimeout(life, quiet)
	defer cancel()
	path := client.SignalPath + "?room=" + url.QueryEscape(p.room)
	p.mu.Lock()
	resuming := p.token != ""
	if resuming {
		path = client.SignalPath + "?resume=" + url.QueryEscape(p.token) + "&seen=" + strconv.Itoa(p.seen)
	}
	p.mu.Unlock()
	server := p.soak.cfg.Server
	server.From = p.from
	l, err := client.DialWebSocket(ctx, server, path)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnconnected, err)
	}
	stop := context.AfterFunc(ctx, func() { l.Drop(false) })
	defer stop()
	g, err := greet(l)
	if err != nil {
		l.Drop(false)
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if resuming {
		err = p.resumed(l, g)
	} else {
		err = p.welcomed(l, g)
	}
	if err != nil {
		l.Drop(false)
		return err
	}
	p.line = l
	p.soak.readers.Go(func() { p.read(life, l) })
	return nil
}

// greet reads the first message, and what follows it when it is an error.
func greet(l *client.Line) (greeting, error) {
	for {
		var g greeting
		message, err := l.Next()
		if err == nil {
			err = json.Unmarshal(message, &g)
		}
		if err != nil || g.Type != "error" { // an error's close frame comes next
			return g, err
		}
	}
}

// welcomed makes the peer a new one. It needs p.mu.
func (p *peer) welcomed(l *client.Line, g greeting) error {
	if g.Type != "welcome" || len(g.Peers) > 1 {
		return fmt.Errorf("joined and got %+v", g)
	}
	if p.id != "" {
		p.soak.rejoined.Add(1)
	}
	p.id, p.token, p.joined = g.ID, g.Resume, p.soak.restarts.Load()
	p.known, p.seen, p.acked, p.log = false, 0, 0, []spoken{{}}
	p.meet("")
	if len(g.Peers) == 1 {
		p.meet(g.Peers[0])
	}
	return p.send(l, p.log[0])
}

// meet begins the numbers anew, with another partner or none. It needs p.mu.
func (p *peer) meet(partner string) {
	p.partner, p.told, p.heard = partner, 0, 0
}

// resumed says again what the server has not got. It needs p.mu.
func (p *peer) resumed(l *client.Line, g greeting) error {
	if g.Type != "resumed" || g.ID != p.id {
		return fmt.Errorf("resumed and got %+v", g)
	}
	if g.Seen < p.acked || g.Seen > p.acked+len(p.log) {
		p.soak.fault("%s has sent %d messages, and the server has got %d, after %d before", p.id, p.acked+len(p.log), g.Seen, p.acked)
		return fmt.Errorf("resumed and got %+v", g)
	}
	p.token = g.Resume
	p.log = append([]spoken(nil), p.log[g.Seen-p.acked:]...)
	p.acked = g.Seen
	p.soak.resumed.Add(1)
	for _, m := range p.log {
		if err := p.send(l, m); err != nil {
			return err
		}
	}
	return nil
}

// send puts a message on the line.
func (p *peer) send(l *client.Line, m spoken) error {
	return l.Send(p.soak.message(m))
}

func (s *soak) message(m spoken) []byte {
	if m.to == "" {
		return []byte(`{"type":"ping"}`)
	}
	b := append([]byte(`{"type":"signal","to":"`), m.to...)
	b = append(b, `","data":`...)
	return append(s.kind(m.number).Append(b, m.number), '}')
}

// kind is the data of the message with a number.
func (s *soak) kind(number int) *client.Payload { return s.kinds[number%len(s.kinds)] }
