package main

import (
	"bytes"
	"path/filepath"
	"testing"
)

// A person alone: the peer is the other side of the call, in Chromium and in Firefox.
func TestPeerInACall(t *testing.T) {
	a := newAccount(t)
	a.trust()
	s := a.serve(a.emptyFolder("empty"), "--port", "0")
	for _, v := range []*visitor{a.withChromium(), a.withFirefox()} {
		t.Run(v.name, func(t *testing.T) {
			v.t = t
			v.open(s.ready.Room)
			v.get("allow()")
			cmd := a.command("rtcdev", "peer", s.ready.Room, "--duration", "20s")
			var said bytes.Buffer
			cmd.Stdout, cmd.Stderr = &said, &said
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			v.wantMoving()
			if err := cmd.Wait(); err != nil {
				t.Errorf("the peer ended with %v\n%s", err, &said)
			}
			v.wantNoErrors()
			v.open("about:blank")
			t.Logf("%s", &said)
		})
	}
}

// With a peer of the server's own, one browser is enough for a call.
func TestServeWithPeer(t *testing.T) {
	a := newAccount(t)
	a.trust()
	s := a.serve(a.emptyFolder("empty"), "--port", "0", "--with-peer", "--room-token="+theSecret)
	p := a.open(s.ready.Room)
	p.wantVideo()
	if *screenshots != "" {
		p.screenshot(filepath.Join(*screenshots, "with-peer.png"), 1280, 800)
	}
	p.wantQuietConsole()
	if took := s.interrupt(); took > stopLimit {
		t.Errorf("the server took %v to stop during a call", took)
	}
}
