package socketio

import "time"

// crossTime is how long an offer stands in the way of another: long enough for one that
// was made before the first arrived. What comes later is a new attempt, and passes.
const crossTime = 5 * time.Second

// glare lets one of two offers through that cross (RFC 3264 §4 calls that glare). Both
// pages of the codelab may take themselves for the initiator when a line has broken before
// there was a call, and each would wait for an answer for ever. At the page whose offer is
// left out, the browser takes that one back for the other (JSEP, RFC 8829 §4.1.10.2). Only
// offers of pages that say "got user media" are treated so: others may have rules of their own.
type glare struct {
	made time.Time // when the page made an offer; zero once it is answered or void
	got  time.Time // when it got one; zero once it has answered, or that is void
}

// goesOut reports whether the page's offer is passed on: not if it has just got one.
func (g *glare) goesOut() bool {
	if time.Since(g.got) < crossTime {
		return false
	}
	g.made = time.Now()
	return true
}

// comesIn reports whether a peer's offer is for the page: not if the page has just made
// the one that wins.
func (g *glare) comesIn(wins bool) bool {
	if wins && time.Since(g.made) < crossTime {
		return false
	}
	g.made = time.Time{}
	return true
}
