package devserver

import (
	"strings"
	"testing"
)

// The peer finds its way in by the authority's root, and by a certificate of the
// person's own, whatever name that has.
func TestWithPeer(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"root":        func(c *Config) { c.Host = "127.0.0.1" },
		"certificate": func(c *Config) { c.Root = nil },
		"with secret": func(c *Config) { c.Root, c.RoomToken = nil, "an-open-secret" },
	} {
		r := run(t, func(c *Config) {
			c.WithPeer = true
			change(c)
		})
		if e := nextEvent[PeerChange](r); e.Event != "peer-joined" || e.Room != "lobby" {
			t.Errorf("%s: %+v", name, e)
		}
		r.finish(nil)
	}
}

// A peer that is kept out is told of, with the reason, while it goes on trying.
func TestPeerIsKeptOut(t *testing.T) {
	r := run(t, func(c *Config) { c.WithPeer = true }) // at localhost, which the certificate is not for
	e := nextEvent[TestPeer](r)
	if e.Event != "test-peer" || e.Time.IsZero() || !strings.Contains(e.Error, "certificate") {
		t.Errorf("%+v", e)
	}
}
