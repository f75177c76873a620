package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"rtcdev/scripts/benchmarks/client"
)

// errBroken ends a line that we broke ourselves.
var errBroken = errors.New("the line was broken")

// A breakage is a way for a line to end without a close frame.
type breakage int

const (
	closed    breakage = iota // TCP closes in order, WebSocket and TLS do not
	reset                     // TCP does not either
	half                      // after half a message
	abandoned                 // the server is not told: it sees the peer on another line
	breakages = iota
)

// halfNumber is the number of the message that is never sent to its end: a long one.
const halfNumber = 3

// breakLine ends the peer's line, if it has one.
func (p *peer) breakLine(how breakage) {
	p.mu.Lock()
	l, name := p.line, p.id
	if l == nil || !p.known || p.leaving {
		p.mu.Unlock()
		return
	}
	l.Mute()
	p.line = nil // its reader takes nothing more into account
	p.mu.Unlock()
	p.soak.broken.Add(1)
	if how == half {
		_ = l.SendHalf(p.soak.message(spoken{name, halfNumber})) // nobody relies on it
	}
	if how != abandoned {
		l.Drop(how == reset)
	}
	p.ended <- errBroken
}

// read takes in what arrives on one line.
func (p *peer) read(ctx context.Context, l *client.Line) {
	stop := context.AfterFunc(ctx, func() { l.Drop(false) })
	defer stop()
	for {
		message, err := l.Next()
		p.mu.Lock()
		current := p.line == l
		if current && err == nil {
			err = p.take(message)
		}
		if current && err != nil {
			p.line = nil
		}
		p.mu.Unlock()
		switch {
		case err == nil:
		case current:
			l.Drop(false)
			p.ended <- err
			return
		default: // broken by us
			if closeCode(err) == codeReplaced {
				p.soak.replaced.Add(1)
			}
			l.Drop(false)
			return
		}
	}
}

// take takes in one message of the server. It needs p.mu.
func (p *peer) take(message []byte) error {
	p.seen++
	var m struct{ Type, From, Peer, Code string }
	n, numbered := client.NumberOf(message)
	if err := json.Unmarshal(message, &m); err != nil {
		return fmt.Errorf("the server sent %.300q: %w", message, err)
	}
	switch m.Type {
	case "pong":
		p.known = true
	case "peer-joined":
		p.meet(m.Peer)
	case "peer-left":
		if !p.leaving && !p.soak.excused.Load() {
			p.soak.fault("%s was told that %s left", p.id, m.Peer)
		}
		if !p.leaving {
			p.meet("")
		}
	case "signal":
		if !numbered || m.From != p.partner || n != p.heard+1 {
			p.soak.fault("%s heard number %d of %s, after %d of %s", p.id, n, m.From, p.heard, p.partner)
		}
		if _, _, err := p.soak.kind(n).Number(message); err != nil {
			p.soak.fault("%s: %v", p.id, err)
		}
		p.heard = n
		p.soak.heard.Add(1)
	case "error":
		if !p.leaving && !p.soak.excused.Load() {
			p.soak.fault("%s was told %.200s", p.id, message)
		}
	default:
		p.soak.fault("%s was told %.200s", p.id, message)
	}
	return nil
}

// talk says something now and then.
func (p *peer) talk(ctx context.Context) {
	for {
		select {
		case <-time.After(time.Duration(rand.ExpFloat64() * float64(p.soak.cfg.Pause))):
		case <-ctx.Done():
			return
		}
		p.mu.Lock()
		if p.partner != "" && p.joined == p.soak.restarts.Load() {
			p.told++
			m := spoken{p.partner, p.told}
			p.log = append(p.log, m)
			p.soak.said.Add(1)
			if p.line != nil {
				_ = p.send(p.line, m) // if it fails the line is broken, and it is said again
			}
		}
		p.mu.Unlock()
	}
}

// prepare has the peer expect the others to leave.
func (p *peer) prepare() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaving = true
}

func (p *peer) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.line != nil {
		_ = p.line.Send([]byte(`{"type":"leave"}`)) // its reader learns it if it fails
	}
}

// cut ends the line without a word, because the soak is over.
func (p *peer) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.line != nil {
		p.line.Drop(false)
		p.line = nil
	}
}

// together reports whether the peer and the one it shares a room with are
// connected and know each other.
func (p *peer) together() bool {
	p.other.mu.Lock()
	id := p.other.id
	p.other.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.line != nil && p.partner != "" && p.partner == id
}

// content reports whether the peer has heard all that the other has told it.
func (p *peer) content() bool {
	if !p.together() {
		return false
	}
	p.other.mu.Lock()
	told := p.other.told
	p.other.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heard == told
}

// gone reports whether the server has let the peer go.
func (p *peer) gone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.left
}
